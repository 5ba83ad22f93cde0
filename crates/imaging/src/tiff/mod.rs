//! TIFF: the pages by their tags, uncompressed and losslessly compressed samples by the `tiff` crate, JPEG by libjpeg-turbo.
//!
//! The pixels are Pillow's; those of YCbCr without JPEG may be a level off. Of several pages the first is judged that is no
//! smaller copy of another. Not supported are floating point, Lab, Zstandard, JPEG of the old kind, and camera raw.

pub(crate) mod directory;
mod jpeg_chunks;
mod page;
#[cfg(test)]
mod tests;

use std::io::BufReader;

use tiff::TiffError;
use tiff::decoder::{Decoder, DecodingResult};

use crate::colour::{rgb_of_cmyk, rgb_of_ycbcr};
use crate::crop::Window;
use crate::orientation::Turn;
use crate::overlay::Overlay;
use crate::{DecodeError, DecoderOutput, Format, Limits, Quality};
use directory::{File, tag};
use page::{Colour, Page};

/// Compression by JPEG, of the new kind and of the old one.
const JPEG: u64 = 7;
const OLD_JPEG: u64 = 6;

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let file = File::new(bytes);
    let page = Page::choose(file, bytes)?;
    limits.admit(Format::Tiff, page.width, page.height)?;
    // In TIFF that is part of the format, not of a camera's notes, and Pillow does it.
    let turn = Turn::new(page.width, page.height, page.orientation);
    let (width, height) = turn.sides();
    let window = Window::centre(width, height, side);
    let pixels = match page.compression {
        OLD_JPEG => return Err(Format::Tiff.unsupported("JPEG of the old kind within it")),
        JPEG => {
            let stored = turn.stored(&window);
            let pixels = jpeg_chunks::decode(bytes, &page, &stored, limits)?;
            let at = |x: usize, y: usize| {
                let place = ((y - stored.top) * stored.width + x - stored.left) * 3;
                [pixels[place], pixels[place + 1], pixels[place + 2]]
            };
            turn.collect(&window, at)
        }
        _ => {
            let samples = Samples::read(bytes, file, &page, limits)?;
            turn.collect(&window, |x, y| samples.rgb(x, y))
        }
    };
    let mut quality = Vec::new();
    if page.has_alpha {
        quality.push(Quality::Transparent);
    }
    if matches!(page.colour, Colour::WhiteIsZero | Colour::BlackIsZero) {
        quality.push(Quality::Greyscale);
    }
    Ok(DecoderOutput { width, height, window: pixels, quality })
}

/// All samples of a page.
struct Samples {
    data: DecodingResult,
    /// Bytes of a row, and of a plane where the channels lie apart.
    row: usize,
    plane: Option<usize>,
    /// Samples of a pixel that lie together.
    together: usize,
    bits: usize,
    colour: Colour,
    /// Red, green and blue of each index, high bytes only.
    palette: Vec<[u8; 3]>,
}

