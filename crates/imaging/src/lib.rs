//! Encoded bytes → the 256×256 RGB crop that the detector looks at.
//!
//! [`decode`] tells the format by its magic bytes, checks the header against the limits before anything is
//! allocated, decodes as the reference decoders do (libjpeg-turbo, libwebp, libpng's rules), and takes the
//! centre at native resolution. A panic in a decoder becomes a [`DecodeError`].
//!
//! The pixels are those of Pillow's `Image.open(file).convert("RGB")`, bit for bit: alpha is dropped, not blended,
//! and EXIF orientation is not applied. Of an animation up to three frames are looked at (see `animation`); what is said to be
//! the image is the first. Where this differs from Pillow, on purpose:
//! - 16-bit greyscale keeps its high byte, as 16-bit colour does; Pillow clips it at 255, which leaves a white image.
//! - A JPEG that is cut off or corrupt is decoded as far as viewers show it, and said to be damaged where that concerns the
//!   crop. Pillow shows the same if it is told to load truncated images.
//! - Some kinds of TIFF are a level off, and some are not supported: see `tiff`.
//!
//! Only the middle of an image is kept, and as far as the format allows only the middle is decoded. [`window`] keeps more
//! of it, for training and evaluation; [`whole()`] gives all of it, turned as it is looked at, for people.

mod animation;
mod avif;
mod bmp;
mod brands;
mod colour;
mod crop;
mod format;
mod gif;
pub mod heic;
mod heif;
mod jpeg;
mod jxl;
pub mod libheif;
mod naming;
mod orientation;
mod overlay;
mod picture;
mod planes;
mod png;
pub mod protocol;
pub mod provenance;
mod scale;
mod sniff;
mod stated;
#[cfg(test)]
mod tests;
mod tiff;
mod webp;
mod whole;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use animation::Animation;
pub use animation::MAX_JUDGED;
use crop::Window;
pub use crop::{CROP_SIDE, Crop};
pub use format::Format;
pub use orientation::{Orientation, Place};
pub use picture::Picture;
pub use provenance::Provenance;
pub use scale::{MAX_WHOLE_PIXELS, fit};
pub use sniff::{SNIFFED_BYTES, is_image};
pub use whole::{DecodedWhole, whole};

/// `[imaging]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub max_pixels: u64,
    pub max_decoded_bytes: u64,
    pub timeout_s: u64,
}

impl Settings {
    pub fn limits(&self) -> Limits {
        Limits { max_pixels: self.max_pixels, max_decoded_bytes: self.max_decoded_bytes }
    }
}

/// What one image may cost, checked before it is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_pixels: u64,
    /// Bytes beside the encoded ones.
    pub max_decoded_bytes: u64,
}

/// What a decoder finds that makes a verdict less sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// A side is shorter than the crop, so it was filled up by reflection.
    LowResolution,
    /// There are several frames, of which some were judged.
    Animated,
    /// Alpha was dropped.
    Transparent,
    /// Stored with one channel.
    Greyscale,
    /// Data is missing or unreadable, so pixels of the crop may be made up.
    Damaged,
    /// The codec is one on whose images the detector has not been measured.
    UnfamiliarCodec,
}

/// An image as the detector needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Of an animation, that of the first frame.
    pub crop: Crop,
    /// Those of an animation's other frames that are judged: at most [`MAX_JUDGED`] with the first.
    pub later: Vec<Crop>,
    /// How many frames the file shows; `None` for a still image.
    pub frames: Option<u32>,
    /// Of an animation, which frames the crops are of, in their order; the first is 1. Empty for a still image.
    pub judged: Vec<u32>,
    /// How viewers turn the image, crops and all. The sides, and the pixels, are those that are stored.
    pub orientation: Orientation,
    pub format: Format,
    /// Pixels of the whole image.
    pub width: u32,
    pub height: u32,
    pub quality: Vec<Quality>,
    /// What the file says of itself; no pixel depends on it.
    pub provenance: Provenance,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum DecodeError {
    #[error("the object is empty")]
    Empty,
    /// What it is in a person's words, if it is something known: "an iPhone photograph (HEIC)".
    #[error(
        "the bytes are no JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC or JPEG XL: {}they begin with {magic}",
        of_kind(name)
    )]
    UnsupportedFormat { magic: String, name: Option<String> },
    /// A rare kind of a known format, such as JPEG with 12 bits a sample.
    #[error("this kind of {} is not supported: {detail}", format.name())]
    UnsupportedKind { format: Format, detail: String },
    #[error("{width}×{height} pixels are more than the {limit} of imaging.max_pixels")]
    TooManyPixels { width: u64, height: u64, limit: u64 },
    #[error("decoding takes {bytes} bytes, more than the {limit} of imaging.max_decoded_bytes")]
    TooManyDecodedBytes { bytes: u64, limit: u64 },
    #[error("the {} is damaged: {detail}", format.name())]
    Damaged { format: Format, detail: String },
}

fn of_kind(name: &Option<String>) -> String {
    name.as_ref().map_or(String::new(), |name| format!("it is {name}; "))
}

/// The middle of an image, with no pixel added.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedWindow {
    pub picture: Picture,
    pub format: Format,
    /// Pixels of the whole image.
    pub width: u32,
    pub height: u32,
    pub quality: Vec<Quality>,
}

/// What each format's decoder gives: a window of the image.
struct DecoderOutput {
    width: u32,
    height: u32,
    /// RGB of `Window::centre(width, height, side)`, rows from the top.
    window: Vec<u8>,
    quality: Vec<Quality>,
}

/// What was found in a file.
struct Opened {
    format: Format,
    /// Of an animation, its first frame.
    output: DecoderOutput,
    /// The windows of other frames.
    later: Vec<Vec<u8>>,
    frames: Option<u32>,
    /// The numbers of the frames that the windows are of.
    judged: Vec<u32>,
}

