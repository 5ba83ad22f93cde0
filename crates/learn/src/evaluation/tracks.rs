//! The figures of one track: of the images of one kind, or under one perturbation.

use serde::Serialize;

use super::examination::Judged;
use super::generators::{self, Known};
use augment::Axis;
use domain::{LabelledOrigin, Thresholds};
use figures::{Bootstrap, Figures, Ranking, Scored, calibration_floor};
use labels::annotations::Annotation;

/// Largest share of real images accused at which the recall is stated.
const FALSE_ALARMS: f64 = 0.01;

/// Real or synthetic, over some images.
#[derive(Clone, Debug, Serialize)]
pub struct OriginTrack {
    pub images: usize,
    pub real: usize,
    pub synthetic: usize,
    /// `auc`, `average_precision`, `balanced_accuracy` (at a probability of 0.5), `balanced_accuracy_at_thresholds` (of those
    /// decided), `recall_at_1_percent_false_alarms`, `ece`, `uncertain`, `false_alarms`, `missed`, `ece_floor`.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What becomes of the detector along one axis of perturbations.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    pub axis: Axis,
    /// Of the places, in words.
    pub unit: &'static str,
    pub points: Vec<SweepPoint>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SweepPoint {
    pub at: f64,
    pub perturbation: String,
    /// `auc`, `balanced_accuracy`, `generator_top1`.
    #[serde(flatten)]
    pub figures: Figures,
}

pub(super) fn ranking<'a>(annotations: &[Annotation], judged: impl Iterator<Item = &'a Judged>) -> Ranking {
    Ranking::of(judged.map(|judged| Scored {
        image: judged.image,
        logit: judged.logit,
        probability: judged.probability,
        synthetic: annotations[judged.image].origin == LabelledOrigin::Synthetic,
    }))
}

pub(super) fn origin_track(ranking: &Ranking, thresholds: Thresholds, bootstrap: &Bootstrap) -> OriginTrack {
    let of_class = |class: bool| {
        let of_class = ranking.scored().iter().filter(|answer| answer.synthetic == class);
        let mut images: Vec<usize> = of_class.map(|answer| answer.image).collect();
        images.sort_unstable();
        images.dedup();
        images
    };
    let (real, synthetic) = (of_class(false), of_class(true));
    let images = [real.as_slice(), &synthetic].concat();
    let names = [
        "auc",
        "average_precision",
        "balanced_accuracy",
        "balanced_accuracy_at_thresholds",
        "recall_at_1_percent_false_alarms",
        "ece",
        "uncertain",
        "false_alarms",
        "missed",
    ];
    let uncertain = thresholds.low..thresholds.high;
    let mut figures = bootstrap.figures(&names, &images, |weights| {
        vec![
            ranking.auc(weights),
            ranking.average_precision(weights),
            ranking.balanced_accuracy(0.5, weights),
            ranking.balanced_accuracy_of_decided(&uncertain, weights),
            ranking.recall_at_false_alarms(FALSE_ALARMS, weights),
            ranking.calibration_error(weights),
            ranking.uncertain(&uncertain, weights),
            ranking.false_alarms(&uncertain, weights),
            ranking.missed(&uncertain, weights),
        ]
    });
    figures.0.push(("ece_floor", calibration_floor(ranking, bootstrap.seed)));
    OriginTrack { images: images.len(), real: real.len(), synthetic: synthetic.len(), figures }
}

pub(super) fn sweep_figures(
    known: &Known<'_>,
    annotations: &[Annotation],
    judged: &[&Judged],
    bootstrap: &Bootstrap,
) -> Figures {
    let ranking = ranking(annotations, judged.iter().copied());
    let images: Vec<usize> = judged.iter().map(|judged| judged.image).collect();
    let mut figures = bootstrap.figures(&["auc", "balanced_accuracy"], &images, |weights| {
        vec![ranking.auc(weights), ranking.balanced_accuracy(0.5, weights)]
    });
    let named = generators::track(known, annotations, judged, bootstrap).figures.get("generator_top1");
    figures.0.push(("generator_top1", named));
    figures
}
