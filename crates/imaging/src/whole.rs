//! All of an image, for people: turned as viewers turn it, and scaled down to what is asked for.

use super::format::Format;
use super::orientation::{Orientation, Turn};
use super::picture::Picture;
use super::{DecodeError, DecoderOutput, Limits, Opened, animation_of, contained, open, scale, stated};
use crate::crop::Window;

/// All of an image, of an animation its first frame.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedWhole {
    /// Of the sides that [`scale::fit`] gives.
    pub picture: Picture,
    pub format: Format,
    /// Pixels of the image as viewers show it, before it was scaled down.
    pub width: u32,
    pub height: u32,
}

/// Decodes all of an image: its long side is at most `longest` pixels, and its pixels are at most [`scale::MAX_WHOLE_PIXELS`].
pub fn whole(bytes: &[u8], longest: u32, limits: &Limits) -> Result<DecodedWhole, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = Format::of(bytes)?;
    let (width, height) = announced_sides(bytes, limits)?;
    limits.admit(format, width, height)?;
    let (to_width, to_height) = scale::fit(width, height, longest);
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let own = pixels(width, height) * copies(format, bytes, limits)? + pixels(to_width, to_height) * 3;
    limits.afford(own)?;
    let left = Limits { max_decoded_bytes: limits.max_decoded_bytes - own, ..limits.clone() };
    let Opened { output, .. } = open(bytes, width.max(height) as usize, 1, &left).map_err(|error| match error {
        DecodeError::TooManyDecodedBytes { bytes, .. } => {
            DecodeError::TooManyDecodedBytes { bytes: bytes.saturating_add(own), limit: limits.max_decoded_bytes }
        }
        error => error,
    })?;
    let DecoderOutput { width, height, window, .. } = output;
    let orientation = stated::orientation(format, bytes, limits);
    let no_pixels = || format.damaged("it has fewer pixels than its header says");
    let picture = Picture::new(width as usize, height as usize, window).ok_or_else(no_pixels)?;
    let (to_width, to_height) = scale::fit(width, height, longest);
    let picture = if (to_width, to_height) == (width, height) {
        picture
    } else {
        scale::down(&picture, to_width, to_height).ok_or_else(no_pixels)?
    };
    let (width, height) = orientation.sides(width, height);
    let picture = turned(picture, orientation).ok_or_else(no_pixels)?;
    Ok(DecodedWhole { picture, format, width, height })
}

fn turned(picture: Picture, orientation: Orientation) -> Option<Picture> {
    if orientation == Orientation::STORED {
        return Some(picture);
    }
    let stride = picture.width();
    let turn = Turn::new(picture.width() as u32, picture.height() as u32, orientation);
    let (width, height) = turn.sides();
    let all = Window { left: 0, top: 0, width: width as usize, height: height as usize };
    let (pixels, _) = picture.rgb().as_chunks::<3>();
    let rgb = turn.collect(&all, |x, y| pixels[y * stride + x]);
    Picture::new(all.width, all.height, rgb)
}

/// The sides that a header says, before anything is allocated for pixels: every image is larger than one that may have none, and
/// the decoders say how large.
fn announced_sides(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), DecodeError> {
    match open(bytes, 1, 1, &Limits { max_pixels: 0, ..limits.clone() }) {
        Err(DecodeError::TooManyPixels { width, height, .. }) => {
            let side = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
            Ok((side(width), side(height)))
        }
        Err(error) => Err(error),
        Ok(Opened { output, .. }) => Ok((output.width, output.height)),
    }
}

/// Bytes for each pixel that a decoder has for windows on their way to RGB, which it does not count: they are small unless all of an
/// image is wanted.
fn copies(format: Format, bytes: &[u8], limits: &Limits) -> Result<u64, DecodeError> {
    let is_animation = contained(format, || Ok(animation_of(format, bytes, limits).is_some()))?;
    Ok(match (format, is_animation) {
        // RGBA of the frame, twice where it comes with a margin, of the canvas, and of what comes back after the frame; RGB.
        (_, true) => 19,
        // What is decoded is what is wanted.
        (Format::Jpeg, _) => 0,
        (Format::Png | Format::Gif | Format::Bmp | Format::Heic, _) => 3,
        // The JPEGs of a page are put together.
        (Format::Tiff, _) => 6,
        // With inks, four bytes.
        (Format::Jxl, _) => 7,
        // The frame with its margin, without it, and the canvas.
        (Format::Webp, _) => 9,
        // Three planes of two bytes a sample, one that stands for their size, and RGB.
        (Format::Avif, _) => 11,
    })
}
