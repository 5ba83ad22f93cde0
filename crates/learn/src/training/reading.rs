//! The third stage: what images that the network has not seen say of its scores.

use serde_json::{Value, json};
use tch::Device;

use super::batch::Label;
use super::calibration::{platt, thresholds};
use super::classifiers::Embedded;
use super::encoder::TrainingError;
use super::{classifiers, recipe};
use domain::{Calibration, Policy, Thresholds};
use engine::heads::{Generators, Origin};
use engine::weights::Weights;
use figures::{auc, balanced_accuracy, calibration_error};

/// How the scores are to be read, and how well they can be.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub calibration: Option<Calibration>,
    pub thresholds: Thresholds,
    pub metrics: Metrics,
}

/// On held-out images, each perturbed as in training. Probabilities are calibrated by the others: of five parts, each is
/// read by what the other four say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    pub images: usize,
    /// Area under the ROC curve; of the origin logits.
    pub auc: f64,
    /// Mean of the shares of real and of synthetic images that are on their side of one half.
    pub balanced_accuracy: f64,
    /// Expected calibration error without and with calibration.
    pub ece_before: f64,
    pub ece_after: f64,
    /// Share of synthetic images of named generators whose generator is the first guess.
    pub generator_top1: Option<f64>,
}

impl Metrics {
    pub fn to_json(self) -> Value {
        json!({
            "held_out_views": self.images,
            "auc": self.auc,
            "balanced_accuracy": self.balanced_accuracy,
            "ece_uncalibrated": self.ece_before,
            "ece": self.ece_after,
            "generator_top1": self.generator_top1,
        })
    }
}

const FOLDS: usize = 5;

/// What classifiers say of images that they have not learnt from.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// Of the origin.
    pub logits: Vec<f32>,
    /// The first guess; empty without a generator classifier.
    pub guesses: Vec<usize>,
    /// Its probability; 0 without a generator classifier.
    pub confidences: Vec<f32>,
    pub labels: Vec<Label>,
    /// As of [`Embedded`].
    pub groups: Vec<usize>,
}

impl Read {
    pub fn of(classifiers: &Weights, held_out: &Embedded) -> Result<Read, TrainingError> {
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
        Ok(Read { logits, guesses, confidences, labels: held_out.labels.0.clone(), groups: held_out.groups.clone() })
    }

    /// The same of all images, each by classifiers that learnt from those of the other of so many parts. Those that show the
    /// same thing are in one part.
    pub fn out_of_fold(
        plan: &classifiers::Plan,
        start: &Weights,
        embedded: &Embedded,
        folds: usize,
        seed: u64,
    ) -> Result<Read, TrainingError> {
        let mut read = Read::default();
        for fold in 0..folds {
            let (own, others) = embedded.split(fold, folds)?;
            let part = Read::of(&classifiers::fit(plan, start, &others, seed)?, &own)?;
            read.logits.extend(part.logits);
            read.guesses.extend(part.guesses);
            read.confidences.extend(part.confidences);
            read.labels.extend(part.labels);
            read.groups.extend(part.groups);
        }
        Ok(read)
    }

    fn generator_top1(&self) -> Option<f64> {
        let named =
            self.labels.iter().zip(&self.guesses).filter_map(|(label, guess)| Some((label.generator()?, *guess)));
        let (all, right) =
            named.fold((0, 0), |(all, right), (generator, guess)| (all + 1, right + u32::from(generator == guess)));
        (all > 0).then(|| f64::from(right) / f64::from(all))
    }
}

pub fn judge(plan: &recipe::Reading, read: &Read) -> Judged {
    let logits = &read.logits;
    let synthetic: Vec<bool> = read.labels.iter().map(|label| label.is_synthetic()).collect();
    let calibration = platt(logits, &synthetic, plan.prior);
    let said =
        |calibration: Option<Calibration>, logit: f32| Policy { calibration, ..Policy::default() }.probability(logit);
    let plain: Vec<f32> = logits.iter().map(|&logit| said(None, logit)).collect();
    let fold = |row: usize| read.groups[row] % FOLDS;
    let of_others: Vec<Option<Calibration>> = (0..FOLDS)
        .map(|left_out| {
            let rows = (0..logits.len()).filter(|&row| fold(row) != left_out);
            let (logits, synthetic): (Vec<f32>, Vec<bool>) = rows.map(|row| (logits[row], synthetic[row])).unzip();
            platt(&logits, &synthetic, plan.prior)
        })
        .collect();
    let crossed: Vec<f32> = logits.iter().enumerate().map(|(row, &logit)| said(of_others[fold(row)], logit)).collect();
    let calibrated: Vec<f32> = logits.iter().map(|&logit| said(calibration, logit)).collect();
    let metrics = Metrics {
        images: logits.len(),
        auc: auc(logits, &synthetic).unwrap_or_default(),
        balanced_accuracy: balanced_accuracy(&crossed, &synthetic).unwrap_or_default(),
        ece_before: calibration_error(&plain, &synthetic).unwrap_or_default(),
        ece_after: calibration_error(&crossed, &synthetic).unwrap_or_default(),
        generator_top1: read.generator_top1(),
    };
    let thresholds = thresholds(&calibrated, &synthetic, plan.false_alarms, plan.misses);
    Judged { calibration, thresholds, metrics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::batch::Labels;
    use crate::training::testing;

    #[test]
    fn a_classifier_that_knows_is_read_as_one_that_does() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let weights = testing::weights(architecture, 2);
        let embeddings = testing::wave(&[80, 128], 0.0);
        let logits = Vec::<f32>::try_from(Origin::new(&weights, Device::Cpu).forward(&embeddings).unwrap()).unwrap();
        let mut sorted = logits.clone();
        sorted.sort_by(f32::total_cmp);
        // By the classifier's own word, but for a few.
        let label = |(row, &logit): (usize, &f32)| match (logit > sorted[40]) != (row % 10 == 0) {
            true => Label::Synthetic(None),
            false => Label::Real,
        };
        let labels = Labels(logits.iter().enumerate().map(label).collect());
        let plan = recipe::Reading { held_out: 0.1, folds: 0, prior: None, false_alarms: 0.2, misses: 0.2 };
        let groups = (0..80).map(|row| row / 2).collect();
        let read = Read::of(&weights, &Embedded { embeddings, labels, groups }).unwrap();
        let judged = judge(&plan, &read);
        assert!(judged.calibration.is_some_and(|calibration| calibration.scale > 1.0), "{judged:?}");
        assert!(judged.metrics.auc > 0.75 && judged.metrics.ece_after < judged.metrics.ece_before, "{judged:?}");
        assert_eq!(judged.metrics.generator_top1, None);
    }
}
