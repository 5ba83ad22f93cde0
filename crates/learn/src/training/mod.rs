//! Training: labelled images → an artefact, as a sequence of values.
//!
//! [`encoder`] steps from [`batch`]es to an encoder, whose embeddings teach the [`classifiers`]; images that it has not seen
//! ([`held_out`]) give the [`calibration`] and the statistics of [`novelty`]. Nothing here does I/O or asks for the time, and all chance
//! follows from a seed ([`Rng`](augment::Rng)): the same images and the same recipe give the same artefact, and what was interrupted goes
//! on as if it hadn't been.

pub mod attack;
pub mod average;
pub mod batch;
pub mod calibration;
pub mod classifiers;
pub mod embedder;
pub mod encoder;
pub mod folds;
pub mod gradients;
mod heads;
pub mod held_out;
pub mod loss;
pub mod network;
pub mod novelty;
pub mod objective;
pub mod optimiser;
pub mod parameters;
pub mod predictions;
pub mod recipe;
pub mod sampling;
pub mod schedule;
pub mod strata_figures;
pub mod stratum;
#[cfg(test)]
mod testing;
pub mod unseen;

pub use attack::{Attack, Budget};
pub use batch::{Batch, Label, Labels};
pub use classifiers::Embedded;
pub use embedder::Embedder;
pub use encoder::{Encoder, TrainingError};
pub use objective::Objective;
pub use predictions::Predictions;
pub use recipe::Recipe;
pub use stratum::Stratum;
pub use unseen::{UnseenImage, UnseenReport};
