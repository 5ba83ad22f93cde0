//! The third stage: what is fitted so that scores can be read, by images that the classifiers have not learnt from.

mod plan;
mod platt;
mod thresholds;

use serde_json::{Value, json};

use super::folds;
use super::predictions::Predictions;
use domain::{Calibration, Policy, Thresholds};
use figures::{auc, balanced_accuracy, calibration_error};

pub use plan::{HeldOutBy, Plan};
pub use platt::{platt, weighted_platt};
pub use thresholds::{LogitThresholds, UnseenFigures, by_image, by_stratum, unseen_figures};

use super::stratum::Stratum;

/// How the scores are to be read, and how well they can be.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    pub calibration: Option<Calibration>,
    pub thresholds: Thresholds,
    pub metrics: Metrics,
}

/// On held-out images, each perturbed as in training. Probabilities are calibrated by the others: of five parts, each is
/// read by what the other four say.
#[derive(Clone, Debug, PartialEq)]
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
    /// What the thresholds do on sources and generators that they were not set by; where they are set by these.
    pub unseen: Option<UnseenFigures>,
}

impl Metrics {
    pub fn to_json(&self) -> Value {
        let mut figures = json!({
            "held_out_views": self.images,
            "auc": self.auc,
            "balanced_accuracy": self.balanced_accuracy,
            "ece_uncalibrated": self.ece_before,
            "ece": self.ece_after,
            "generator_top1": self.generator_top1,
        });
        if let Some(unseen) = &self.unseen {
            figures["thresholds_on_unseen_sources"] = unseen.to_json();
        }
        figures
    }
}

const FOLDS: usize = 5;

pub fn fit(plan: &Plan, predictions: &Predictions) -> Fitted {
    let logits = &predictions.logits;
    let synthetic: Vec<bool> = predictions.labels.iter().map(|label| label.is_synthetic()).collect();
    let all: Vec<usize> = (0..logits.len()).collect();
    let calibration = platt_of(plan, predictions, &all);
    let read =
        |calibration: Option<Calibration>, logit: f32| Policy { calibration, ..Policy::default() }.probability(logit);
    let plain: Vec<f32> = logits.iter().map(|&logit| read(None, logit)).collect();
    let fold = folds_of(plan, predictions);
    let of_others: Vec<Option<Calibration>> = (0..FOLDS)
        .map(|left_out| {
            let rows: Vec<usize> = (0..logits.len()).filter(|&row| fold[row] != left_out).collect();
            platt_of(plan, predictions, &rows)
        })
        .collect();
    let crossed: Vec<f32> = logits.iter().enumerate().map(|(row, &logit)| read(of_others[fold[row]], logit)).collect();
    let thresholds = match plan.by {
        HeldOutBy::Images => {
            let calibrated: Vec<f32> = logits.iter().map(|&logit| read(calibration, logit)).collect();
            by_image(&calibrated, &synthetic, plan.false_alarms, plan.misses)
        }
        HeldOutBy::Sources => {
            let bounds = by_stratum(logits, &predictions.strata, plan.false_alarms, plan.misses);
            Thresholds { low: read(calibration, bounds.low), high: read(calibration, bounds.high) }
        }
    };
    let unseen = || unseen_figures(logits, &predictions.strata, plan.false_alarms, plan.misses);
    let metrics = Metrics {
        images: logits.len(),
        auc: auc(logits, &synthetic).unwrap_or_default(),
        balanced_accuracy: balanced_accuracy(&crossed, &synthetic).unwrap_or_default(),
        ece_before: calibration_error(&plain, &synthetic).unwrap_or_default(),
        ece_after: calibration_error(&crossed, &synthetic).unwrap_or_default(),
        generator_top1: predictions.generator_top1(),
        unseen: (plan.by == HeldOutBy::Sources).then(unseen),
    };
    Fitted { calibration, thresholds, metrics }
}

/// Thresholds as if one source or generator were not among these.
pub fn logit_thresholds_without(plan: &Plan, predictions: &Predictions, left_out: &Stratum) -> LogitThresholds {
    thresholds::without(left_out, &predictions.logits, &predictions.strata, plan.false_alarms, plan.misses)
}

