//! What may happen to an image between its maker and us, done on purpose: for training and for evaluation.
//!
//! Nothing here reads a file, a clock or the system's random numbers. Whatever is random is drawn from [`Rng`],
//! and arithmetic is in integers or in sums and products that IEEE 754 fixes: the same picture, parameters and seed give
//! the same bytes on every machine; AVIF's on those with the same libheif. [`Augmentation`] is what training does to an image,
//! [`Perturbation`] what an evaluation does; both are made of the operations on [`Picture`].

mod augmentation;
mod blocks;
mod codecs;
mod colour;
mod filters;
mod geometry;
mod history;
pub mod likeness;
mod perturbation;
pub mod quality;
mod resize;
mod rng;
mod scale;
#[cfg(test)]
mod tests;

pub use augmentation::{Augmentation, Degradation};
pub use blocks::{Mask, Shuffle};
pub use codecs::{Chroma, Codecs};
pub use colour::Colour;
pub use filters::Filters;
pub use geometry::{Flip, Geometry};
pub use history::History;
pub use imaging::Picture;
pub use likeness::Likeness;
pub use perturbation::{Axis, Perturbation};
pub use quality::Qualities;
pub use resize::{Kernel, Resize};
pub use rng::Rng;
pub use scale::Scale;