/// Decodes the centre of an image.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    let Opened { format, output, later, frames, judged } = open(bytes, CROP_SIDE, MAX_JUDGED, limits)?;
    let DecoderOutput { width, height, window, mut quality } = output;
    let place = Window::centre(width, height, CROP_SIDE);
    if place.is_smaller_than_crop() {
        quality.insert(0, Quality::LowResolution);
    }
    let later = later.iter().map(|window| place.fill_up(window)).collect();
    let (crop, provenance) = (place.fill_up(&window), provenance::of(bytes));
    let orientation = stated::orientation(format, bytes, limits);
    Ok(Decoded { crop, later, frames, judged, orientation, format, width, height, quality, provenance })
}

/// Decodes the middle of an image, of an animation that of its first frame: `side` pixels wide and high, or all where the image is
/// smaller. The pixels are those that [`decode`] would give, but nothing is filled up; of a window of 256 pixels or any larger even
/// number, the middle is its crop.
pub fn window(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecodedWindow, DecodeError> {
    let Opened { format, output, .. } = open(bytes, side, 1, limits)?;
    let DecoderOutput { width, height, window, quality } = output;
    let place = Window::centre(width, height, side);
    let picture = Picture::new(place.width, place.height, window)
        .ok_or_else(|| format.damaged(format_args!("a window of {side} pixels has none in it")))?;
    Ok(DecodedWindow { picture, format, width, height, quality })
}

/// At most so many frames are decoded.
fn open(bytes: &[u8], side: usize, frames: usize, limits: &Limits) -> Result<Opened, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = Format::of(bytes)?;
    let decoder = match format {
        Format::Jpeg => jpeg::decode,
        Format::Png => png::decode,
        Format::Webp => webp::decode,
        Format::Gif => gif::decode,
        Format::Bmp => bmp::decode,
        Format::Tiff => tiff::decode,
        Format::Avif => avif::decode,
        Format::Jxl => jxl::decode,
        Format::Heic => heic::decode,
    };
    let still = || {
        Ok(Opened {
            format,
            output: decoder(bytes, side, limits)?,
            later: Vec::new(),
            frames: None,
            judged: Vec::new(),
        })
    };
    let open = || {
        match animation_of(format, bytes, limits)
            .map(|animation| open_animation(format, animation.as_ref(), side, frames, limits))
        {
            None => still(),
            Some(Ok(opened)) => Ok(opened),
            // Viewers show what they would without the frames.
            Some(Err(error)) => still().map(damaged).map_err(|_| error),
        }
    };
    contained(format, open)
}

/// What a decoder gives; its panic becomes an error.
fn contained<T>(format: Format, decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // Nothing that the closure touches outlives a panic: the decoders keep no state.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        Err(format.damaged(format!("the decoder panicked: {}", message.unwrap_or("without a message"))))
    })
}

/// `None` for a still image.
fn animation_of<'a>(format: Format, bytes: &'a [u8], limits: &Limits) -> Option<Box<dyn Animation + 'a>> {
    match format {
        Format::Png => png::animation(bytes),
        Format::Webp => webp::animation(bytes, limits),
        Format::Gif => gif::animation(bytes),
        _ => None,
    }
}

fn damaged(mut opened: Opened) -> Opened {
    opened.output.quality.push(Quality::Damaged);
    opened
}

fn open_animation(
    format: Format,
    animation: &dyn Animation,
    side: usize,
    frames: usize,
    limits: &Limits,
) -> Result<Opened, DecodeError> {
    let (width, height) = animation.canvas();
    limits.admit(format, width, height)?;
    let shown = animation::shown(animation, &Window::centre(width, height, side), frames, limits)?;
    let mut windows = shown.windows.into_iter();
    let window = windows.next().ok_or_else(|| format.damaged("it has no frame"))?;
    let mut quality = Vec::new();
    if animation.count() > 1 {
        quality.push(Quality::Animated);
    }
    quality.extend(animation.quality());
    if shown.is_damaged || animation.is_damaged() {
        quality.push(Quality::Damaged);
    }
    let output = DecoderOutput { width, height, window, quality };
    Ok(Opened { format, output, later: windows.collect(), frames: Some(animation.count()), judged: shown.numbers })
}

/// A picture of one grey pixel, to try a decoder with.
pub fn sample() -> Vec<u8> {
    let header = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0";
    [&header[..], &[0; 24], &[128, 128, 128, 0]].concat()
}

impl Limits {
    /// Whether an image of these sides may be decoded at all.
    fn admit(&self, format: Format, width: u32, height: u32) -> Result<(), DecodeError> {
        if width == 0 || height == 0 {
            return Err(format.damaged(format_args!("its header says {width}×{height} pixels")));
        }
        let (width, height, limit) = (u64::from(width), u64::from(height), self.max_pixels);
        if width * height > limit {
            return Err(DecodeError::TooManyPixels { width, height, limit });
        }
        Ok(())
    }

    /// Whether a decoder may allocate this much.
    fn afford(&self, bytes: u64) -> Result<(), DecodeError> {
        let limit = self.max_decoded_bytes;
        if bytes > limit {
            return Err(DecodeError::TooManyDecodedBytes { bytes, limit });
        }
        Ok(())
    }
}

impl Format {
    fn damaged(self, detail: impl std::fmt::Display) -> DecodeError {
        DecodeError::Damaged { format: self, detail: detail.to_string() }
    }

    fn unsupported(self, detail: impl std::fmt::Display) -> DecodeError {
        DecodeError::UnsupportedKind { format: self, detail: detail.to_string() }
    }
}
