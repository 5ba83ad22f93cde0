//! What holds for every format: pixels, bad input, limits.

mod whole;

use std::panic::catch_unwind;

use image::{ExtendedColorType, ImageEncoder};
use libwebp_sys as webp;
use proptest::prelude::*;

use super::*;

const AMPLE: Limits = Limits { max_pixels: 10_000_000, max_decoded_bytes: 256 << 20 };

/// No two of them alike in any channel.
fn palette() -> Vec<u8> {
    (0..=255u8).flat_map(|n| [n, n ^ 0x55, 255 - n]).collect()
}

/// A palette's index for each pixel: few colours, so that GIF too holds the picture as it is.
fn indices(width: u32, height: u32) -> Vec<u8> {
    (0..width * height)
        .map(|n| {
            let (x, y) = (n % width, n / width);
            (x * 7 + y * 13 + (x * y) % 31) as u8
        })
        .collect()
}

fn rgb(indices: &[u8]) -> Vec<u8> {
    let palette = palette();
    indices.iter().flat_map(|&n| palette[usize::from(n) * 3..][..3].to_vec()).collect()
}

fn png_of(width: u32, height: u32, color: ::png::ColorType, depth: ::png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ::png::ColorType::Indexed {
        encoder.set_palette(palette());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

fn gif_of(width: u32, height: u32, indices: &[u8]) -> Vec<u8> {
    let (width, height) = (width as u16, height as u16);
    let mut bytes = Vec::new();
    let mut encoder = ::gif::Encoder::new(&mut bytes, width, height, &palette()).unwrap();
    encoder.write_frame(&::gif::Frame::from_indexed_pixels(width, height, indices.to_vec(), None)).unwrap();
    drop(encoder);
    bytes
}

type WebpEncoder = unsafe extern "C" fn(*const u8, i32, i32, i32, *mut *mut u8) -> usize;

fn webp_of(width: u32, height: u32, rgb: &[u8], encoder: WebpEncoder) -> Vec<u8> {
    let mut output = std::ptr::null_mut();
    // SAFETY: the pixels are as many as the sides say; the output is copied before it is freed.
    unsafe {
        let channels = rgb.len() as i32 / (width * height) as i32;
        let size = encoder(rgb.as_ptr(), width as i32, height as i32, width as i32 * channels, &mut output);
        assert_ne!(size, 0);
        let bytes = std::slice::from_raw_parts(output, size).to_vec();
        webp::WebPFree(output.cast());
        bytes
    }
}

unsafe extern "C" fn lossy(pixels: *const u8, width: i32, height: i32, stride: i32, output: *mut *mut u8) -> usize {
    // SAFETY: as `webp_of` calls it.
    unsafe { webp::WebPEncodeRGB(pixels, width, height, stride, 70.0, output) }
}

unsafe extern "C" fn lossy_with_alpha(
    pixels: *const u8,
    width: i32,
    height: i32,
    stride: i32,
    output: *mut *mut u8,
) -> usize {
    // SAFETY: as `webp_of` calls it.
    unsafe { webp::WebPEncodeRGBA(pixels, width, height, stride, 70.0, output) }
}

/// The picture in each format that keeps it as it is.
fn lossless_files(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    use ::png::{BitDepth, ColorType};
    let indices = indices(width, height);
    let rgb = rgb(&indices);
    let with_low_bytes: Vec<u8> = rgb.iter().flat_map(|&high| [high, !high]).collect();
    let with_alpha: Vec<u8> = rgb.chunks(3).flat_map(|p| [p[0], p[1], p[2], p[0].wrapping_mul(3)]).collect();
    let (mut bmp, mut tiff) = (Vec::new(), std::io::Cursor::new(Vec::new()));
    image::codecs::bmp::BmpEncoder::new(&mut bmp).write_image(&rgb, width, height, ExtendedColorType::Rgb8).unwrap();
    image::codecs::tiff::TiffEncoder::new(&mut tiff)
        .write_image(&with_alpha, width, height, ExtendedColorType::Rgba8)
        .unwrap();
    vec![
        ("png", png_of(width, height, ColorType::Rgb, BitDepth::Eight, &rgb)),
        ("png, 16 bits", png_of(width, height, ColorType::Rgb, BitDepth::Sixteen, &with_low_bytes)),
        ("png, alpha", png_of(width, height, ColorType::Rgba, BitDepth::Eight, &with_alpha)),
        ("png, palette", png_of(width, height, ColorType::Indexed, BitDepth::Eight, &indices)),
        ("webp", webp_of(width, height, &rgb, webp::WebPEncodeLosslessRGB)),
        ("gif", gif_of(width, height, &indices)),
        ("bmp", bmp),
        ("tiff, alpha", tiff.into_inner()),
    ]
}

fn lossy_files(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    let rgb = rgb(&indices(width, height));
    let with_alpha: Vec<u8> = rgb.chunks(3).flat_map(|p| [p[0], p[1], p[2], p[0].wrapping_mul(3)]).collect();
    vec![
        ("webp, lossy", webp_of(width, height, &rgb, lossy)),
        ("webp, lossy with alpha", webp_of(width, height, &with_alpha, lossy_with_alpha)),
    ]
}

/// The crop of the whole image, by libwebp's simplest call.
fn crop_of_whole_webp(bytes: &[u8]) -> Crop {
    let (mut width, mut height) = (0, 0);
    // SAFETY: the size is read before the pixels are, which are copied before they are freed.
    let pixels = unsafe {
        let pixels = webp::WebPDecodeRGB(bytes.as_ptr(), bytes.len(), &mut width, &mut height);
        let copy = std::slice::from_raw_parts(pixels, (width * height * 3) as usize).to_vec();
        webp::WebPFree(pixels.cast());
        copy
    };
    let window = Window::centre(width as u32, height as u32, CROP_SIDE);
    window.fill_up(&window.cut(&pixels, 0, 0, width as usize * 3))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_format_gives_the_pixels_that_were_stored(width in 1u32..600, height in 1u32..600) {
        let window = Window::centre(width, height, CROP_SIDE);
        let want = window.fill_up(&window.cut(&rgb(&indices(width, height)), 0, 0, width as usize * 3));
        for (name, bytes) in lossless_files(width, height) {
            let decoded = decode(&bytes, &AMPLE).unwrap();
            prop_assert_eq!((decoded.width, decoded.height), (width, height), "{}", name);
            prop_assert!(decoded.crop == want, "{}", name);
            prop_assert_eq!(decoded.quality.contains(&Quality::LowResolution), width < 256 || height < 256);
            prop_assert_eq!(decoded.quality.contains(&Quality::Transparent), name.ends_with("alpha"));
        }
    }

    #[test]
    fn lossy_webp_is_the_same_by_the_region_as_by_the_whole(width in 1u32..600, height in 1u32..600) {
        for (name, bytes) in lossy_files(width, height) {
            prop_assert!(decode(&bytes, &AMPLE).unwrap().crop == crop_of_whole_webp(&bytes), "{}", name);
        }
    }

    #[test]
    fn a_window_is_the_middle_of_the_image_with_nothing_added(
        width in 1u32..600, height in 1u32..600, side in 1usize..700
    ) {
        let place = Window::centre(width, height, side);
        let want = place.cut(&rgb(&indices(width, height)), 0, 0, width as usize * 3);
        for (name, bytes) in lossless_files(width, height) {
            let found = window(&bytes, side, &AMPLE).unwrap();
            prop_assert_eq!((found.width, found.height), (width, height), "{}", name);
            prop_assert_eq!((found.picture.width(), found.picture.height()), (place.width, place.height));
            prop_assert!(found.picture.rgb() == want, "{}", name);
        }
        for (name, bytes) in lossless_files(width, height).into_iter().chain(lossy_files(width, height)) {
            // Of an odd side the middle lies half a pixel off.
            let large = window(&bytes, CROP_SIDE + side / 2 * 2, &AMPLE).unwrap();
            prop_assert!(large.picture.to_crop() == decode(&bytes, &AMPLE).unwrap().crop, "{}", name);
        }
    }

    #[test]
    fn flipped_bytes_end_in_an_error_or_an_image(
        width in 1u32..300, height in 1u32..300, flips in prop::collection::vec((0.0..1.0, 1u8..), 1..10)
    ) {
        for (_, mut bytes) in lossless_files(width, height).into_iter().chain(lossy_files(width, height)) {
            for &(part, bits) in &flips {
                let place = (bytes.len() as f64 * part) as usize;
                bytes[place] ^= bits;
            }
            // Whatever a decoder does, its panic stays inside.
            prop_assert!(catch_unwind(|| decode(&bytes, &AMPLE).is_ok()).is_ok());
        }
    }
}

#[test]
fn a_file_cut_off_is_damaged_or_has_all_its_pixels() {
    for (name, bytes) in lossless_files(270, 300).into_iter().chain(lossy_files(270, 300)) {
        let whole = decode(&bytes, &AMPLE).unwrap();
        for length in (0..bytes.len()).step_by(bytes.len() / 97 + 1).chain(bytes.len() - 24..bytes.len()) {
            match decode(&bytes[..length], &AMPLE) {
                // What is missing then are check sums and end marks.
                Ok(decoded) => {
                    assert_eq!(decoded, whole, "{name} cut at {length} of {}", bytes.len());
                    assert!(length + 24 > bytes.len(), "{name} cut at {length} of {}", bytes.len());
                }
                Err(DecodeError::Damaged { detail, .. }) => assert!(!detail.contains("panicked"), "{name}: {detail}"),
                Err(DecodeError::Empty | DecodeError::UnsupportedFormat { .. }) if length < 20 => {}
                Err(other) => panic!("{name} cut at {length}: {other}"),
            }
        }
    }
}

#[test]
fn bytes_that_are_no_image_are_refused_as_such() {
    assert!(matches!(decode(b"", &AMPLE), Err(DecodeError::Empty)));
    for bytes in [&b"a text file called .png"[..], &[0; 4096], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff"] {
        assert!(matches!(decode(bytes, &AMPLE), Err(DecodeError::UnsupportedFormat { .. })));
    }
}

/// Small files whose headers claim more than 100 million pixels.
fn files_that_claim_too_many_pixels() -> Vec<(&'static str, Vec<u8>)> {
    let files = lossless_files(20, 20);
    let of = |wanted: &str| files.iter().find(|(name, _)| *name == wanted).unwrap().1.clone();

    let mut png = of("png");
    png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let sum = crc32fast::hash(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&sum);
    let mut gif = of("gif");
    gif[6..10].fill(0xff);
    let mut bmp = of("bmp");
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    let webp = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0".to_vec();
    let mut tiff = b"II\x2a\0\x08\0\0\0\x08\0".to_vec();
    for (tag, value) in [(256, 65535), (257, 65535), (258, 8), (259, 1), (262, 1), (273, 8), (278, 65535), (279, 400)] {
        tiff.extend([&u16::to_le_bytes(tag)[..], b"\x04\0\x01\0\0\0", &u32::to_le_bytes(value)].concat());
    }
    tiff.extend([0; 400]);
    vec![("png", png), ("gif", gif), ("bmp", bmp), ("webp", webp), ("tiff", tiff)]
}

#[test]
fn a_header_that_claims_too_much_is_refused() {
    for (name, bytes) in files_that_claim_too_many_pixels() {
        let error = decode(&bytes, &AMPLE).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyPixels { .. }), "{name}: {error}");
    }
}

