//! BMP by the `image` crate, decoded whole; the header first as viewers read it.

use std::io::{BufReader, Cursor};

use image::codecs::bmp::BmpDecoder;
use image::error::{ImageError, ImageResult};
use image::{DynamicImage, ImageDecoder};

use super::crop::Window;
use super::overlay::Overlay;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

/// The header of the file itself, before that of the picture.
const FILE_HEADER: usize = 14;

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let patches = patches(bytes)?;
    let mut output = if patches.is_empty() {
        decode_by(BmpDecoder::new(Cursor::new(bytes)), side, limits)?
    } else {
        decode_by(BmpDecoder::new(BufReader::new(Overlay::new(bytes, patches))), side, limits)?
    };
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

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Where viewers read a header otherwise than `image` does: places, and what to read there. An error where the pixels would begin
/// within the header: its bytes would be judged as a picture.
fn patches(bytes: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, DecodeError> {
    const OFFSET: usize = 10;
    const COMPRESSION: usize = 30;
    let number = |at| number(bytes, at).ok_or_else(|| Format::Bmp.damaged("its header is cut off"));
    let (offset, size) = (number(OFFSET)? as usize, number(FILE_HEADER)? as usize);
    let mut patches = Vec::new();
    let (bits, compression, colours) = match size {
        12 => (number(24)? as usize & 0xffff, 0, 0),
        _ => (number(28)? as usize & 0xffff, number(COMPRESSION)?, number(46)? as usize),
    };
    let has_masks_behind = size == 40 && compression == 3;
    let header_end = FILE_HEADER + size + if has_masks_behind { 12 } else { 0 };
    let colours = match (bits, colours) {
        (9.., _) => 0,
        (_, 0) => 1 << bits,
        (_, colours) => colours,
    };
    let palette = colours.saturating_mul(if size == 12 { 3 } else { 4 });
    if offset == 0 || (offset == header_end && bits <= 8) {
        // GIMP leaves it out; others forget the palette. As Pillow: the pixels follow what comes before them.
        let end = u32::try_from(header_end.saturating_add(palette));
        let end = end.map_err(|_| Format::Bmp.damaged(format_args!("its palette has {colours} colours")))?;
        patches.push((OFFSET, end.to_le_bytes().to_vec()));
    } else if offset < header_end {
        return Err(
            Format::Bmp.damaged(format_args!("its pixels are said to begin at byte {offset}, within its header"))
        );
    }
    if compression == 3 && matches!(bits, 24 | 32) {
        let masks = [number(54)?, number(58)?, number(62)?];
        // Three or four whole bytes, as they lie there without masks too.
        let is_plain = masks == [0xff_0000, 0xff00, 0xff] && bits == 24 || masks == [0; 3] && bits == 32;
        if is_plain {
            patches.push((COMPRESSION, vec![0; 4]));
        }
    }
    Ok(patches)
}

/// The greatest red, green and blue of a BMP that packs a pixel into 16 bits; `None` for other kinds.
fn most_of_packed_samples(bytes: &[u8]) -> Option<[u32; 3]> {
    let number = |at| number(bytes, at);
    // The older header of 12 bytes knows no such kind.
    if number(14)? == 12 || number(28)? & 0xffff != 16 {
        return None;
    }
    let bitfields = number(30)? == 3;
    let most = |mask: u32| (mask != 0).then(|| mask >> mask.trailing_zeros());
    if bitfields { Some([most(number(54)?)?, most(number(58)?)?, most(number(62)?)?]) } else { Some([31; 3]) }
}

fn decode_by(
    decoder: ImageResult<impl ImageDecoder>,
    side: usize,
    limits: &Limits,
) -> Result<DecoderOutput, DecodeError> {
    let trouble = |error| trouble(error, limits);
    let mut decoder = decoder.map_err(trouble)?;
    let (width, height) = decoder.dimensions();
    limits.admit(Format::Bmp, width, height)?;
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
    let image = DynamicImage::from_decoder(decoder).map_err(trouble)?;
    let window = Window::centre(width, height, side);
    Ok(DecoderOutput { width, height, window: rgb_of(&image, &window), quality })
}

fn trouble(error: ImageError, limits: &Limits) -> DecodeError {
    match error {
        ImageError::Limits(_) => {
            // The crate does not say how much it wanted.
            let limit = limits.max_decoded_bytes;
            DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit }
        }
        ImageError::Unsupported(error) => Format::Bmp.unsupported(error),
        error => Format::Bmp.damaged(error),
    }
}

