//! What is left of a detector when somebody works against it who has its weights: attacked crops, scored by the worker's own
//! engine.

use std::path::Path;

use serde::Serialize;

use super::asked::{Asked, AttackPlan, EPSILONS};
use super::examination::{self, Condition, Examination, ExaminationError, Examiner, Judged, Prepared};
use super::tracks::ranking;
use crate::training::{Attack, Budget};
use artefact::Manifest;
use domain::{Decision, LabelledOrigin};
use engine::weights::Weights;
use engine::{Detector, OpenError, Settings, device};
use figures::{Bootstrap, Figures, share};
use imaging::{CROP_SIDE, Crop};
use labels::annotations::Annotation;

/// Images attacked at a time.
const AT_ONCE: usize = 8;

/// What is left when each value of a pixel may be changed by so many levels.
#[derive(Clone, Debug, Serialize)]
pub struct AdversarialPoint {
    /// Levels of 255; at 0 nothing is changed.
    pub epsilon: u8,
    pub steps: u32,
    pub images: usize,
    /// `auc`, `balanced_accuracy`; `flipped`: share of the images whose decision is wrong and was not before; `still_right`:
    /// of those decided rightly before, the share that still is.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Somebody who has the model's folder.
#[derive(Debug)]
pub struct Attacker {
    plan: AttackPlan,
    attack: Attack,
}

impl Attacker {
    /// Computes on the device that the engine has.
    pub fn open(settings: &Settings, plan: AttackPlan) -> Result<Attacker, OpenError> {
        let folder = Path::new(&settings.model);
        let manifest = Manifest::read(folder, &settings.public_key)?;
        let place = device::choose(&settings.device, settings.precision)?;
        let attack = Attack::new(&Weights::of_artefact(&manifest, folder)?, manifest.architecture, place);
        Ok(Attacker { plan, attack })
    }

    /// Those images of a file that are attacked.
    pub fn choose(&self, annotations: &[Annotation]) -> Vec<Annotation> {
        self.plan.choose(annotations)
    }