#[test]
fn a_decoder_gets_no_more_memory_than_the_limit() {
    let tight = Limits { max_decoded_bytes: 20_000, ..AMPLE };
    for (name, bytes) in lossless_files(300, 300) {
        // PNG needs a few rows, whatever the size.
        if !name.starts_with("png") {
            let error = decode(&bytes, &tight).unwrap_err();
            assert!(matches!(error, DecodeError::TooManyDecodedBytes { .. }), "{name}: {error}");
        }
    }
    let tighter = Limits { max_decoded_bytes: 1_000, ..AMPLE };
    let (_, png) = &lossless_files(300, 300)[0];
    assert!(matches!(decode(png, &tighter), Err(DecodeError::TooManyDecodedBytes { .. })));
}

#[test]
fn sixteen_bit_grey_keeps_its_high_byte() {
    let (color, depth) = (::png::ColorType::Grayscale, ::png::BitDepth::Sixteen);
    let decoded = decode(&png_of(1, 1, color, depth, &[0x12, 0x34]), &AMPLE).unwrap();
    assert_eq!(decoded.crop.pixels()[..3], [0x12; 3]);
    assert_eq!(decoded.quality, [Quality::LowResolution, Quality::Greyscale]);
}

#[test]
fn frames_of_an_animation_are_judged_and_it_is_said_how_many_there_are() {
    let mut bytes = Vec::new();
    let mut encoder = ::gif::Encoder::new(&mut bytes, 300, 300, &palette()).unwrap();
    for shade in [10, 200] {
        encoder.write_frame(&::gif::Frame::from_indexed_pixels(300, 300, vec![shade; 90_000], None)).unwrap();
    }
    drop(encoder);
    let decoded = decode(&bytes, &AMPLE).unwrap();
    assert_eq!(decoded.crop.pixels()[..3], [10, 10 ^ 0x55, 245]);
    assert_eq!(decoded.later[0].pixels()[..3], [200, 200 ^ 0x55, 55]);
    assert_eq!((decoded.later.len(), decoded.frames, decoded.quality), (1, Some(2), vec![Quality::Animated]));
}

#[test]
fn a_still_image_has_no_frames() {
    for (name, bytes) in lossless_files(40, 50).into_iter().chain(lossy_files(40, 50)) {
        let decoded = decode(&bytes, &AMPLE).unwrap();
        assert_eq!((decoded.frames, decoded.later.len()), (None, 0), "{name}");
    }
}

#[test]
fn a_gif_frame_may_reach_over_the_screen() {
    let mut bytes = gif_of(280, 290, &indices(280, 290));
    let whole = decode(&bytes, &AMPLE).unwrap();
    bytes[6..10].copy_from_slice(&[1, 0, 1, 0]);
    assert_eq!(decode(&bytes, &AMPLE).unwrap(), whole);
}
