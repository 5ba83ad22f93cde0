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
    let transparent = frame.transparent;
    let palette = frame.palette.clone();
    // A frame that reaches over the screen widens it.
    let width = screen.0.max((frame_left + frame_width) as u32);
    let height = screen.1.max((frame_top + frame_height) as u32);
    limits.admit(Format::Gif, width, height)?;
    limits.afford((frame_width * frame_height) as u64)?;

    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(damaged)?;

    let palette = palette.as_deref().or(decoder.global_palette()).unwrap_or_default().to_vec();
    let colours = Colours::of(&palette);
    let window = Window::centre(width, height, side);
    let mut pixels = Vec::with_capacity(window.bytes());
    for y in window.top..window.bottom() {
        for x in window.left..window.right() {
            let inside = (frame_left..frame_left + frame_width).contains(&x)
                && (frame_top..frame_top + frame_height).contains(&y);
            let index = if inside {
                indices[(y - frame_top) * frame_width + x - frame_left]
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
