//! All of an image, as people see it.

use super::*;

/// EXIF that says an orientation, and a maker.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_be_bytes()[..], &kind.to_be_bytes(), &count.to_be_bytes(), &value].concat()
    };
    let entries = [entry(0x10f, 2, 4, *b"ACME"), entry(0x112, 3, 1, [0, orientation, 0, 0])].concat();
    [&b"MM\0\x2a\0\0\0\x08\0\x02"[..], &entries, &[0; 4]].concat()
}

fn png_with_exif(png: &[u8], exif: &[u8]) -> Vec<u8> {
    let body = [b"eXIf", exif].concat();
    let sum = crc32fast::hash(&body).to_be_bytes();
    [&png[..33], &(exif.len() as u32).to_be_bytes(), &body, &sum, &png[33..]].concat()
}

fn webp_with_exif(webp: &[u8], width: u32, height: u32, exif: &[u8]) -> Vec<u8> {
    let three = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let chunk =
        |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body, &vec![0; body.len() % 2]].concat();
    let header = chunk(b"VP8X", &[vec![8, 0, 0, 0], three(width), three(height)].concat());
    chunk(b"RIFF", &[b"WEBP".to_vec(), header, webp[12..].to_vec(), chunk(b"EXIF", exif)].concat())
}

/// Pixels turned by EXIF's own words: where the stored row 0 and column 0 are shown.
fn turned(rgb: &[u8], width: usize, height: usize, orientation: u8) -> Picture {
    let (wide, high) = if orientation >= 5 { (height, width) } else { (width, height) };
    let mut pixels = vec![0; rgb.len()];
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let (right, bottom) = (width - 1 - x, height - 1 - y);
        let (to_x, to_y) = match orientation {
            // Row 0 is the top, column 0 the right; and so on.
            2 => (right, y),
            3 => (right, bottom),
            4 => (x, bottom),
            // Row 0 is the left, column 0 the top.
            5 => (y, x),
            // Row 0 is the right.
            6 => (bottom, x),
            7 => (bottom, right),
            8 => (y, right),
            _ => (x, y),
        };
        pixels[(to_y * wide + to_x) * 3..][..3].copy_from_slice(&rgb[(y * width + x) * 3..][..3]);
    }
    Picture::new(wide, high, pixels).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_whole_of_every_format_has_all_its_pixels(width in 1u32..500, height in 1u32..500, longest in 1u32..600) {
        let want = Picture::new(width as usize, height as usize, rgb(&indices(width, height))).unwrap();
        let (to_width, to_height) = fit(width, height, longest);
        let small = scale::down(&want, to_width, to_height).unwrap();
        for (name, bytes) in lossless_files(width, height) {
            let found = whole(&bytes, u32::MAX, &AMPLE).unwrap();
            prop_assert_eq!((found.width, found.height), (width, height), "{}", name);
            prop_assert!(found.picture == want, "{}", name);
            let found = whole(&bytes, longest, &AMPLE).unwrap();
            prop_assert_eq!((found.width, found.height), (width, height), "{}", name);
            prop_assert!(found.picture == small, "{} to {}", name, longest);
        }
        for (name, bytes) in lossy_files(width, height) {
            let found = whole(&bytes, u32::MAX, &AMPLE).unwrap();
            prop_assert!(found.picture == window(&bytes, 500, &AMPLE).unwrap().picture, "{}", name);
        }
    }
}

#[test]
fn the_whole_is_turned_as_its_exif_says_and_the_crop_lies_where_it_is_shown() {
    let (width, height) = (400, 300);
    let pixels = rgb(&indices(width, height));
    let png = png_of(width, height, ::png::ColorType::Rgb, ::png::BitDepth::Eight, &pixels);
    let webp = webp_of(width, height, &pixels, webp::WebPEncodeLosslessRGB);
    for orientation in 1..=8 {
        let want = turned(&pixels, width as usize, height as usize, orientation);
        let exif = exif(orientation);
        for bytes in [png_with_exif(&png, &exif), webp_with_exif(&webp, width, height, &exif)] {
            let found = whole(&bytes, u32::MAX, &AMPLE).unwrap();
            assert!(found.picture == want, "{orientation}");
            assert_eq!((found.width as usize, found.height as usize), (want.width(), want.height()));

            // The crop's pixels, turned, are those at its place.
            let decoded = decode(&bytes, &AMPLE).unwrap();
            assert_eq!(u8::from(decoded.orientation), orientation);
            let place = decoded.orientation.shown(Place::of_crop(width, height), width, height);
            let window = Window {
                left: place.x as usize,
                top: place.y as usize,
                width: place.width as usize,
                height: place.height as usize,
            };
            let there = window.cut(found.picture.rgb(), 0, 0, want.width() * 3);
            assert!(there == turned(decoded.crop.pixels(), CROP_SIDE, CROP_SIDE, orientation).rgb(), "{orientation}");
        }
    }
}

