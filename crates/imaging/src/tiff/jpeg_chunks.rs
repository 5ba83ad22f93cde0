//! JPEG within a TIFF: each tile or strip is one, with tables that they share. Only those are decoded that the window needs.

use super::directory::tag;
use super::page::{Colour, Page};
use crate::colour::rgb_of_cmyk;
use crate::crop::Window;
use crate::jpeg;
use crate::{DecodeError, Format, Limits};

/// How often tiles may have the same data, on average: a small file could keep a decoder busy for long otherwise.
const MAX_SHARING: usize = 16;

/// The window's pixels.
pub(super) fn decode(bytes: &[u8], page: &Page<'_>, window: &Window, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    if page.is_planar {
        return Err(Format::Tiff.unsupported("JPEG with each channel apart"));
    }
    if page.bits != 8 {
        return Err(Format::Tiff.unsupported(format_args!("JPEG with {} bits a sample", page.bits)));
    }
    let chunks = Chunks::of(page)?;
    let mut pixels = vec![0; window.bytes()];
    let mut read = 0;
    let rows = window.top / chunks.height..window.bottom().div_ceil(chunks.height);
    for row in rows {
        for column in window.left / chunks.width..window.right().div_ceil(chunks.width) {
            let data = chunks.data(bytes, row, column)?;
            read += data.len();
            if read / MAX_SHARING > bytes.len() {
                return Err(Format::Tiff.damaged("its tiles share their data"));
            }
            let stream = complete(page, data)?;
            let chunk = jpeg::whole(&stream, chunks.width, chunks.height, limits)?;
            let (left, top) = (column * chunks.width, row * chunks.height);
            for y in window.top.max(top)..window.bottom().min(top + chunks.height) {
                for x in window.left.max(left)..window.right().min(left + chunks.width) {
                    let to = ((y - window.top) * window.width + x - window.left) * 3;
                    // Where a chunk is smaller than the tags say, its border goes on.
                    let (x, y) = ((x - left).min(chunk.width - 1), (y - top).min(chunk.height - 1));
                    let from = (y * chunk.width + x) * chunk.channels;
                    pixels[to..to + 3].copy_from_slice(&match chunk.pixels[from..from + chunk.channels] {
                        [c, m, y, k] => rgb_of_cmyk([c, m, y, k]),
                        [r, g, b] if page.colour == Colour::WhiteIsZero => [255 - r, 255 - g, 255 - b],
                        [r, g, b] => [r, g, b],
                        _ => [0; 3],
                    });
                }
            }
        }
    }
    Ok(pixels)
}

/// Where the tiles or strips are.
struct Chunks {
    width: usize,
    height: usize,
    across: usize,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

impl Chunks {
    fn of(page: &Page<'_>) -> Result<Chunks, DecodeError> {
        let directory = &page.directory;
        let missing = || Format::Tiff.damaged("where its data lies is missing");
        let (page_width, page_height) = (page.width as usize, page.height as usize);
        let is_tiled = directory.has(tag::TILE_WIDTH);
        let (width, height, offsets, lengths) = if is_tiled {
            let side = |tag| directory.number(tag).and_then(|side| usize::try_from(side).ok()).ok_or_else(missing);
            (side(tag::TILE_WIDTH)?, side(tag::TILE_HEIGHT)?, tag::TILE_OFFSETS, tag::TILE_BYTES)
        } else {
            // One strip holds all where nothing is said.
            let rows =
                directory.number(tag::ROWS_PER_STRIP).map_or(page_height, |rows| rows.min(page_height as u64) as usize);
            (page_width, rows, tag::STRIP_OFFSETS, tag::STRIP_BYTES)
        };
        if !(1..=65535).contains(&width) || !(1..=65535).contains(&height) {
            return Err(Format::Tiff.damaged(format_args!("its tiles are {width}×{height} pixels")));
        }
        let numbers = |tag| directory.numbers(tag).ok_or_else(missing);
        let across = page_width.div_ceil(width);
        Ok(Chunks { width, height, across, offsets: numbers(offsets)?, lengths: numbers(lengths)? })
    }

    fn data<'a>(&self, bytes: &'a [u8], row: usize, column: usize) -> Result<&'a [u8], DecodeError> {
        let number = row * self.across + column;
        let range = || {
            let start = usize::try_from(*self.offsets.get(number)?).ok()?;
            let length = usize::try_from(*self.lengths.get(number)?).ok()?;
            bytes.get(start..start.checked_add(length)?)
        };
        range().ok_or_else(|| Format::Tiff.damaged(format_args!("the data of its tile {number} is cut off")))
    }
}

/// A whole JPEG: the shared tables come first, and what the tags say of its colours.
fn complete(page: &Page<'_>, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let body = data.strip_prefix(b"\xff\xd8").ok_or_else(|| Format::Tiff.damaged("a tile is no JPEG"))?;
    let tables = page.directory.bytes(tag::JPEG_TABLES).unwrap_or_default();
    let tables = tables.strip_prefix(b"\xff\xd8").unwrap_or_default();
    let tables = tables.strip_suffix(b"\xff\xd9").unwrap_or(tables);
    // Adobe's marker: without it libjpeg-turbo guesses.
    let transform: &[u8] = match page.colour {
        Colour::YCbCr => b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01",
        Colour::Rgb | Colour::Cmyk => b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0",
        _ => b"",
    };
    Ok([b"\xff\xd8", transform, tables, body].concat())
}