    /// Puts the attacked crops of each image behind its own; `done` hears of each few.
    fn rework(
        &self,
        (annotations, prepared): (&[Annotation], &mut [Prepared]),
        seed: u64,
        done: &mut impl FnMut(usize),
    ) -> Result<(), ExaminationError> {
        let all = prepared.len();
        let mut readable: Vec<(bool, &mut Vec<Crop>)> = annotations
            .iter()
            .zip(prepared)
            .filter_map(|(annotation, crops)| Some((is_synthetic(annotation), crops.as_mut().ok()?)))
            .collect();
        done(AttackPlan::crops(all - readable.len()));
        for some in readable.chunks_mut(AT_ONCE) {
            let pixels: Vec<u8> = some.iter().flat_map(|(_, crops)| crops[0].pixels()).copied().collect();
            let synthetic: Vec<bool> = some.iter().map(|(synthetic, _)| *synthetic).collect();
            for epsilon in EPSILONS {
                let budget = Budget { epsilon, steps: self.plan.steps };
                let attacked = self.attack.on(&pixels, CROP_SIDE, &synthetic, budget, seed)?;
                for ((_, crops), pixels) in some.iter_mut().zip(attacked.chunks_exact(Crop::BYTES)) {
                    crops.extend(Crop::from_pixels(pixels.to_vec()));
                }
                done(some.len());
            }
        }
        Ok(())
    }
}

/// Attacks these images, each as it is under the first of the conditions that are asked for: a row without an attack, then
/// one for each budget. `done` hears of attacked crops. What can't be read or scored is left out.
pub fn adversarial(
    asked: &Asked,
    annotations: &[Annotation],
    examiner: &Examiner<'_>,
    attacker: &Attacker,
    detector: &mut dyn Detector,
    mut done: impl FnMut(usize),
) -> Result<Vec<AdversarialPoint>, ExaminationError> {
    let condition = [Condition { perturbation: asked.perturbation, draw: 0 }];
    let rework = |annotations: &[Annotation], prepared: &mut [Prepared]| {
        attacker.rework((annotations, prepared), examiner.seed, &mut done)
    };
    let examination = examination::examine_reworked(annotations, &condition, examiner, detector, rework, |_scored| {})?;
    let bootstrap = Bootstrap { rounds: asked.bootstrap, seed: asked.seed };
    let epsilons = std::iter::once(0).chain(EPSILONS).enumerate();
    let point = |(place, epsilon)| point(&examination, annotations, (place, epsilon, attacker.plan.steps), &bootstrap);
    Ok(epsilons.map(point).collect())
}

/// `place`: among an image's crops.
fn point(
    examination: &Examination,
    annotations: &[Annotation],
    (place, epsilon, steps): (usize, u8, u32),
    bootstrap: &Bootstrap,
) -> AdversarialPoint {
    let of = |place: usize| examination.judged.iter().filter(move |judged| judged.condition == place);
    let ranking = ranking(annotations, of(place));
    let is_right = |judged: &Judged| wanted(&annotations[judged.image]) == judged.decision;
    let is_wrong = |judged: &Judged| !is_right(judged) && judged.decision != Decision::Uncertain;
    let pairs: Vec<(&Judged, &Judged)> = of(0).zip(of(place)).collect();
    let images: Vec<usize> = pairs.iter().map(|(before, _)| before.image).collect();
    let names = ["auc", "balanced_accuracy", "flipped", "still_right"];
    let figures = bootstrap.figures(&names, &images, |weights| {
        let sum = |counts: &dyn Fn(&Judged, &Judged) -> bool| -> f64 {
            pairs.iter().filter(|(before, now)| counts(before, now)).map(|(before, _)| weights[before.image]).sum()
        };
        vec![
            ranking.auc(weights),
            ranking.balanced_accuracy(0.5, weights),
            share(sum(&|before, now| !is_wrong(before) && is_wrong(now)), sum(&|_, _| true)),
            share(sum(&|before, now| is_right(before) && is_right(now)), sum(&|before, _| is_right(before))),
        ]
    });
    AdversarialPoint { epsilon, steps, images: images.len(), figures }
}

fn is_synthetic(annotation: &Annotation) -> bool {
    annotation.origin == LabelledOrigin::Synthetic
}

fn wanted(annotation: &Annotation) -> Decision {
    if is_synthetic(annotation) { Decision::Synthetic } else { Decision::Real }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(name: usize, origin: LabelledOrigin) -> Annotation {
        Annotation {
            path: format!("{name}.png"),
            origin,
            content_type: "photos".into(),
            generator: None,
            source: String::new(),
        }
    }

    fn judged(image: usize, condition: usize, probability: f32, decision: Decision) -> Judged {
        Judged { image, condition, logit: probability, probability, decision, generators: Vec::new(), named: None }
    }

    #[test]
    fn decisions_that_an_attack_turns_are_told_from_those_that_were_wrong_before() {
        use Decision::{Real, Synthetic, Uncertain};
        let origins =
            [LabelledOrigin::Real, LabelledOrigin::Real, LabelledOrigin::Synthetic, LabelledOrigin::Synthetic];
        let annotations: Vec<_> = origins.into_iter().enumerate().map(|(n, origin)| annotation(n, origin)).collect();
        // Right and turned, right and uncertain, wrong and wrong, uncertain and wrong.
        let before = [(0.1, Real), (0.2, Real), (0.3, Real), (0.5, Uncertain)];
        let now = [(0.9, Synthetic), (0.6, Uncertain), (0.1, Real), (0.2, Real)];
        let pairs = before.into_iter().zip(now).enumerate();
        let both = |(image, ((p, was), (q, is)))| [judged(image, 0, p, was), judged(image, 1, q, is)];
        let examination = Examination { judged: pairs.flat_map(both).collect(), unreadable: Vec::new() };
        let bootstrap = Bootstrap { rounds: 0, seed: 0 };
        let value = |place, name: &str| {
            point(&examination, &annotations, (place, 4, 10), &bootstrap).figures.get(name).value.unwrap()
        };
        assert_eq!(["auc", "flipped", "still_right"].map(|name| value(0, name)), [1.0, 0.0, 1.0]);
        assert_eq!(["auc", "flipped", "still_right"].map(|name| value(1, name)), [0.0, 0.5, 0.0]);
    }
}
