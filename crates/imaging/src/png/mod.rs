//! PNG by the `png` crate, row by row: of an image that is not interlaced nothing below the crop is decoded.
//!
//! Where it fails, the chunks that tell nothing about pixels are left out and it is tried again: viewers care as little for them.
//! PNG of Apple's own kind, which nothing but Apple's programs shows, is decoded as they do it.

mod chunks;
#[cfg(test)]
mod tests;

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Reader, Transformations};

use chunks::{from_apples, is_animated, is_apples, runs_to_its_end, without_accessories};

use super::crop::Window;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    if is_apples(bytes) {
        limits.afford(bytes.len() as u64)?;
        return decode_stored(&from_apples(bytes), Order::Apples, side, limits);
    }
    let error = match decode_stored(bytes, Order::Usual, side, limits) {
        Err(error @ (DecodeError::Damaged { .. } | DecodeError::TooManyDecodedBytes { .. })) => error,
        other => return other,
    };
    limits.afford(bytes.len() as u64)?;
    let Some(kept) = without_accessories(bytes) else { return Err(error) };
    let mut output = decode_stored(&kept, Order::Usual, side, limits).map_err(|_| error)?;
    if is_animated(bytes) {
        output.quality.insert(0, Quality::Animated);
    }
    Ok(output)
}

/// The order of a pixel's channels.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Usual,
    /// Blue comes first, and each is multiplied by alpha.
    Apples,
}

fn decode_stored(bytes: &[u8], order: Order, side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let allowance = usize::try_from(limits.max_decoded_bytes).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: allowance });
    // Rows as they are stored: what a pixel is is decided here, for the few that are needed.
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    if order == Order::Apples {
        // There are none.
        decoder.ignore_checksums(true);
    }
    let trouble = |error| trouble(error, limits);
    let header = decoder.read_header_info().map_err(trouble)?;
    let (width, height) = (header.width, header.height);
    limits.admit(Format::Png, width, height)?;
    let mut reader = decoder.read_info().map_err(trouble)?;

    let window = Window::centre(width, height, side);
    let kind = Kind::of(&reader, order);
    let mut pixels = Vec::with_capacity(window.bytes());
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
    if info.animation_control.is_some_and(|control| control.num_frames > 1) {
        quality.push(Quality::Animated);
    }
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

/// What the bytes of a row mean.
struct Kind {
    color: ColorType,
    depth: BitDepth,
    palette: Vec<u8>,
    order: Order,
}

impl Kind {
    fn of(reader: &Reader<Cursor<&[u8]>>, order: Order) -> Kind {
        let info = reader.info();
        Kind {
            color: info.color_type,
            depth: info.bit_depth,
            palette: info.palette.as_deref().unwrap_or_default().to_vec(),
            order,
        }
    }

    /// Appends the window's part of a row as RGB.
    fn append(&self, row: &[u8], window: &Window, pixels: &mut Vec<u8>) {
        for x in window.left..window.right() {
            let sample = |channels: usize, channel: usize| self.sample(row, x * channels + channel);
            match self.color {
                ColorType::Grayscale => {
                    let most = match self.depth {
                        BitDepth::One => 1,
                        BitDepth::Two => 3,
                        BitDepth::Four => 15,
                        BitDepth::Eight | BitDepth::Sixteen => 255,
                    };
                    pixels.extend([sample(1, 0) * (255 / most); 3]);
                }
                ColorType::GrayscaleAlpha => pixels.extend([sample(2, 0); 3]),
                ColorType::Rgb if self.order == Order::Apples => {
                    pixels.extend([sample(3, 2), sample(3, 1), sample(3, 0)]);
                }
                ColorType::Rgba if self.order == Order::Apples => {
                    let alpha = u32::from(sample(4, 3));
                    // What is transparent has no colour left.
                    let divided = |level: u8| match alpha {
                        0 => 0,
                        alpha => ((u32::from(level) * 255 + alpha / 2) / alpha).min(255) as u8,
                    };
                    pixels.extend([2, 1, 0].map(|channel| divided(sample(4, channel))));
                }
                ColorType::Rgb => pixels.extend([sample(3, 0), sample(3, 1), sample(3, 2)]),
                ColorType::Rgba => pixels.extend([sample(4, 0), sample(4, 1), sample(4, 2)]),
                ColorType::Indexed => {
                    let entry = usize::from(sample(1, 0)) * 3;
                    // Beyond the palette's end lies black.
                    pixels.extend(self.palette.get(entry..entry + 3).unwrap_or(&[0; 3]));
                }
            }
        }
    }

    /// The sample at a place of the row; of 16 bits the high ones.
    fn sample(&self, row: &[u8], place: usize) -> u8 {
        let bits = match self.depth {
            BitDepth::Eight => return row[place],
            BitDepth::Sixteen => return row[place * 2],
            BitDepth::One => 1,
            BitDepth::Two => 2,
            BitDepth::Four => 4,
        };
        let bit = place * bits;
        row[bit / 8] >> (8 - bits - bit % 8) & ((1 << bits) - 1)
    }
}