/// By some rows; where sources count as wholes, all sources alike and all generators alike.
fn platt_of(plan: &Plan, predictions: &Predictions, rows: &[usize]) -> Option<Calibration> {
    let logits: Vec<f32> = rows.iter().map(|&row| predictions.logits[row]).collect();
    let synthetic: Vec<bool> = rows.iter().map(|&row| predictions.labels[row].is_synthetic()).collect();
    match plan.by {
        HeldOutBy::Images => platt(&logits, &synthetic, plan.prior),
        HeldOutBy::Sources => {
            let strata: Vec<_> = rows.iter().map(|&row| predictions.strata[row].clone()).collect();
            weighted_platt(&logits, &synthetic, &thresholds::alike(&strata), plan.prior)
        }
    }
}

/// Of five: for the figures that are cross-fitted.
fn folds_of(plan: &Plan, predictions: &Predictions) -> Vec<usize> {
    let by_source = || folds::by_source(&predictions.strata, &predictions.groups, FOLDS, &Default::default(), 0).ok();
    let found = if plan.by == HeldOutBy::Sources { by_source() } else { None };
    found.unwrap_or_else(|| folds::by_group(&predictions.groups, FOLDS))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::training::batch::{Label, Labels};
    use crate::training::classifiers::Embedded;
    use crate::training::stratum::Stratum;
    use crate::training::testing;
    use engine::heads::Origin;

    #[test]
    fn a_good_classifier_gets_a_rising_calibration_and_a_smaller_error() {
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
        let plan = Plan { false_alarms: 0.2, misses: 0.2, ..Plan::default() };
        let groups = (0..80).map(|row| row / 2).collect();
        let strata = labels.0.iter().map(|label| match label {
            Label::Real => Stratum::Source("a".into()),
            Label::Synthetic(_) => Stratum::Generator("b".into()),
        });
        let strata = strata.collect();
        let predictions = Predictions::of(&weights, &Embedded { embeddings, labels, groups, strata }).unwrap();
        let fitted = fit(&plan, &predictions);
        assert!(fitted.calibration.is_some_and(|calibration| calibration.scale > 1.0), "{fitted:?}");
        assert!(fitted.metrics.auc > 0.75 && fitted.metrics.ece_after < fitted.metrics.ece_before, "{fitted:?}");
        assert_eq!((fitted.metrics.generator_top1, fitted.metrics.unseen), (None, None));
    }

    #[test]
    fn by_sources_a_large_source_does_not_decide_for_the_others() {
        // One large source whose images all look real, and four small ones that look half synthetic.
        let mut predictions = Predictions::default();
        let mut add = |stratum: Stratum, label, logit: f32, count: usize| {
            for n in 0..count {
                predictions.logits.push(logit + n as f32 / count as f32);
                predictions.labels.push(label);
                predictions.groups.push(predictions.groups.len());
                predictions.strata.push(stratum.clone());
            }
        };
        add(Stratum::Source("large".into()), Label::Real, -5.0, 1000);
        for name in ["a", "b", "c", "d"] {
            add(Stratum::Source(name.into()), Label::Real, 0.0, 40);
        }
        for name in ["e", "f", "g", "h", "i"] {
            add(Stratum::Generator(name.into()), Label::Synthetic(None), 0.5, 40);
        }
        let of = |by| fit(&Plan { by, prior: Some(0.5), ..Plan::default() }, &predictions);
        let (images, sources) = (of(HeldOutBy::Images), of(HeldOutBy::Sources));
        let alarms = |fitted: &Fitted| {
            let policy = Policy { calibration: fitted.calibration, ..Policy::default() };
            let small = predictions.logits[1000..1160].iter();
            small.filter(|&&logit| policy.probability(logit) >= fitted.thresholds.high).count()
        };
        assert!(alarms(&images) > 20 && alarms(&sources) <= 6, "{} {}", alarms(&images), alarms(&sources));
        let unseen = sources.metrics.unseen.unwrap();
        assert!(unseen.false_alarms <= 0.05 && unseen.sources == 5 && unseen.generators == 5, "{unseen:?}");
    }
}
