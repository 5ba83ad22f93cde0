//! JPEG XL by jxl-rs, the decoder of its authors that browsers have: the first frame, on this thread alone.
//!
//! It tells no part of an image apart, so all of it is decoded. Orientation is left alone, as EXIF's is in other formats: a JPEG
//! that was packed into a JPEG XL gives the pixels that it gave before.

use jxl::api::{
    Event, ExtraChannel, JxlColorType, JxlDataFormat, JxlDecoder, JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat,
    ProfileLevel,
};
use jxl::error::Error;

use super::colour::rgb_of_cmyk;
use super::crop::Window;
use super::orientation::Orientation;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

/// More channels beside colour than encoders write.
const MAX_EXTRA_CHANNELS: usize = 16;

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let (width, height, extra) = header(bytes, limits)?;
    limits.admit(Format::Jxl, width, height)?;
    if extra > MAX_EXTRA_CHANNELS {
        return Err(Format::Jxl.unsupported(format_args!("{extra} channels beside colour")));
    }
    let most_samples = samples(width, height, extra);
    limits.afford(decoding_bytes(most_samples, bytes.len()))?;

    let (mut decoder, mut input) = (decoder(Some(most_samples)), bytes);
    advance(&mut decoder, &mut input, None, limits, |event| matches!(event, Event::BasicInfo))?;
    let info = decoder.basic_info().ok_or_else(|| Format::Jxl.damaged("it has no header"))?;
    let has = |kind: ExtraChannel| info.extra_channels.iter().any(|channel| channel.ec_type == kind);
    let (is_moving, is_transparent) = (info.animation.is_some(), has(ExtraChannel::Alpha));
    let is_grey = decoder.current_pixel_format().is_some_and(|format| format.color_type.is_grayscale());
    let color_type = match (is_grey, has(ExtraChannel::Black)) {
        (true, _) => JxlColorType::Grayscale,
        (false, true) => JxlColorType::Cmyk,
        (false, false) => JxlColorType::Rgb,
    };
    decoder
        .set_pixel_format(JxlPixelFormat {
            color_type,
            color_data_format: Some(JxlDataFormat::U8 { bit_depth: 8 }),
            extra_channel_format: vec![None; extra],
        })
        .map_err(|error| trouble(&error, limits))?;

    let channels = color_type.samples_per_pixel();
    let stride = width as usize * channels;
    let mut image = vec![0; stride * height as usize];
    {
        let mut buffers = [JxlOutputBuffer::new(&mut image, height as usize, stride)];
        let ends = |event: &Event| matches!(event, Event::FrameComplete { .. });
        advance(&mut decoder, &mut input, Some(&mut buffers), limits, ends)?;
    }

    let window = Window::centre(width, height, side);
    let mut pixels = Vec::with_capacity(window.bytes());
    for row in image.chunks_exact(stride).skip(window.top).take(window.height) {
        let row = &row[window.left * channels..window.right() * channels];
        match color_type {
            JxlColorType::Grayscale => pixels.extend(row.iter().flat_map(|&level| [level; 3])),
            // Ink is what is missing of the light.
            JxlColorType::Cmyk => {
                let inks = row.as_chunks::<4>().0.iter().map(|light| light.map(|level| 255 - level));
                pixels.extend(inks.flat_map(rgb_of_cmyk));
            }
            _ => pixels.extend_from_slice(row),
        }
    }

    let mut quality = Vec::new();
    if is_moving {
        quality.push(Quality::Animated);
    }
    if is_transparent {
        quality.push(Quality::Transparent);
    }
    if is_grey {
        quality.push(Quality::Greyscale);
    }
    quality.push(Quality::UnfamiliarCodec);
    Ok(DecoderOutput { width, height, window: pixels, quality })
}

