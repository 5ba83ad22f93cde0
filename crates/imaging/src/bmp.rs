//! BMP and TIFF by the `image` crate: decoded whole.
//!
//! TIFF is a family of formats. Grey, RGB and RGBA, raw or losslessly compressed, are exact; CMYK and JPEG inside a
//! TIFF may be a level or two away from Pillow's; palettes, grey with alpha, floating point and Zstandard are not
//! supported.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::tiff::TiffDecoder;
use image::error::{ImageError, ImageResult};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder};

use super::crop::Window;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

pub(super) fn decode_bmp(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let mut output = decode(Format::Bmp, BmpDecoder::new(Cursor::new(bytes)), side, limits)?;
    if let Some(most) = most_of_packed_samples(bytes) {
        // `image` rounds 5 and 6 bits to the nearest of 8, Pillow rounds down.
        for (n, sample) in output.window.iter_mut().enumerate() {
            let most = most[n % 3];
            let stored = (u32::from(*sample) * most + 127) / 255;
            *sample = (stored * 255 / most) as u8;
        }
    }
    Ok(output)
}

/// The greatest red, green and blue of a BMP that packs a pixel into 16 bits; `None` for other kinds.
fn most_of_packed_samples(bytes: &[u8]) -> Option<[u32; 3]> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    // The older header of 12 bytes knows no such kind.
    if number(14)? == 12 || number(28)? & 0xffff != 16 {
        return None;
    }
    let bitfields = number(30)? == 3;
    let most = |mask: u32| (mask != 0).then(|| mask >> mask.trailing_zeros());
    if bitfields { Some([most(number(54)?)?, most(number(58)?)?, most(number(62)?)?]) } else { Some([31; 3]) }
}

pub(super) fn decode_tiff(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    decode(Format::Tiff, TiffDecoder::new(Cursor::new(bytes)), side, limits)
}

fn decode(
    format: Format,
    decoder: ImageResult<impl ImageDecoder>,
    side: usize,
    limits: &Limits,
) -> Result<DecoderOutput, DecodeError> {
    let trouble = |error| trouble(format, error, limits);
    let mut decoder = decoder.map_err(trouble)?;
    let (width, height) = decoder.dimensions();
    limits.admit(format, width, height)?;
    // A second image's worth for the decoder's own buffers.
    limits.afford(decoder.total_bytes().saturating_mul(2))?;
    let mut allowance = image::Limits::no_limits();
    allowance.max_alloc = Some(limits.max_decoded_bytes);
    decoder.set_limits(allowance).map_err(trouble)?;

    let color = decoder.color_type();
    let mut quality = Vec::new();
    if color.has_alpha() {
        quality.push(Quality::Transparent);
    }
    if !color.has_color() {
        quality.push(Quality::Greyscale);
    }
    if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(format.unsupported("floating-point samples"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(trouble)?;
    // Only in TIFF: there the orientation is part of the format, not of a camera's notes, and Pillow applies it.
    image.apply_orientation(orientation);

    let (width, height) = (image.width(), image.height());
    let window = Window::centre(width, height, side);
    Ok(DecoderOutput { width, height, window: rgb_of(&image, &window), quality })
}

fn trouble(format: Format, error: ImageError, limits: &Limits) -> DecodeError {
    match error {
        ImageError::Limits(_) => {
            // The crate does not say how much it wanted.
            let limit = limits.max_decoded_bytes;
            DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit }
        }
        ImageError::Unsupported(error) => format.unsupported(error),
        error => format.damaged(error),
    }
}

/// The window's pixels, of 16 bits the high ones.
fn rgb_of(image: &DynamicImage, window: &Window) -> Vec<u8> {
    let color = image.color();
    let channels = usize::from(color.channel_count());
    let bytes_per_sample = usize::from(color.bytes_per_pixel()) / channels;
    // Samples lie in memory in the machine's order.
    let high = if cfg!(target_endian = "little") { bytes_per_sample - 1 } else { 0 };
    let (raw, row_bytes) = (image.as_bytes(), image.width() as usize * channels * bytes_per_sample);
    let mut pixels = Vec::with_capacity(window.bytes());
    for row in raw.chunks_exact(row_bytes).skip(window.top).take(window.height) {
        for x in window.left..window.right() {
            let sample = |channel: usize| row[(x * channels + channel) * bytes_per_sample + high];
            pixels.extend(if color.has_color() { [sample(0), sample(1), sample(2)] } else { [sample(0); 3] });
        }
    }
    pixels
}