#[test]
fn exif_that_makes_no_sense_turns_nothing() {
    let png = png_of(3, 2, ::png::ColorType::Rgb, ::png::BitDepth::Eight, &rgb(&indices(3, 2)));
    for block in [exif(0), exif(9), b"MM".to_vec(), vec![], exif(6)[..20].to_vec(), b"II*\0\xff\xff\xff\xff".to_vec()] {
        let decoded = decode(&png_with_exif(&png, &block), &AMPLE).unwrap();
        assert_eq!(decoded.orientation, Orientation::STORED);
    }
}

#[test]
fn an_avif_is_turned_by_its_own_properties() {
    const STILL: &[u8] = include_bytes!("../../samples/still.avif");
    let stored = whole(STILL, u32::MAX, &AMPLE).unwrap().picture;
    assert_eq!((stored.width(), stored.height()), (64, 48));
    // In place of one that says how many bits a sample has.
    let place = STILL.windows(4).position(|name| name == b"pixi").unwrap();
    for (name, value, orientation) in
        [(b"irot", 0, 1), (b"irot", 1, 8), (b"irot", 2, 3), (b"irot", 3, 6), (b"imir", 0, 4), (b"imir", 1, 2)]
    {
        let mut bytes = STILL.to_vec();
        bytes[place..place + 4].copy_from_slice(name);
        bytes[place + 4] = value;
        assert_eq!(u8::from(decode(&bytes, &AMPLE).unwrap().orientation), orientation);
        let found = whole(&bytes, u32::MAX, &AMPLE).unwrap().picture;
        assert!(found == turned(stored.rgb(), 64, 48, orientation), "{} {value}", name.escape_ascii());
    }
}

#[test]
fn of_an_animation_the_first_frame_is_shown_and_the_judged_ones_are_numbered() {
    let mut bytes = Vec::new();
    let mut encoder = ::gif::Encoder::new(&mut bytes, 300, 300, &palette()).unwrap();
    for shade in [10, 20, 30, 40, 50] {
        encoder.write_frame(&::gif::Frame::from_indexed_pixels(300, 300, vec![shade; 90_000], None)).unwrap();
    }
    drop(encoder);
    let decoded = decode(&bytes, &AMPLE).unwrap();
    assert_eq!((decoded.judged, decoded.frames), (vec![1, 3, 5], Some(5)));
    let first = whole(&bytes, u32::MAX, &AMPLE).unwrap().picture;
    assert!(first.rgb().chunks(3).all(|pixel| pixel == [10, 10 ^ 0x55, 245]));
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
    for (name, bytes) in files_that_claim_too_many_pixels() {
        let error = whole(&bytes, 1600, &AMPLE).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyPixels { limit: 10_000_000, .. }), "{name}: {error}");
        // The pixels may pass, and yet all of them at once be too many bytes.
        let error = whole(&bytes, 1600, &Limits { max_pixels: u64::MAX, ..AMPLE }).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyDecodedBytes { .. }), "{name}: {error}");
    }
}

#[test]
fn the_whole_gets_no_more_memory_than_the_limit_though_the_crop_may_fit() {
    let limits = Limits { max_decoded_bytes: 2_000_000, ..AMPLE };
    for (name, bytes) in lossless_files(1000, 900).into_iter().chain(lossy_files(1000, 900)) {
        let error = whole(&bytes, 100, &limits).unwrap_err();
        let DecodeError::TooManyDecodedBytes { bytes, limit } = error else { panic!("{name}: {error}") };
        assert!(bytes > limit && limit == 2_000_000, "{name}");
    }
}

#[test]
fn bytes_that_are_no_image_have_no_whole() {
    assert_eq!(whole(b"", 9, &AMPLE).unwrap_err(), DecodeError::Empty);
    assert!(matches!(whole(b"a text", 9, &AMPLE), Err(DecodeError::UnsupportedFormat { .. })));
}
