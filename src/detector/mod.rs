//! The network: crops → scores.
//!
//! [`open`] loads a model artefact ([`manifest`]) into an [`engine`] on the chosen [`device`]; the network itself
//! is a [`backbone`] with the [`selfcon`] sub-network and the [`heads`] on top. [`checkpoint`] imports what
//! PyTorch wrote, without executing any of it; [`scripted`] is a stand-in for tests and load tests.

pub mod architecture;
pub mod backbone;
pub mod buckets;
pub mod checkpoint;
pub mod conv;
pub mod device;
pub mod engine;
pub(crate) mod fused;
pub mod golden;
pub mod heads;
mod isolate;
pub mod manifest;
pub mod novelty;
mod pickle;
pub mod pixels;
pub mod scripted;
pub mod selfcon;
mod signature;
mod staging;
pub mod untrained;
pub mod wait_policy;
pub mod weights;
mod winograd;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::imaging::Crop;
use crate::moderation::{Generator, Judge, ModelRef, Policy, Scores, WorkerRef};

pub use architecture::Architecture;
pub use engine::Engine;
pub use isolate::score_each;
pub use manifest::Manifest;
pub use scripted::Scripted;
pub use weights::Misfit;

/// The value of `detector.model` that asks for the stand-in.
const SCRIPTED: &str = "scripted";

/// The value of `detector.model` that asks for the active version of the registry.
const REGISTRY: &str = "registry";

/// `[detector]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub model: String,
    /// Of minisign; "" asks for no signature.
    pub public_key: String,
    pub device: String,
    pub precision: Precision,
    pub threads: usize,
}

impl Settings {
    /// Whether the model is the active one of the registry, and not a folder.
    pub fn is_registry(&self) -> bool {
        self.model == REGISTRY
    }

    /// The same for the model in this folder.
    pub fn in_folder(&self, folder: &Path) -> Settings {
        Settings { model: folder.display().to_string(), ..self.clone() }
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The detector that the configuration asks for, ready to score.
pub fn open(settings: &Settings) -> Result<Box<dyn Detector>, LoadError> {
    if settings.model == SCRIPTED {
        return Ok(Box::new(Scripted::new()));
    }
    Ok(Box::new(Engine::load(Path::new(&settings.model), settings)?))
}

/// Why there is no detector.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "no model in {}: {detail}; make one with `assay model init --out DIR` or `assay model import CHECKPOINT --out DIR`, \
         and name its folder in detector.model", folder.display()
    )]
    NoModel { folder: PathBuf, detail: String },
    #[error(
        "the model is not signed by detector.public_key: {}: {detail}; have its maker sign it \
         (`minisign -S -m manifest.json`), or fetch it again", path.display()
    )]
    Signature { path: PathBuf, detail: String },
    #[error("the manifest {} is wrong: {detail}", path.display())]
    Manifest { path: PathBuf, detail: String },
    #[error("{} can't be read: {detail}", path.display())]
    Unreadable { path: PathBuf, detail: String },
    #[error("{} can't be written: {detail}", path.display())]
    Unwritable { path: PathBuf, detail: String },
    #[error("{} is not the file that its manifest names: its sha256 is {found} instead of {wanted}; fetch the model again", path.display())]
    Digest { path: PathBuf, wanted: String, found: String },
    #[error("{} does not fit the architecture: {misfit}", path.display())]
    Misfit { path: PathBuf, misfit: Misfit },
    #[error("the checkpoint {} can't be imported: {detail}", path.display())]
    Checkpoint { path: PathBuf, detail: String },
    #[error("{0}")]
    Device(String),
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

    /// The batch sizes to be scored before images come, so that none of up to `largest` images is the first of its size.
    /// The largest comes first: it claims the memory.
    fn warm_up_sizes(&self, largest: usize) -> Vec<usize>;

    /// `cpu` or `cuda:0`.
    fn device(&self) -> &str;

    /// Device, precision and kernels in words, for the log and `assay doctor`.
    fn engine(&self) -> String;

    fn card(&self) -> &Card;
}
