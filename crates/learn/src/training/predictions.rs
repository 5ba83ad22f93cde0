//! What classifiers say of images that they have not learnt from: what calibration and novelty are fitted by.

use tch::Device;

use super::batch::Label;
use super::classifiers::{self, Embedded};
use super::encoder::TrainingError;
use super::stratum::Stratum;
use engine::heads::{Generators, Origin};
use engine::weights::Weights;

/// What classifiers say of images that they have not learnt from.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// Of the origin.
    pub logits: Vec<f32>,
    /// The first guess; empty without a generator classifier.
    pub guesses: Vec<usize>,
    /// Its probability; 0 without a generator classifier.
    pub confidences: Vec<f32>,
    pub labels: Vec<Label>,
    /// As of [`Embedded`].
    pub groups: Vec<usize>,
    pub strata: Vec<Stratum>,
}

impl Predictions {
    pub fn of(classifiers: &Weights, held_out: &Embedded) -> Result<Predictions, TrainingError> {
        let _no_grad = tch::no_grad_guard();
        let logits = Vec::<f32>::try_from(Origin::new(classifiers, Device::Cpu).forward(&held_out.embeddings)?)?;
        let (confidences, guesses) = match classifiers.find("generators.1.weight") {
            None => (vec![0.0; logits.len()], Vec::new()),
            Some(_) => {
                let head = Generators::new(classifiers, Device::Cpu);
                let (confidences, guesses) = head.forward(&held_out.embeddings)?.f_max_dim(1, false)?;
                let guesses = Vec::<i64>::try_from(guesses)?.into_iter().map(|guess| guess as usize).collect();
                (Vec::try_from(confidences)?, guesses)
            }
        };
        Ok(Predictions {
            logits,
            guesses,
            confidences,
            labels: held_out.labels.0.clone(),
            groups: held_out.groups.clone(),
            strata: held_out.strata.clone(),
        })
    }

    /// The same of all images, each by classifiers that learnt from those of the other folds; fold by fold. `folds`: of each
    /// row.
    pub fn out_of_fold(
        plan: &classifiers::Plan,
        start: &Weights,
        embedded: &Embedded,
        folds: &[usize],
        seed: u64,
    ) -> Result<Predictions, TrainingError> {
        let mut all = Predictions::default();
        for fold in 0..folds.iter().max().map_or(0, |last| last + 1) {
            let (own, others) = embedded.split(folds, fold)?;
            let part = Predictions::of(&classifiers::fit(plan, start, &others, seed)?, &own)?;
            all.logits.extend(part.logits);
            all.guesses.extend(part.guesses);
            all.confidences.extend(part.confidences);
            all.labels.extend(part.labels);
            all.groups.extend(part.groups);
            all.strata.extend(part.strata);
        }
        Ok(all)
    }

    /// Share of synthetic images of named generators whose generator is the first guess.
    pub fn generator_top1(&self) -> Option<f64> {
        let named =
            self.labels.iter().zip(&self.guesses).filter_map(|(label, guess)| Some((label.generator()?, *guess)));
        let (all, right) =
            named.fold((0, 0), |(all, right), (generator, guess)| (all + 1, right + u32::from(generator == guess)));
        (all > 0).then(|| f64::from(right) / f64::from(all))
    }
}
