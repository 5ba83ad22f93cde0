//! One frame of a GIF, decoded by the `gif` crate.

use std::io::Read;

use gif::{DecodeOptions, DecodingError, MemoryLimit};

use crate::{DecodeError, Format, Limits};

/// A frame as it is stored.
pub(super) struct Picture {
    /// Sides of the canvas: a frame that reaches over the screen widens it.
    pub canvas: (u32, u32),
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    /// The index of what is transparent.
    pub transparent: Option<u8>,
    is_interlaced: bool,
    indices: Vec<u8>,
    pub colours: Colours,
}

impl Picture {
    /// Reads the first frame.
    pub(crate) fn read(from: impl Read, limits: &Limits) -> Result<Picture, DecodeError> {
        let mut options = DecodeOptions::new();
        options.set_memory_limit(match limits.max_decoded_bytes.try_into() {
            Ok(bytes) => MemoryLimit::Bytes(bytes),
            Err(_) => return Err(DecodeError::TooManyDecodedBytes { bytes: 1, limit: 0 }),
        });
        options.allow_unknown_blocks(true);
        let mut decoder = options.read_info(from).map_err(damaged)?;
        let screen = (u32::from(decoder.width()), u32::from(decoder.height()));
        let frame =
            decoder.next_frame_info().map_err(damaged)?.ok_or_else(|| Format::Gif.damaged("it has no frame"))?;

        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        let (transparent, is_interlaced) = (frame.transparent, frame.interlaced);
        let palette = frame.palette.clone();
        let canvas = canvas(screen, (left + width, top + height));
        limits.admit(Format::Gif, canvas.0, canvas.1)?;
        limits.afford((width * height) as u64)?;

        let mut indices = vec![0; decoder.buffer_size()];
        // All at once, and the rows are put in order here: by its own rows the crate fails at narrow ones, where a code is longer
        // than a row.
        if !decoder.fill_buffer(&mut indices).map_err(damaged)? {
            return Err(Format::Gif.damaged("its first frame is cut off"));
        }
        let colours = Colours::of(palette.as_deref().or(decoder.global_palette()).unwrap_or_default());
        Ok(Picture { canvas, left, top, width, height, transparent, is_interlaced, indices, colours })
    }

    /// The index at a place within the frame.
    pub(crate) fn index(&self, x: usize, y: usize) -> u8 {
        let row = if self.is_interlaced { stored_row(y, self.height) } else { y };
        self.indices[row * self.width + x]
    }
}

/// Sides of the canvas, of those of the screen and the ends of the first frame.
pub(super) fn canvas(screen: (u32, u32), (right, bottom): (usize, usize)) -> (u32, u32) {
    (screen.0.max(right as u32), screen.1.max(bottom as u32))
}

/// Where a row of an interlaced frame is stored: every eighth comes first, then those in the middle, and so on.
pub(super) fn stored_row(row: usize, height: usize) -> usize {
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

pub(super) struct Colours {
    palette: Vec<u8>,
    /// Entry n is the grey n: the indices are the pixels themselves, also beyond the palette's end.
    pub are_grey: bool,
}

impl Colours {
    pub(crate) fn of(palette: &[u8]) -> Colours {
        let are_grey =
            palette.chunks_exact(3).enumerate().all(|(n, colour)| colour.iter().all(|&c| usize::from(c) == n));
        Colours { palette: palette.to_vec(), are_grey }
    }

    pub(crate) fn of_index(&self, index: u8) -> [u8; 3] {
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