fn rgb_of(image: &DynamicImage, window: &Window) -> Vec<u8> {
    let color = image.color();
    let channels = usize::from(color.channel_count());
    let row_bytes = image.width() as usize * channels;
    let mut pixels = Vec::with_capacity(window.bytes());
    for row in image.as_bytes().chunks_exact(row_bytes).skip(window.top).take(window.height) {
        for x in window.left..window.right() {
            let sample = |channel: usize| row[x * channels + channel];
            pixels.extend(if color.has_color() { [sample(0), sample(1), sample(2)] } else { [sample(0); 3] });
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use crate::{DecodeError, Limits, decode};

    const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };
    const SIDE: u32 = 256;

    fn data(bytes_per_pixel: u32) -> Vec<u8> {
        (0..SIDE * SIDE * bytes_per_pixel).map(|n| (n * 7 + n / 1000) as u8).collect()
    }

    /// A file whose header of this size ends in the masks, with its pixels at this byte.
    fn file(offset: u32, size: usize, bits: u16, compression: u32, masks: [u32; 3], behind: &[u8]) -> Vec<u8> {
        let mut bytes = b"BM\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend(offset.to_le_bytes());
        bytes.extend((size as u32).to_le_bytes());
        bytes.extend([SIDE.to_le_bytes(), SIDE.to_le_bytes()].concat());
        bytes.extend([1, 0, bits as u8, 0]);
        bytes.extend(compression.to_le_bytes());
        bytes.resize(54, 0);
        if size > 40 {
            bytes.extend(masks.map(u32::to_le_bytes).concat());
        }
        bytes.resize(14 + size, 0);
        bytes.extend(behind);
        bytes
    }

    fn pixels(bytes: &[u8]) -> Vec<u8> {
        decode(bytes, &AMPLE).unwrap().crop.pixels().to_vec()
    }

    /// As the data says: rows from the bottom, blue first.
    fn expected(data: &[u8]) -> Vec<u8> {
        let rows = data.chunks_exact(SIDE as usize * 3).rev();
        rows.flat_map(|row| row.chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])).collect()
    }

    #[test]
    fn three_bytes_a_pixel_may_come_with_masks() {
        let data = data(3);
        let masks = [0xff_0000, 0xff00, 0xff];
        // GIMP's: the newest header, and no offset.
        assert!(pixels(&file(138, 124, 24, 3, masks, &data)) == expected(&data));
        assert!(pixels(&file(0, 124, 24, 3, masks, &data)) == expected(&data));
        let odd = decode(&file(138, 124, 24, 3, [0xff, 0xff00, 0xff_0000], &data), &AMPLE).unwrap_err();
        assert!(matches!(odd, DecodeError::UnsupportedKind { .. } | DecodeError::Damaged { .. }), "{odd}");
    }

    #[test]
    fn without_an_offset_the_pixels_follow_the_header_and_the_palette() {
        let data = data(3);
        assert!(pixels(&file(0, 40, 24, 0, [0; 3], &data)) == expected(&data));
        let palette: Vec<u8> = (0..=255).flat_map(|n| [n, n ^ 0x55, 255 - n, 0]).collect();
        let indices: Vec<u8> = (0..SIDE * SIDE).map(|n| (n * 3 + n / 256) as u8).collect();
        let behind = [palette, indices].concat();
        let want = pixels(&file(54 + 1024, 40, 8, 0, [0; 3], &behind));
        for offset in [0, 54] {
            assert!(pixels(&file(offset, 40, 8, 0, [0; 3], &behind)) == want, "{offset}");
        }
    }

    #[test]
    fn pixels_that_would_begin_within_the_header_are_damage() {
        for (offset, size) in [(1, 40), (14, 40), (53, 40), (54, 124), (137, 124)] {
            let error = decode(&file(offset, size, 24, 0, [0; 3], &data(3)), &AMPLE).unwrap_err();
            assert!(error.to_string().contains("within its header"), "{error}");
        }
    }
}