/// How the image is turned and mirrored to be looked at. `None` where its header can't be read.
pub(super) fn orientation(mut bytes: &[u8], limits: &Limits) -> Option<Orientation> {
    let mut decoder = decoder(None);
    advance(&mut decoder, &mut bytes, None, limits, |event| matches!(event, Event::BasicInfo)).ok()?;
    Orientation::of(decoder.basic_info()?.orientation as u64)
}

fn decoder(most_samples: Option<u64>) -> JxlDecoder {
    let mut options = JxlDecoderOptions::default();
    options.adjust_orientation = false;
    options.max_profile_level = ProfileLevel::Main10;
    options.sample_limit = most_samples.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    JxlDecoder::new(options)
}

/// Sides, and the channels beside colour. Nothing is allocated for pixels.
fn header(mut bytes: &[u8], limits: &Limits) -> Result<(u32, u32, usize), DecodeError> {
    let mut decoder = decoder(None);
    advance(&mut decoder, &mut bytes, None, limits, |event| matches!(event, Event::BasicInfo))?;
    let info = decoder.basic_info().ok_or_else(|| Format::Jxl.damaged("it has no header"))?;
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    Ok((side(info.size.0), side(info.size.1), info.extra_channels.len()))
}

/// The most samples that a frame may have: those of the image, and some for frames that small images take parts from.
fn samples(width: u32, height: u32, extra: usize) -> u64 {
    (u64::from(width) * u64::from(height) + (1 << 16)) * (3 + extra as u64)
}

/// Decodes as far as this event.
fn advance(
    decoder: &mut JxlDecoder,
    input: &mut &[u8],
    mut buffers: Option<&mut [JxlOutputBuffer]>,
    limits: &Limits,
    ends: impl Fn(&Event) -> bool,
) -> Result<(), DecodeError> {
    loop {
        let event = decoder.process(input, buffers.as_deref_mut(), None).map_err(|error| trouble(&error, limits))?;
        match event {
            event if ends(&event) => return Ok(()),
            Event::NeedMoreInput { .. } => return Err(Format::Jxl.damaged("it is cut off")),
            Event::Complete => return Err(Format::Jxl.damaged("it has no frame to show")),
            _ => {}
        }
    }
}

/// What jxl-rs allocates for what encoders write: the levels, and nearly as much for groups on their way to them. Some kinds take
/// more, which it asks for in a way that may be refused.
fn decoding_bytes(samples: u64, coded: usize) -> u64 {
    samples * 2 + 2 * coded as u64
}

