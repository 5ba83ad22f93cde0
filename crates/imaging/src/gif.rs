//! GIF by the `gif` crate: the first frame on its canvas.

use gif::{DecodeOptions, DecodingError, MemoryLimit};

use super::crop::Window;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let mut options = DecodeOptions::new();
    options.set_memory_limit(match limits.max_decoded_bytes.try_into() {
        Ok(bytes) => MemoryLimit::Bytes(bytes),
        Err(_) => return Err(DecodeError::TooManyDecodedBytes { bytes: 1, limit: 0 }),
    });
    options.allow_unknown_blocks(true);
    let mut decoder = options.read_info(bytes).map_err(damaged)?;
    let screen = (u32::from(decoder.width()), u32::from(decoder.height()));
    let frame = decoder.next_frame_info().map_err(damaged)?.ok_or_else(|| Format::Gif.damaged("it has no frame"))?;

    let (frame_left, frame_top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let (transparent, is_interlaced) = (frame.transparent, frame.interlaced);
    let palette = frame.palette.clone();
    // A frame that reaches over the screen widens it.
    let width = screen.0.max((frame_left + frame_width) as u32);
    let height = screen.1.max((frame_top + frame_height) as u32);
    limits.admit(Format::Gif, width, height)?;
    limits.afford((frame_width * frame_height) as u64)?;

    let mut indices = vec![0; decoder.buffer_size()];
    // All at once, and the rows are put in order here: by its own rows the crate fails at narrow ones, where a code is longer than
    // a row.
    if !decoder.fill_buffer(&mut indices).map_err(damaged)? {
        return Err(Format::Gif.damaged("its first frame is cut off"));
    }

    let palette = palette.as_deref().or(decoder.global_palette()).unwrap_or_default().to_vec();
    let colours = Colours::of(&palette);
    let window = Window::centre(width, height, side);
    let mut pixels = Vec::with_capacity(window.bytes());
    for y in window.top..window.bottom() {
        for x in window.left..window.right() {
            let inside = (frame_left..frame_left + frame_width).contains(&x)
                && (frame_top..frame_top + frame_height).contains(&y);
            let index = if inside {
                let row = if is_interlaced { stored_row(y - frame_top, frame_height) } else { y - frame_top };
                indices[row * frame_width + x - frame_left]
            } else {
                // What no frame covers is transparent, or else of the first colour.
                transparent.unwrap_or(0)
            };
            pixels.extend(colours.of_index(index));
        }
    }

    let mut quality = Vec::new();
    if matches!(decoder.next_frame_info(), Ok(Some(_))) {
        quality.push(Quality::Animated);
    }
    if transparent.is_some() {
        quality.push(Quality::Transparent);
    }
    if colours.are_grey {
        quality.push(Quality::Greyscale);
    }
    Ok(DecoderOutput { width, height, window: pixels, quality })
}

/// Where a row of an interlaced frame is stored: every eighth comes first, then those in the middle, and so on.
fn stored_row(row: usize, height: usize) -> usize {
    let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
    let mut before = 0;
    for (first, step) in passes {
        if row % step == first {
            return before + row / step;
        }
        before += height.saturating_sub(first).div_ceil(step);
    }
    before
}

fn damaged(error: DecodingError) -> DecodeError {
    Format::Gif.damaged(error)
}

struct Colours<'a> {
    palette: &'a [u8],
    /// Entry n is the grey n: the indices are the pixels themselves, also beyond the palette's end.
    are_grey: bool,
}

impl Colours<'_> {
    fn of(palette: &[u8]) -> Colours<'_> {
        let are_grey =
            palette.chunks_exact(3).enumerate().all(|(n, colour)| colour.iter().all(|&c| usize::from(c) == n));
        Colours { palette, are_grey }
    }

    fn of_index(&self, index: u8) -> [u8; 3] {
        if self.are_grey {
            return [index; 3];
        }
        let entry = usize::from(index) * 3;
        self.palette.get(entry..entry + 3).map_or([0; 3], |colour| [colour[0], colour[1], colour[2]])
    }
}

#[cfg(test)]
mod tests {
    use super::stored_row;
    use crate::{Limits, decode};

    const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };

    fn encoded(width: u16, height: u16, indices: Vec<u8>, interlaced: bool) -> Vec<u8> {
        let palette: Vec<u8> = (0..=255u8).flat_map(|n| [n, n ^ 0x55, 255 - n]).collect();
        let mut frame = gif::Frame::from_indexed_pixels(width, height, indices, None);
        frame.interlaced = interlaced;
        let mut bytes = Vec::new();
        gif::Encoder::new(&mut bytes, width, height, &palette).unwrap().write_frame(&frame).unwrap();
        bytes
    }

    #[test]
    fn interlaced_rows_come_in_their_order_however_narrow_they_are() {
        for (width, height) in [(1, 1), (1, 500), (2, 300), (3, 500), (7, 9), (300, 3), (300, 277), (1, 2000)] {
            // Long runs of one colour: their codes stand for more than a row.
            let rows: Vec<Vec<u8>> = (0..height).map(|y| vec![(y / 40) as u8 * 3; width]).collect();
            let stored: Vec<&Vec<u8>> = {
                let mut places: Vec<usize> = (0..height).collect();
                places.sort_by_key(|&row| stored_row(row, height));
                places.into_iter().map(|row| &rows[row]).collect()
            };
            let interlaced =
                encoded(width as u16, height as u16, stored.into_iter().flatten().copied().collect(), true);
            let plain = encoded(width as u16, height as u16, rows.concat(), false);
            assert_eq!(decode(&interlaced, &AMPLE), decode(&plain, &AMPLE), "{width}×{height}");
            assert!(decode(&plain, &AMPLE).is_ok());
        }
    }

    #[test]
    fn the_passes_hold_each_row_once() {
        let order = |height: usize| {
            let mut rows: Vec<usize> = (0..height).collect();
            rows.sort_by_key(|&row| stored_row(row, height));
            rows
        };
        assert_eq!(order(17), [0, 8, 16, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15]);
        assert_eq!(order(3), [0, 2, 1]);
        for height in 1..40 {
            let mut places: Vec<usize> = (0..height).map(|row| stored_row(row, height)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..height), "{height}");
        }
    }
}
