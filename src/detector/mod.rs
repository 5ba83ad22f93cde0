//! The network: crops → scores.
//!
//! [`open`] loads a model artefact ([`manifest`]) into an [`engine`] on the chosen [`device`]; the network itself
//! is a [`backbone`] with the [`selfcon`] sub-network and the [`heads`] on top. [`checkpoint`] imports what
//! PyTorch wrote, without executing any of it; [`scripted`] is a stand-in for tests and load tests.

mod isolate;
pub mod scripted;

use serde::Deserialize;

use crate::imaging::Crop;
use crate::moderation::{Generator, Judge, ModelRef, Policy, Scores, WorkerRef};

pub use isolate::score_each;

/// `[detector]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub model: String,
    pub device: String,
    pub precision: Precision,
    pub threads: usize,
}

/// In what numbers the network computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where the device computes it natively, fp32 elsewhere.
    Auto,
    Fp32,
    Bf16,
}

/// The classes of the generator classifier, in the order of its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSet {
    /// Name and revision, for instance `imaginet-4@1`.
    pub id: String,
    pub generators: Vec<Generator>,
}

/// What a model says of itself.
#[derive(Clone, Debug)]
pub struct Card {
    pub version: String,
    /// Of the weights file, lower-case hexadecimal.
    pub sha256: String,
    /// False for random weights.
    pub trained: bool,
    pub labels: LabelSet,
    pub policy: Policy,
}

impl Card {
    /// What turns this model's scores into verdicts.
    pub fn judge(&self, device: &str) -> Judge {
        Judge {
            model: ModelRef {
                version: self.version.clone(),
                sha256: self.sha256.clone(),
                labels: self.labels.id.clone(),
                trained: self.trained,
            },
            policy: self.policy.clone(),
            generators: self.labels.generators.clone(),
            worker: WorkerRef { version: env!("CARGO_PKG_VERSION").into(), device: device.into() },
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("the device has no memory left for {images} images: {detail}")]
    OutOfMemory { images: usize, detail: String },
    #[error("the network failed: {0}")]
    Failed(String),
    #[error("the network answered with a number that is none (NaN or infinite)")]
    NotANumber,
    #[error("the device is lost: {0}")]
    DeviceLost(String),
}

impl ScoreError {
    /// Whether the device can serve no longer.
    pub fn is_fatal(&self) -> bool {
        matches!(self, ScoreError::DeviceLost(_))
    }
}

/// Scores batches of crops. Owned by one thread.
pub trait Detector: Send {
    /// One answer for each crop, in order.
    fn score(&mut self, crops: &[&Crop]) -> Result<Vec<Scores>, ScoreError>;

    /// `cpu` or `cuda:0`.
    fn device(&self) -> &str;

    fn card(&self) -> &Card;
}