fn trouble(error: &Error, limits: &Limits) -> DecodeError {
    match error {
        Error::OutOfMemory(_) | Error::ImageOutOfMemory(..) => {
            let limit = limits.max_decoded_bytes;
            DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit }
        }
        Error::ImageDimensionTooLarge(side) => {
            DecodeError::TooManyPixels { width: *side, height: *side, limit: limits.max_pixels }
        }
        Error::ImageSizeTooLarge(width, height) => {
            let (width, height) = (*width as u64, *height as u64);
            DecodeError::TooManyPixels { width, height, limit: limits.max_pixels }
        }
        other => Format::Jxl.damaged(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::{DecodeError, Decoded, Format, Limits, Orientation, Quality, decode, window};

    const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };
    const STILL: &[u8] = include_bytes!("../samples/still.jxl");
    const ALPHA: &[u8] = include_bytes!("../samples/alpha.jxl");
    const GREY: &[u8] = include_bytes!("../samples/grey.jxl");
    const MOVING: &[u8] = include_bytes!("../samples/moving.jxl");
    const OF_JPEG: &[u8] = include_bytes!("../samples/jpeg.jxl");

    fn judged(bytes: &[u8]) -> Decoded {
        decode(bytes, &AMPLE).unwrap()
    }

    #[test]
    fn every_kind_of_jpeg_xl_gives_its_picture_and_says_what_it_is() {
        use Quality::{Animated, Greyscale, LowResolution, Transparent, UnfamiliarCodec};
        for (name, bytes, quality) in [
            ("still", STILL, vec![LowResolution, UnfamiliarCodec]),
            ("alpha", ALPHA, vec![LowResolution, Transparent, UnfamiliarCodec]),
            ("grey", GREY, vec![LowResolution, Greyscale, UnfamiliarCodec]),
            ("moving", MOVING, vec![LowResolution, Animated, UnfamiliarCodec]),
            ("of a JPEG", OF_JPEG, vec![LowResolution, UnfamiliarCodec]),
        ] {
            let decoded = judged(bytes);
            assert_eq!((decoded.format, decoded.width, decoded.height), (Format::Jxl, 64, 48), "{name}");
            assert_eq!(decoded.quality, quality, "{name}");
            let picture = window(bytes, 1024, &AMPLE).unwrap().picture;
            for (place, pixel) in picture.rgb().chunks_exact(3).enumerate() {
                let (x, y) = ((place % 64) as f64, (place / 64) as f64);
                let [red, green, blue] = [x * 255.0 / 63.0, y * 255.0 / 47.0, 255.0 - (x + y) * 255.0 / 110.0];
                let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
                let want = if name == "grey" { [grey; 3] } else { [red, green, blue] };
                for (&level, want) in pixel.iter().zip(want) {
                    assert!((f64::from(level) - want).abs() < 40.0, "{name} at {x}, {y}: {pixel:?}, not {want:?}");
                }
            }
        }
    }

    /// A code stream that says these sides, and nothing more.
    fn claiming(width: u64, height: u64) -> Vec<u8> {
        // Not small; 30 bits of height less one; no ratio; 30 bits of width less one; then headers of defaults.
        let bits: u128 = 3 << 1 | u128::from(height - 1) << 3 | 3 << 36 | u128::from(width - 1) << 38 | 3 << 68;
        [&[0xff, 0x0a][..], &bits.to_le_bytes(), &[0; 64]].concat()
    }

    #[test]
    fn the_header_says_how_the_image_is_turned() {
        assert_eq!(super::orientation(STILL, &AMPLE), Some(Orientation::STORED));
        for way in 1..=8 {
            // Not all is default and there is an orientation; 8 bits a sample; colours, tones and transform are default.
            let header = 0b10 | u128::from(way - 1) << 2 | 1 << 11 | 0b111 << 14 | 1 << 19;
            let bits: u128 = 3 << 1 | 63 << 3 | 3 << 36 | 63 << 38 | header << 68;
            let bytes = [&[0xff, 0x0a][..], &bits.to_le_bytes(), &[0; 64]].concat();
            assert_eq!(super::orientation(&bytes, &AMPLE), Orientation::of(way), "{way}");
        }
    }

    #[test]
    fn limits_hold_by_the_header_alone() {
        for side in [30_000, 1 << 30] {
            let error = decode(&claiming(side, side), &AMPLE).unwrap_err();
            assert!(matches!(error, DecodeError::TooManyPixels { .. }), "{error}");
        }
        let tight = Limits { max_decoded_bytes: 60_000, ..AMPLE };
        assert!(matches!(decode(STILL, &tight), Err(DecodeError::TooManyDecodedBytes { .. })));
    }

    #[test]
    fn a_file_cut_off_is_damaged() {
        for bytes in [STILL, ALPHA, GREY, OF_JPEG] {
            let whole = judged(bytes);
            for length in 0..bytes.len() {
                match decode(&bytes[..length], &AMPLE) {
                    // What is missing then comes after the picture.
                    Ok(decoded) => assert!(decoded == whole, "cut at {length} of {}", bytes.len()),
                    Err(DecodeError::Damaged { detail, .. }) => assert!(!detail.contains("panicked"), "{detail}"),
                    Err(DecodeError::Empty | DecodeError::UnsupportedFormat { .. }) if length < 12 => {}
                    Err(other) => panic!("cut at {length}: {other}"),
                }
            }
        }
    }
}
