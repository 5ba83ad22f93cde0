//! GIF by the `gif` crate: the first frame on its canvas, and of an animation further ones.

pub(crate) mod blocks;
mod frames;
mod picture;

use frames::Frames;
use picture::Picture;

use super::animation::Animation;
use super::crop::Window;
use super::{DecodeError, DecoderOutput, Limits, Quality};

/// `None` for a still image.
pub(super) fn animation(bytes: &[u8]) -> Option<Box<dyn Animation + '_>> {
    Some(Box::new(Frames::of(bytes)?))
}

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let picture = Picture::read(bytes, limits)?;
    let (width, height) = picture.canvas;
    let window = Window::centre(width, height, side);
    let mut pixels = Vec::with_capacity(window.bytes());
    for y in window.top..window.bottom() {
        for x in window.left..window.right() {
            let inside = (picture.left..picture.left + picture.width).contains(&x)
                && (picture.top..picture.top + picture.height).contains(&y);
            let index = if inside {
                picture.index(x - picture.left, y - picture.top)
            } else {
                // What no frame covers is transparent, or else of the first colour.
                picture.transparent.unwrap_or(0)
            };
            pixels.extend(picture.colours.of_index(index));
        }
    }
    let quality = quality(picture.transparent.is_some(), picture.colours.are_grey);
    Ok(DecoderOutput { width, height, window: pixels, quality })
}

fn quality(is_transparent: bool, is_grey: bool) -> Vec<Quality> {
    let transparent = is_transparent.then_some(Quality::Transparent);
    transparent.into_iter().chain(is_grey.then_some(Quality::Greyscale)).collect()
}
