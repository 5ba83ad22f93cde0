use crate::{DecodeError, Decoded, Format, Limits, Quality, decode, heic, window};

const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };
const STILL: &[u8] = include_bytes!("../../samples/still.heic");
const ALPHA: &[u8] = include_bytes!("../../samples/alpha.heic");

fn judged(bytes: &[u8]) -> Decoded {
    heic::open().expect("`make toolchain` installs libheif");
    decode(bytes, &AMPLE).unwrap()
}

#[test]
fn heic_gives_its_picture_and_says_what_it_is() {
    use Quality::{LowResolution, Transparent, UnfamiliarCodec};
    for (name, bytes, quality) in [
        ("still", STILL, vec![LowResolution, UnfamiliarCodec]),
        ("alpha", ALPHA, vec![LowResolution, Transparent, UnfamiliarCodec]),
    ] {
        let decoded = judged(bytes);
        assert_eq!((decoded.format, decoded.width, decoded.height), (Format::Heic, 64, 48), "{name}");
        assert_eq!(decoded.quality, quality, "{name}");
        let picture = window(bytes, 1024, &AMPLE).unwrap().picture;
        for (place, pixel) in picture.rgb().chunks_exact(3).enumerate() {
            let (x, y) = ((place % 64) as f64, (place / 64) as f64);
            let want = [x * 255.0 / 63.0, y * 255.0 / 47.0, 255.0 - (x + y) * 255.0 / 110.0];
            for (&level, want) in pixel.iter().zip(want) {
                assert!((f64::from(level) - want).abs() < 40.0, "{name} at {x}, {y}: {pixel:?}, not {want:?}");
            }
        }
    }
}

/// With a clean aperture of 40×30 pixels, whose middle lies 7 pixels to the right of the picture's and 4 above it.
fn with_an_aperture() -> Vec<u8> {
    let numbers: [i32; 8] = [40, 1, 30, 1, 7, 1, -4, 1];
    let body: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let clap = [&40_u32.to_be_bytes()[..], b"clap", &body].concat();
    let mut bytes = STILL.to_vec();
    let at = |bytes: &[u8], name: &[u8]| bytes.windows(4).position(|four| four == name).unwrap() - 4;
    let grow = |bytes: &mut Vec<u8>, at: usize, by: u32| {
        let length = u32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) + by;
        bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    };
    // In place of what tells the bits of a channel, so that every number of a property stays right.
    let pixi = at(&bytes, b"pixi");
    let length = u32::from_be_bytes(*bytes[pixi..].first_chunk().unwrap());
    bytes.splice(pixi..pixi + length as usize, clap);
    for name in [b"meta", b"iprp", b"ipco"] {
        let place = at(&bytes, name);
        grow(&mut bytes, place, 40 - length);
    }
    // Where the picture lies has moved, too: libheif writes one place of four bytes.
    let coded = at(&bytes, b"mdat") as u32 + 8;
    let iloc = at(&bytes, b"iloc");
    let old = coded - (40 - length);
    let place = (iloc..iloc + 48).find(|&place| bytes[place..place + 4] == old.to_be_bytes()).unwrap();
    bytes[place..place + 4].copy_from_slice(&coded.to_be_bytes());
    bytes
}

#[test]
fn a_clean_aperture_is_what_is_shown() {
    judged(STILL);
    let whole = window(STILL, 1024, &AMPLE).unwrap().picture;
    let shown = window(&with_an_aperture(), 1024, &AMPLE).unwrap();
    assert_eq!((shown.width, shown.height), (40, 30));
    // Of the 64 rows that are coded, the file itself shows the upper 48.
    let (left, top) = (7 + (64 - 40) / 2, (64 - 30) / 2 - 4);
    for (place, pixel) in shown.picture.rgb().chunks_exact(3).enumerate() {
        let start = ((top + place / 40) * 64 + left + place % 40) * 3;
        assert_eq!(pixel, &whole.rgb()[start..start + 3], "{place}");
    }
}

#[test]
fn a_file_cut_off_is_damaged() {
    let whole = judged(STILL);
    for length in 0..STILL.len() {
        match decode(&STILL[..length], &AMPLE) {
            // Some last bytes of a stream tell nothing.
            Ok(decoded) => assert!(decoded == whole, "cut at {length}"),
            Err(DecodeError::Damaged { detail, .. }) => assert!(!detail.contains("panicked"), "{detail}"),
            Err(DecodeError::Empty | DecodeError::UnsupportedFormat { .. }) if length < 28 => {}
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn the_whole_of_a_heic_is_its_picture() {
    heic::open().expect("`make toolchain` installs libheif");
    let all = crate::whole(STILL, u32::MAX, &AMPLE).unwrap();
    assert_eq!((all.width, all.height), (64, 48));
    assert!(all.picture == window(STILL, 1024, &AMPLE).unwrap().picture);
}
