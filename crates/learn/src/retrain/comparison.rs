//! Candidate and incumbent on the same held-out images: both scored by the worker's own engine, clean and perturbed as by a
//! social network.

use std::ops::ControlFlow;
use std::path::Path;

use super::dataset::LabelledImage;
use super::gate::{Prediction, Trial};
use super::image_cache::CachedImages;
use super::prefetch::in_order;
use artefact::Card;
use augment::{Perturbation, Rng};
use decoder::StartError;
use domain::{LabelledOrigin, Scores};
use engine::{Detector, Engine, OpenError, ScoreError, Settings};
use imaging::Crop;

#[derive(Debug, thiserror::Error)]
pub enum ComparisonError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Score(#[from] ScoreError),
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error("stopped while the models were compared")]
    Stopped,
}

const CONDITIONS: [(&str, Perturbation); 2] = [("clean", Perturbation::None), ("social", Perturbation::Social)];

/// What both models, in these folders, say of every image that can be decoded. The perturbation of an image follows from
/// its bytes, so it is the same for both and from one run to the next.
pub fn compare(
    images: &CachedImages<'_>,
    incumbent: (&Path, &Settings),
    candidate: (&Path, &Settings),
    threads: usize,
    mut seen: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Vec<Trial>, ComparisonError> {
    let mut incumbent = Engine::load(incumbent.0, incumbent.1)?;
    let mut candidate = Engine::load(candidate.0, candidate.1)?;
    let crops = |place: u64| -> Result<Option<[Crop; 2]>, StartError> {
        let Some(picture) = images.picture(place as usize)? else { return Ok(None) };
        let sha256 = images.items()[place as usize].sha256.as_bytes();
        let crop = |(name, perturbation): (&str, Perturbation)| {
            // The word is part of the seed: another one would perturb all images anew.
            perturbation.apply(&picture, &mut Rng::of(0, &[b"contest", name.as_bytes(), sha256]))
        };
        Ok(Some(CONDITIONS.map(crop)))
    };
    let all = images.items().len() as u64;
    let mut trials = Vec::new();
    let end = in_order(threads, 0..all, crops, |place, crops| {
        let score = || -> Result<(), ComparisonError> {
            let Some(crops) = crops? else { return Ok(()) };
            let crops: Vec<&Crop> = crops.iter().collect();
            let (before, after) = (incumbent.score(&crops)?, candidate.score(&crops)?);
            let item = &images.items()[place as usize];
            for (index, (condition, _)) in CONDITIONS.iter().enumerate() {
                trials.push(Trial {
                    image: place as usize,
                    condition: (*condition).into(),
                    synthetic: item.origin == LabelledOrigin::Synthetic,
                    content_type: item.content_type.clone(),
                    generator: item.generator.as_ref().map(|generator| generator.label.clone()),
                    incumbent: prediction(incumbent.card(), &before[index], item),
                    candidate: prediction(candidate.card(), &after[index], item),
                });
            }
            Ok(())
        };
        match score() {
            Err(error) => ControlFlow::Break(error),
            Ok(()) if seen(place + 1, all).is_break() => ControlFlow::Break(ComparisonError::Stopped),
            Ok(()) => ControlFlow::Continue(()),
        }
    });
    match end {
        ControlFlow::Continue(()) => Ok(trials),
        ControlFlow::Break(error) => Err(error),
    }
}

fn prediction(card: &Card, scores: &Scores, item: &LabelledImage) -> Prediction {
    let best = scores.generators.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1));
    let named = item.generator.as_ref().and_then(|generator| {
        let (place, _) = best?;
        Some(card.labels.generators.get(place)?.family == generator.family)
    });
    Prediction { probability: card.policy.probability(scores.logit), named }
}
