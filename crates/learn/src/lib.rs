//! Labelled images → a model, and how good it is.
//!
//! [`augment`] is what may happen to an image, done on purpose; [`training`] goes from images to an artefact, with no I/O;
//! [`evaluation`] measures a detector; [`retrain`] is what training needs of the world, and the job that learns from new
//! labels.

pub mod augment;
pub mod evaluation;
pub mod retrain;
pub mod training;
