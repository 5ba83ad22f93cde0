//! What may happen to an image between its maker and us, done on purpose: for training and for evaluation.
//!
//! Nothing here reads a file, a clock or the system's random numbers. Whatever is left to chance is thrown with [`Dice`],
//! and arithmetic is in integers or in sums and products that IEEE 754 fixes: the same picture, parameters and seed give
//! the same bytes on every machine. [`Augmentation`] is what training does to an image, [`Perturbation`] what an
//! evaluation does; both are made of the operations on [`Picture`].

mod augmentation;
mod codecs;
mod dice;
mod filters;
mod geometry;
pub mod likeness;
mod perturbation;
mod resize;
#[cfg(test)]
mod tests;

pub use augmentation::Augmentation;
pub use codecs::Codecs;
pub use dice::Dice;
pub use filters::Filters;
pub use geometry::{Flip, Geometry};
pub use imaging::Picture;
pub use likeness::Likeness;
pub use perturbation::{Axis, Perturbation};
pub use resize::Resize;
