//! From answers to an evaluation: all figures of all tracks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Evaluation;
use super::adversarial::Plan;
use super::bootstrap::{Bootstrap, Figures};
use super::examination::{Condition, Examination, Judged};
use super::generators::{self, Known};
use super::noise;
use super::ranking::{Answer, Ranking};
use crate::augment::{Axis, Perturbation};
use domain::{Judge, LabelledOrigin, Thresholds};
use labels::annotations::Annotation;

/// Largest share of real images accused at which the recall is stated.
const FALSE_ALARMS: f64 = 0.01;

/// What is asked of an evaluation.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The file that says what the images are.
    pub annotations: String,
    pub perturbation: Perturbation,
    pub seed: u64,
    /// How often each image is perturbed anew; once is enough where chance has no part.
    pub draws: u32,
    pub axes: Vec<Axis>,
    pub adversarial: Option<Plan>,
    /// Resamples for the intervals.
    pub bootstrap: usize,
}

impl Asked {
    /// Under what each image is looked at: the draws, then the points of each axis.
    pub fn conditions(&self) -> Vec<Condition> {
        let draws = (0..self.draws()).map(|draw| Condition { perturbation: self.perturbation, draw });
        let points = self.axes.iter().flat_map(|axis| axis.points());
        draws.chain(points.map(|(_, perturbation)| Condition { perturbation, draw: 0 })).collect()
    }

    fn draws(&self) -> u32 {
        if self.perturbation == Perturbation::Social { self.draws.max(1) } else { 1 }
    }
}

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

/// Puts together what an examination of these annotations under [`Asked::conditions`] gave; attacks are apart.
pub fn evaluate(
    asked: &Asked,
    annotations: &[Annotation],
    examination: Examination,
    judge: &Judge,
    engine: String,
) -> Evaluation {
    let known = Known(&judge.generators);
    let bootstrap = Bootstrap { rounds: asked.bootstrap, seed: asked.seed };
    let draws = asked.draws() as usize;
    let of_conditions = |range: std::ops::Range<usize>| -> Vec<&Judged> {
        examination.judged.iter().filter(|judged| range.contains(&judged.condition)).collect()
    };
    let plain = of_conditions(0..draws);
    let thresholds = judge.policy.thresholds;
    let track = |counts: &dyn Fn(&Annotation) -> bool| {
        let answers = plain.iter().filter(|judged| counts(&annotations[judged.image]));
        origin_track(&ranking(annotations, answers.copied()), thresholds, &bootstrap)
    };
    let mut first = draws;
    let sweeps = asked.axes.iter().map(|&axis| {
        let points = axis.points().into_iter().map(|(at, perturbation)| {
            let judged = of_conditions(first..first + 1);
            first += 1;
            SweepPoint {
                at,
                perturbation: perturbation.name(),
                figures: point(&known, annotations, &judged, &bootstrap),
            }
        });
        Sweep { axis, unit: axis.unit(), points: points.collect() }
    });
    let sweeps = sweeps.collect();
    let groups = |name: &dyn Fn(&Annotation) -> Option<&str>, against_real: bool| {
        let mut names: Vec<&str> = plain.iter().filter_map(|judged| name(&annotations[judged.image])).collect();
        names.sort_unstable();
        names.dedup();
        let group = |wanted: &str| {
            track(&|annotation: &Annotation| {
                let is_real = annotation.origin == LabelledOrigin::Real;
                name(annotation) == Some(wanted) || (against_real && is_real)
            })
        };
        names.iter().map(|wanted| (wanted.to_string(), group(wanted))).collect::<BTreeMap<_, _>>()
    };
    Evaluation {
        schema: Evaluation::SCHEMA,
        model: judge.model.clone(),
        thresholds,
        calibrated: judge.policy.calibration.is_some(),
        engine,
        annotations: asked.annotations.clone(),
        perturbation: asked.perturbation.name(),
        seed: asked.seed,
        draws: asked.draws(),
        bootstrap: asked.bootstrap,
        origin: track(&|_| true),
        generator: generators::track(&known, annotations, &plain, &bootstrap),
        by_content_type: groups(&|annotation| Some(&annotation.content_type), false),
        by_generator: groups(&|annotation| Some(&annotation.generator.as_ref()?.label), true),
        by_family: groups(&|annotation| Some(&annotation.generator.as_ref()?.family), true),
        unseen: generators::unseen(&known, annotations, &plain, &bootstrap),
        sweeps,
        adversarial: Vec::new(),
        curves: ranking(annotations, plain.iter().copied()).curves(),
        unreadable: examination.unreadable,
    }
}

pub(super) fn ranking<'a>(annotations: &[Annotation], judged: impl Iterator<Item = &'a Judged>) -> Ranking {
    Ranking::of(judged.map(|judged| Answer {
        image: judged.image,
        logit: judged.logit,
        probability: judged.probability,
        synthetic: annotations[judged.image].origin == LabelledOrigin::Synthetic,
    }))
}

fn origin_track(ranking: &Ranking, thresholds: Thresholds, bootstrap: &Bootstrap) -> OriginTrack {
    let of_class = |class: bool| {
        let of_class = ranking.answers().iter().filter(|answer| answer.synthetic == class);
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
    let mut figures = bootstrap.figures(&names, &images, |weights| {
        vec![
            ranking.auc(weights),
            ranking.average_precision(weights),
            ranking.balanced_accuracy(0.5, weights),
            ranking.balanced_accuracy_of_decided(thresholds, weights),
            ranking.recall_at_false_alarms(FALSE_ALARMS, weights),
            ranking.calibration_error(weights),
            ranking.uncertain(thresholds, weights),
            ranking.false_alarms(thresholds, weights),
            ranking.missed(thresholds, weights),
        ]
    });
    figures.0.push(("ece_floor", noise::calibration_floor(ranking, bootstrap.seed)));
    OriginTrack { images: images.len(), real: real.len(), synthetic: synthetic.len(), figures }
}

fn point(known: &Known<'_>, annotations: &[Annotation], judged: &[&Judged], bootstrap: &Bootstrap) -> Figures {
    let ranking = ranking(annotations, judged.iter().copied());
    let images: Vec<usize> = judged.iter().map(|judged| judged.image).collect();
    let mut figures = bootstrap.figures(&["auc", "balanced_accuracy"], &images, |weights| {
        vec![ranking.auc(weights), ranking.balanced_accuracy(0.5, weights)]
    });
    let named = generators::track(known, annotations, judged, bootstrap).figures.get("generator_top1");
    figures.0.push(("generator_top1", named));
    figures
}
