//! How good a detector is, measured on images of which it is known what they are.
//!
//! [`examine`](examination::examine) has the worker's own engine score every image under every [`Condition`]; what comes of
//! it is put together into an [`Evaluation`]: one document, which [`report`] also makes a page of. The figures are in
//! [`ranking`] (real or synthetic) and [`confusion`] (which generator), what they are worth in [`bootstrap`]. How each is
//! defined, and why: docs/evaluation.md.

pub mod adversarial;
pub mod bootstrap;
pub mod confusion;
pub mod examination;
pub mod experiment;
mod generators;
mod noise;
pub mod ranking;
pub mod report;
mod tracks;

use std::collections::BTreeMap;

use serde::Serialize;

use domain::{ModelRef, Thresholds};

pub use adversarial::{AdversarialPoint, Attacker};
pub use bootstrap::{Bootstrap, Figure, Figures};
pub use confusion::Confusion;
pub use examination::{Condition, Examination, Judged, Unreadable};
pub use generators::{GeneratorTrack, Unseen};
pub use ranking::Curves;
pub use tracks::{Asked, OriginTrack, Sweep, SweepPoint, evaluate};

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
