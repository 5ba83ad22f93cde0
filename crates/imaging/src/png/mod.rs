//! PNG by the `png` crate, row by row: of an image that is not interlaced nothing below the crop is decoded.
//!
//! Where it fails, the chunks that tell nothing about pixels are left out and it is tried again: viewers care as little for them.
//! PNG of Apple's own kind, which nothing but Apple's programs shows, is decoded as they do it.
//! Where it is animated, its frames are judged in place of the picture that old viewers show.

pub(crate) mod chunks;
mod frames;
mod kind;
#[cfg(test)]
mod tests;

use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Transformations};

use chunks::{from_apples, is_apples, runs_to_its_end, without_accessories};
use frames::Frames;
use kind::Kind;

use super::animation::Animation;
use super::crop::Window;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

/// `None` for a still image.
pub(super) fn animation(bytes: &[u8]) -> Option<Box<dyn Animation + '_>> {
    Some(Box::new(Frames::of(bytes)?))
}

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let centre = |width, height| Window::centre(width, height, side);
    let usual = Reading { order: Order::Usual, is_made_here: false, has_alpha: false };
    if is_apples(bytes) {
        limits.afford(bytes.len() as u64)?;
        let reading = Reading { order: Order::Apples, is_made_here: true, has_alpha: false };
        return decode_stored(&from_apples(bytes), reading, centre, limits);
    }
    let error = match decode_stored(bytes, usual, centre, limits) {
        Err(error @ (DecodeError::Damaged { .. } | DecodeError::TooManyDecodedBytes { .. })) => error,
        other => return other,
    };
    limits.afford(bytes.len() as u64)?;
    let Some(kept) = without_accessories(bytes) else { return Err(error) };
    decode_stored(&kept, usual, centre, limits).map_err(|_| error)
}

/// The order of a pixel's channels.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Usual,
    /// Blue comes first, and each is multiplied by alpha.
    Apples,
}

/// How a file is read.
#[derive(Clone, Copy)]
struct Reading {
    order: Order,
    /// The file was put together here, and has no check sums.
    is_made_here: bool,
    /// Pixels are RGBA, and otherwise RGB.
    has_alpha: bool,
}

/// Decodes the part of the image that `wanted` makes of its sides.
fn decode_stored(
    bytes: &[u8],
    reading: Reading,
    wanted: impl Fn(u32, u32) -> Window,
    limits: &Limits,
) -> Result<DecoderOutput, DecodeError> {
    let allowance = usize::try_from(limits.max_decoded_bytes).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: allowance });
    // Rows as they are stored: what a pixel is is decided here, for the few that are needed.
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.ignore_checksums(reading.is_made_here);
    let trouble = |error| trouble(error, limits);
    let header = decoder.read_header_info().map_err(trouble)?;
    let (width, height) = (header.width, header.height);
    limits.admit(Format::Png, width, height)?;
    let mut reader = decoder.read_info().map_err(trouble)?;

    let window = wanted(width, height);
    let kind = Kind::of(&reader, reading);
    let mut pixels = Vec::with_capacity(window.width * window.height * kind.channels());
    if reader.info().interlaced {
        // The passes fill the image in no order of rows.
        let size = reader.output_buffer_size().ok_or_else(|| Format::Png.damaged("its rows are too long"))?;
        limits.afford(size as u64)?;
        let mut image = vec![0; size];
        let row_bytes = reader.next_frame(&mut image).map_err(trouble)?.line_size;
        for row in image.chunks_exact(row_bytes).skip(window.top).take(window.height) {
            kind.append(row, &window, &mut pixels);
        }
    } else {
        limits.afford(reader.output_line_size(width).map_or(u64::MAX, |line| 4 * line as u64))?;
        // What is below the crop need not be decoded to know that it is there: the chunks say how long they are.
        let rows = if runs_to_its_end(bytes) { window.bottom() } else { height as usize };
        for y in 0..rows {
            let row = reader.next_row().map_err(trouble)?.ok_or_else(|| Format::Png.damaged("rows are missing"))?;
            if (window.top..window.bottom()).contains(&y) {
                kind.append(row.data(), &window, &mut pixels);
            }
        }
    }

    let info = reader.info();
    let mut quality = Vec::new();
    if info.trns.is_some() || matches!(info.color_type, ColorType::GrayscaleAlpha | ColorType::Rgba) {
        quality.push(Quality::Transparent);
    }
    if matches!(info.color_type, ColorType::Grayscale | ColorType::GrayscaleAlpha) {
        quality.push(Quality::Greyscale);
    }
    Ok(DecoderOutput { width, height, window: pixels, quality })
}

fn trouble(error: DecodingError, limits: &Limits) -> DecodeError {
    match error {
        DecodingError::LimitsExceeded => {
            // The crate does not say how much it wanted.
            let limit = limits.max_decoded_bytes;
            DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit }
        }
        error => Format::Png.damaged(error),
    }
}
