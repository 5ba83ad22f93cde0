//! AVIF: a HEIF file whose pictures are frames of AV1. Of a grid only the tiles under the window are decoded.

mod av1;
#[cfg(test)]
mod tests;

use av1::{Fault, Frame};

use super::heif::Still;
use super::planes::{Chroma, Planes};
use super::{DecodeError, DecoderOutput, Format, Limits};

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let still = Still::admitted(bytes, Format::Avif, *b"av01", limits)?;
    let (width, height) = (still.width, still.height);

    let window = still.window(side);
    let mut planes: Option<Planes> = None;
    let mut colour = still.colour;
    // The neighbours of the window's border, whatever the chroma.
    let around = Planes::around(&window, width, height, (8, Chroma::None));
    for tile in still.tiles_under(around.part()) {
        let tile = tile.map_err(|trouble| trouble.of(Format::Avif))?;
        let most = u64::from(still.tile_width) * u64::from(still.tile_height);
        let each = av1::bytes_per_pixel(&tile.bytes).map_err(|fault| fault_of(fault, limits))?;
        limits.afford(decoding_bytes(still.tile_width, still.tile_height, each, tile.bytes.len()))?;
        let frame = Frame::decode(&tile.bytes, most).map_err(|fault| fault_of(fault, limits))?;
        if (frame.width(), frame.height()) != (still.tile_width as usize, still.tile_height as usize) {
            return Err(Format::Avif.damaged("a frame of it has other sides than its header says"));
        }
        let kind = (frame.depth(), frame.chroma());
        let planes = planes.get_or_insert_with(|| Planes::around(&window, width, height, kind));
        if planes.kind() != kind {
            return Err(Format::Avif.damaged("its tiles are of different kinds"));
        }
        colour = colour.or_else(|| frame.colour());
        planes
            .put(&frame.planes(), tile.left, tile.top, frame.width(), frame.height())
            .ok_or_else(|| Format::Avif.damaged("a frame of it has too few samples"))?;
    }
    let planes = planes.ok_or_else(|| Format::Avif.damaged("it holds no picture"))?;
    let colour = colour.ok_or_else(|| Format::Avif.damaged("it does not say what its colours are"))?;
    let pixels = planes
        .to_rgb(&window, colour)
        .ok_or_else(|| Format::Avif.unsupported(format_args!("colours by the matrix {}", colour.matrix)))?;
    Ok(still.output(pixels, planes.kind().1 == Chroma::None))
}

/// What rav1d allocates for a frame, at most: it rounds sides up to whole blocks, and a header may split them into tiles down to
/// a block each; and a copy of the coded bytes.
fn decoding_bytes(width: u32, height: u32, each: f64, coded: usize) -> u64 {
    let round = |side: u32| f64::from(side) + 128.0;
    let tiles = |side: u32| u64::from(side).div_ceil(SMALLEST_TILE).min(MOST_TILES);
    (round(width) * round(height) * each) as u64 + tiles(width) * tiles(height) * OF_TILE + 2 * coded as u64
}

/// Pixels of a side.
const SMALLEST_TILE: u64 = 64;
/// Across, and down.
const MOST_TILES: u64 = 64;
/// Bytes of a tile's state, most of which are its probabilities.
const OF_TILE: u64 = 20_000;

#[allow(clippy::needless_pass_by_value, reason = "an error ends where it is made into another")]
fn fault_of(fault: Fault, limits: &Limits) -> DecodeError {
    Format::Avif.damaged(match fault {
        Fault::OutOfMemory => {
            // rav1d does not say how much it wanted.
            let limit = limits.max_decoded_bytes;
            return DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit };
        }
        Fault::TooLarge => "a frame of it is larger than its header says",
        Fault::NoFrame => "it is cut off",
        Fault::Corrupt => "its bitstream is corrupt",
    })
}
