//! The document of an evaluation: all figures of all tracks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::adversarial::AdversarialPoint;
use super::asked::Asked;
use super::examination::{Examination, Judged, Unreadable};
use super::generators::{self, GeneratorTrack, Known, Unseen};
use super::shortcuts::{SHORTCUTS, Shortcuts, shortcuts};
use super::sources::{BySource, by_source};
use super::tracks::{OriginTrack, Sweep, SweepPoint, origin_track, ranking, sweep_figures};
use domain::{Judge, LabelledOrigin, ModelRef, Thresholds};
use figures::{Bootstrap, Curves, Figure};
use labels::annotations::Annotation;

/// The document `assay.evaluation.v1`: what `assay evaluate --json` prints.
///
/// A figure `auc` has `auc_interval` beside it, within which it lies with 95 % confidence; both are null where there is
/// nothing to measure.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    pub schema: &'static str,
    pub model: ModelRef,
    pub thresholds: Thresholds,
    pub calibrated: bool,
    /// In words: device, precision, kernels.
    pub engine: String,
    /// The file that says what the images are.
    pub annotations: String,
    pub perturbation: String,
    pub seed: u64,
    /// How often each image was perturbed anew.
    pub draws: u32,
    pub bootstrap: usize,
    /// Real or synthetic: all images.
    #[serde(flatten)]
    pub origin: OriginTrack,
    #[serde(flatten)]
    pub generator: GeneratorTrack,
    /// Real or synthetic among the images of one content type.
    pub by_content_type: BTreeMap<String, OriginTrack>,
    /// One generator's images against all real ones.
    pub by_generator: BTreeMap<String, OriginTrack>,
    pub by_family: BTreeMap<String, OriginTrack>,
    /// Images of generators that the model was not made to name.
    pub unseen: Option<Unseen>,
    pub sweeps: Vec<Sweep>,
    /// What it goes by; `None` unless that was asked.
    pub shortcuts: Option<Shortcuts>,
    /// Whole sources and generators as the unit; `None` unless that was asked.
    pub by_source: Option<BySource>,
    /// Empty unless it was attacked.
    pub adversarial: Vec<AdversarialPoint>,
    pub curves: Curves,
    pub unreadable: Vec<Unreadable>,
}

impl Evaluation {
    pub const SCHEMA: &'static str = "assay.evaluation.v1";

    /// A figure of all images by its name in the document.
    pub fn figure(&self, name: &str) -> Figure {
        let (origin, generator) = (self.origin.figures.get(name), self.generator.figures.get(name));
        if origin.value.is_some() { origin } else { generator }
    }
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
                figures: sweep_figures(&known, annotations, &judged, &bootstrap),
            }
        });
        Sweep { axis, unit: axis.unit(), points: points.collect() }
    });
    let sweeps = sweeps.collect();
    let shortcuts = asked.shortcuts.then(|| {
        let judged: Vec<_> =
            (0..SHORTCUTS.len()).map(|place| of_conditions(first + place..first + place + 1)).collect();
        shortcuts(annotations, &judged, &bootstrap)
    });
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
        shortcuts,
        by_source: asked.by_source.then(|| by_source(annotations, &plain, draws, &bootstrap)),
        adversarial: Vec::new(),
        curves: Curves::of(&ranking(annotations, plain.iter().copied())),
        unreadable: examination.unreadable,
    }
}
