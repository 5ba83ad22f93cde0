//! Labelled images → a model, and how good it is.
//!
//! [`training`] goes from images to an artefact, with no I/O; [`evaluation`] measures a detector; [`retrain`] is what
//! training needs of the world, and the job that learns from new labels. What is done to an image on purpose on the way is
//! the package `augment`'s.

pub mod evaluation;
pub mod retrain;
pub mod training;
