//! The network: crops → scores.
//!
//! [`open`] loads a model [`artefact`] into an [`Engine`](scoring) on the chosen [`device`]; the network itself
//! is a [`backbone`] with the [`selfcon`] sub-network and the [`heads`] on top. [`checkpoint`] imports what
//! PyTorch wrote, without executing any of it; [`scripted`] is a stand-in for tests and load tests.

pub mod backbone;
pub mod buckets;
pub mod checkpoint;
pub mod conv;
mod data_parallel;
pub mod device;
pub mod fused;
pub mod heads;
mod isolate;
pub mod kernels;
pub mod norm;
pub mod novelty;
pub mod pixels;
pub mod scoring;
pub mod scripted;
pub mod self_test;
pub mod selfcon;
mod staging;
#[doc(hidden)]
pub mod testing;
mod torch_error;
pub mod untrained;
pub mod wait_policy;
pub mod weights;
mod winograd;

use std::path::Path;

use serde::Deserialize;

use artefact::{Card, LoadError};
use domain::Scores;
use imaging::Crop;

pub use isolate::{score_each, score_images};
pub use scoring::Engine;
pub use scripted::Scripted;
pub use torch_error::{TorchError, TorchErrorKind};

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

    /// Whether the model is the stand-in, and not a folder.
    pub fn is_stand_in(&self) -> bool {
        self.model == SCRIPTED
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
    /// bf16 on a GPU; on a CPU the fastest by measurement, fp32 where bf16 gains little.
    Auto,
    Fp32,
    Bf16,
}

/// Why there is no detector.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0}")]
    Device(String),
    #[error(transparent)]
    Torch(#[from] TorchError),
}

/// The detector that the configuration asks for, ready to score.
pub fn open(settings: &Settings) -> Result<Box<dyn Detector>, OpenError> {
    if settings.model == SCRIPTED {
        return Ok(Box::new(Scripted::new()));
    }
    Ok(Box::new(Engine::load(Path::new(&settings.model), settings)?))
}

#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("the device has no memory left for {images} images: {cause}")]
    OutOfMemory {
        images: usize,
        #[source]
        cause: TorchError,
    },
    #[error("the network failed: {0}")]
    Failed(#[source] TorchError),
    #[error("a score is NaN or infinite")]
    NotANumber,
    #[error("the device is lost: {0}")]
    DeviceLost(#[source] TorchError),
}

impl ScoreError {
    /// Whether the device can serve no longer.
    pub fn is_fatal(&self) -> bool {
        matches!(self, ScoreError::DeviceLost(_))
    }
}

/// Scores batches of crops. Owned by one thread.
pub trait Detector: Send {
    /// The scores of each crop, in order.
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
