//! The model artefact: a folder with `manifest.json` and `weights.safetensors`, without libtorch.
//!
//! [`Manifest`] is what the folder says of itself: the [`Architecture`] and so the names and shapes of all tensors, the
//! [`LabelSet`], calibration, thresholds, [`novelty`] and the self-test ([`self_test`]). [`Card`] is what of it travels with
//! scores. [`pickle`] reads what PyTorch wrote, and calls nothing. [`persist()`] is how a file is written that must be whole.

pub mod architecture;
mod card;
mod error;
mod label_set;
mod learnt;
pub mod manifest;
mod misfit;
pub mod novelty;
mod persist;
pub mod pickle;
pub mod self_test;
mod signature;

pub use architecture::Architecture;
pub use card::Card;
pub use error::{Cause, LoadError};
pub use label_set::LabelSet;
pub use learnt::LearntImages;
pub use manifest::Manifest;
pub use misfit::Misfit;
pub use persist::{persist, persist_folder};