impl Samples {
    fn read(bytes: &[u8], file: File<'_>, page: &Page<'_>, limits: &Limits) -> Result<Samples, DecodeError> {
        if !matches!(page.bits, 1 | 2 | 4 | 8 | 16) {
            return Err(Format::Tiff.unsupported(format_args!("{} bits a sample", page.bits)));
        }
        let row_bytes = (u64::from(page.width) * page.samples as u64).saturating_mul(page.bits).div_ceil(8);
        // A second image's worth for the decoder's own buffers.
        limits.afford(row_bytes.saturating_mul(u64::from(page.height)).saturating_mul(2))?;

        let mut patches = file.with_only(&page.directory).to_vec();
        if matches!(page.colour, Colour::Palette | Colour::WhiteIsZero) {
            // To the crate these are grey levels; what they mean is decided here.
            let place = page.directory.place_of_short(tag::PHOTOMETRIC);
            patches.push((
                place.ok_or_else(|| Format::Tiff.damaged("what its samples mean is no number"))?,
                file.short(1),
            ));
        }
        let trouble = |error| trouble(error, limits);
        let mut decoder = Decoder::new(BufReader::new(Overlay::new(bytes, patches))).map_err(trouble)?;
        let mut allowance = tiff::decoder::Limits::default();
        let most = usize::try_from(limits.max_decoded_bytes).unwrap_or(usize::MAX);
        allowance.decoding_buffer_size = most;
        allowance.intermediate_buffer_size = most;
        allowance.ifd_value_size = allowance.ifd_value_size.min(most);
        decoder = decoder.with_limits(allowance);

        let mut data = DecodingResult::U8(Vec::new());
        let layout = decoder.read_image_to_buffer(&mut data).map_err(trouble)?;
        let row = layout.row_stride.map_or(0, usize::from);
        let color = decoder.colortype().map_err(trouble)?;
        if data.as_buffer(0).as_bytes().len() < layout.complete_len {
            return Err(Format::Tiff.damaged("channels are missing"));
        }
        Ok(Samples {
            data,
            row,
            plane: page.is_planar.then(|| layout.plane_stride.map_or(0, usize::from)),
            together: if page.is_planar { 1 } else { usize::from(color.num_samples()) },
            bits: page.bits as usize,
            colour: page.colour,
            palette: palette(page)?,
        })
    }

    /// The sample of a channel as it is stored; of 16 bits the whole number.
    fn stored(&self, x: usize, y: usize, channel: usize) -> usize {
        let (start, place) = match self.plane {
            Some(plane) => (plane * channel + self.row * y, x),
            None => (self.row * y, x * self.together + channel),
        };
        match &self.data {
            DecodingResult::U16(words) => words.get(start / 2 + place).map_or(0, |&word| word.into()),
            DecodingResult::U8(bytes) => {
                let bit = place * self.bits;
                let byte = bytes.get(start + bit / 8).map_or(0, |&byte| usize::from(byte));
                byte >> (8 - self.bits - bit % 8) & ((1 << self.bits) - 1)
            }
            _ => 0,
        }
    }

    /// The sample on eight bits.
    fn level(&self, x: usize, y: usize, channel: usize) -> u8 {
        let stored = self.stored(x, y, channel);
        match self.bits {
            16 => (stored >> 8) as u8,
            bits => (stored * 255 / ((1 << bits) - 1)) as u8,
        }
    }

    fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let level = |channel| self.level(x, y, channel);
        match self.colour {
            Colour::BlackIsZero => [level(0); 3],
            Colour::WhiteIsZero => [255 - level(0); 3],
            Colour::Rgb => [level(0), level(1), level(2)],
            // Beyond the palette's end lies black.
            Colour::Palette => self.palette.get(self.stored(x, y, 0)).copied().unwrap_or_default(),
            Colour::Cmyk => rgb_of_cmyk([level(0), level(1), level(2), level(3)]),
            Colour::YCbCr => rgb_of_ycbcr([level(0), level(1), level(2)]),
        }
    }
}

/// All reds come first, then all greens and all blues, in 16 bits each.
fn palette(page: &Page<'_>) -> Result<Vec<[u8; 3]>, DecodeError> {
    if page.colour != Colour::Palette {
        return Ok(Vec::new());
    }
    let map = page.directory.numbers(tag::COLOUR_MAP).filter(|map| map.len() >= 3);
    let map = map.ok_or_else(|| Format::Tiff.damaged("its palette is missing"))?;
    let colours = map.len() / 3;
    // Some writers fill the low bytes alone.
    let shift = if map.iter().all(|&number| number < 256) { 0 } else { 8 };
    let part = |channel: usize, n: usize| (map[channel * colours + n] >> shift) as u8;
    Ok((0..colours).map(|n| [part(0, n), part(1, n), part(2, n)]).collect())
}

fn trouble(error: TiffError, limits: &Limits) -> DecodeError {
    match error {
        TiffError::LimitsExceeded => {
            // The crate does not say how much it wanted.
            let limit = limits.max_decoded_bytes;
            DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit }
        }
        TiffError::UnsupportedError(error) => Format::Tiff.unsupported(error),
        error => Format::Tiff.damaged(error),
    }
}
