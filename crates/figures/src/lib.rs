//! Figures of a detector, each defined once: training, the gate of the retrain job and the evaluation all call these.
//!
//! [`Ranking`] tells how well real and synthetic images are told apart (AUC, balanced accuracy, expected calibration error over
//! [`CALIBRATION_BINS`] bins), [`Confusion`] how well generators are named. What a figure is worth: [`Bootstrap`] over images,
//! [`calibration_floor`], [`SignTest`], [`wilson_interval`]. Nothing here reads, writes or knows another crate of the project.

mod bootstrap;
mod calibration;
mod confusion;
mod curves;
mod ranking;
mod sign_test;
mod wilson;

pub use bootstrap::{Bootstrap, Figure, Figures};
pub use calibration::{CALIBRATION_BINS, calibration_error, calibration_floor};
pub use confusion::{Confusion, Naming};
pub use curves::Curves;
pub use ranking::{Ranking, Scored, auc, balanced_accuracy, share};
pub use sign_test::SignTest;
pub use wilson::wilson_interval;
