use crate::crop::Window;
use crate::heif::Still;
use crate::{CROP_SIDE, DecodeError, Decoded, Format, Limits, Picture, Quality, decode, window};

const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };
const STILL: &[u8] = include_bytes!("../../samples/still.avif");
const ALPHA: &[u8] = include_bytes!("../../samples/alpha.avif");
const GREY: &[u8] = include_bytes!("../../samples/grey.avif");
const DEEP: &[u8] = include_bytes!("../../samples/deep.avif");
const MOVING: &[u8] = include_bytes!("../../samples/moving.avif");
/// Pixels of the samples.
const WIDTH: usize = 64;
const HEIGHT: usize = 48;

fn judged(bytes: &[u8]) -> Decoded {
    decode(bytes, &AMPLE).unwrap()
}

fn picture(bytes: &[u8]) -> Picture {
    window(bytes, 1024, &AMPLE).unwrap().picture
}

/// Red, green and blue of the samples' pictures (see their README).
fn gradient(x: usize, y: usize) -> [f64; 3] {
    let (x, y) = (x as f64, y as f64);
    [x * 255.0 / 63.0, y * 255.0 / 47.0, 255.0 - (x + y) * 255.0 / 110.0]
}

fn farthest(picture: &Picture, want: impl Fn(usize, usize) -> [f64; 3]) -> f64 {
    let pixels = picture.rgb().chunks_exact(3).enumerate();
    let distance = |(place, pixel): (usize, &[u8])| {
        let want = want(place % picture.width(), place / picture.width());
        pixel.iter().zip(want).map(|(&level, want)| (f64::from(level) - want).abs()).fold(0.0, f64::max)
    };
    pixels.map(distance).fold(0.0, f64::max)
}

#[test]
fn every_kind_of_avif_gives_its_picture_and_says_what_it_is() {
    use Quality::{Animated, Greyscale, LowResolution, Transparent, UnfamiliarCodec};
    for (name, bytes, quality) in [
        ("still", STILL, vec![LowResolution, UnfamiliarCodec]),
        ("alpha", ALPHA, vec![LowResolution, Transparent, UnfamiliarCodec]),
        ("deep", DEEP, vec![LowResolution, UnfamiliarCodec]),
        ("moving", MOVING, vec![LowResolution, Animated, UnfamiliarCodec]),
        ("grey", GREY, vec![LowResolution, Greyscale, UnfamiliarCodec]),
    ] {
        let decoded = judged(bytes);
        assert_eq!((decoded.format, decoded.width, decoded.height), (Format::Avif, 64, 48), "{name}");
        assert_eq!(decoded.quality, quality, "{name}");
        let found = match name {
            "grey" => farthest(&picture(bytes), |x, y| {
                let [red, green, blue] = gradient(x, y);
                [0.299 * red + 0.587 * green + 0.114 * blue; 3]
            }),
            _ => farthest(&picture(bytes), gradient),
        };
        assert!(found < 24.0, "{name} is {found} levels off");
    }
}

fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
}

fn sides(width: usize, height: usize) -> Vec<u8> {
    boxed(b"ispe", &[&[0; 4][..], &(width as u32).to_be_bytes(), &(height as u32).to_be_bytes()].concat())
}

/// A grid of this many columns and rows, each of its tiles the picture of `STILL`.
fn grid(columns: u8, rows: u8, width: usize, height: usize) -> Vec<u8> {
    let still = Still::read(STILL, *b"av01").ok().unwrap();
    let everything = Window { left: 0, top: 0, width: WIDTH, height: HEIGHT };
    let tile = still.tiles_under(&everything).next().unwrap().ok().unwrap().bytes.into_owned();
    let count = u16::from(columns) * u16::from(rows);
    let entry = |item: u16, kind: &[u8; 4]| {
        boxed(b"infe", &[&[2, 0, 0, 0][..], &item.to_be_bytes(), &[0, 0], kind, &[0]].concat())
    };
    let entries: Vec<u8> = (2..2 + count).flat_map(|item| entry(item, b"av01")).collect();
    let plan =
        [&[0, 0, rows - 1, columns - 1][..], &(width as u16).to_be_bytes(), &(height as u16).to_be_bytes()].concat();
    let associations: Vec<u8> =
        (2..2 + count).flat_map(|item| [item.to_be_bytes()[0], item.to_be_bytes()[1], 1, 2]).collect();
    let tiles: Vec<u8> = (2..2 + count).flat_map(u16::to_be_bytes).collect();
    let places = |start: u32| {
        let one = |item: u16, method: u16, start: u32, length: usize| {
            let method = method.to_be_bytes();
            [&item.to_be_bytes()[..], &method, &[0, 0, 0, 1], &start.to_be_bytes(), &(length as u32).to_be_bytes()]
                .concat()
        };
        let tiles: Vec<u8> = (2..2 + count).flat_map(|item| one(item, 0, start, tile.len())).collect();
        let head = [&[1, 0, 0, 0, 0x44, 0][..], &(count + 1).to_be_bytes()].concat();
        boxed(b"iloc", &[head, one(1, 1, 0, plan.len()), tiles].concat())
    };
    let meta = |start: u32| {
        boxed(
            b"meta",
            &[
                vec![0; 4],
                boxed(b"pitm", &[0, 0, 0, 0, 0, 1]),
                boxed(
                    b"iinf",
                    &[vec![0; 4], (count + 1).to_be_bytes().to_vec(), entry(1, b"grid"), entries.clone()].concat(),
                ),
                places(start),
                boxed(
                    b"iprp",
                    &[
                        boxed(b"ipco", &[sides(width, height), sides(WIDTH, HEIGHT)].concat()),
                        boxed(
                            b"ipma",
                            &[&[0; 4][..], &u32::from(count + 1).to_be_bytes(), &[0, 1, 1, 1], &associations].concat(),
                        ),
                    ]
                    .concat(),
                ),
                boxed(
                    b"iref",
                    &[vec![0; 4], boxed(b"dimg", &[&[0, 1][..], &count.to_be_bytes(), &tiles].concat())].concat(),
                ),
                boxed(b"idat", &plan),
            ]
            .concat(),
        )
    };
    let head = boxed(b"ftyp", b"avif\0\0\0\0mif1");
    let start = (head.len() + meta(0).len() + 8) as u32;
    [head, meta(start), boxed(b"mdat", &tile)].concat()
}

#[test]
fn tiles_of_a_grid_are_put_together_and_only_those_under_the_window_are_decoded() {
    let tile = picture(STILL);
    let (width, height) = (5 * WIDTH - 10, 7 * HEIGHT - 6);
    let bytes = grid(5, 7, width, height);
    let whole = picture(&bytes);
    assert_eq!((whole.width(), whole.height()), (width, height));
    let near_a_seam = |place: usize, side: usize| place % side < 2 || place % side >= side - 2;
    for (place, pixel) in whole.rgb().chunks_exact(3).enumerate() {
        let (x, y) = (place % width, place / width);
        let at_the_border = x + 2 > width || y + 2 > height;
        if !near_a_seam(x, WIDTH) && !near_a_seam(y, HEIGHT) && !at_the_border {
            let want = ((y % HEIGHT) * WIDTH + x % WIDTH) * 3;
            assert_eq!(pixel, &tile.rgb()[want..want + 3], "at {x}, {y}");
        }
    }
    assert_eq!(whole.to_crop(), judged(&bytes).crop);

    // Only those under the window are looked at.
    let under = Window::centre(width as u32, height as u32, 20);
    let still = Still::read(&bytes, *b"av01").ok().unwrap();
    assert_eq!((still.width, still.height, still.tiles_under(&under).count()), (width as u32, height as u32, 1));
    let crop = Window::centre(width as u32, height as u32, CROP_SIDE);
    assert_eq!(still.tiles_under(&crop).count(), 35);
}

#[test]
fn a_grid_that_its_tiles_do_not_cover_is_damaged() {
    for (width, height) in [(5 * WIDTH + 1, 48), (64, 7 * HEIGHT + 1)] {
        assert!(matches!(decode(&grid(5, 7, width, height), &AMPLE), Err(DecodeError::Damaged { .. })));
    }
}

/// With other sides in its header.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = STILL.to_vec();
    let at = bytes.windows(4).position(|name| name == b"ispe").unwrap() + 8;
    bytes[at..at + 4].copy_from_slice(&width.to_be_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&height.to_be_bytes());
    bytes
}

#[test]
fn limits_hold_by_the_header_alone() {
    let error = decode(&claiming(30_000, 30_000), &AMPLE).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyPixels { width: 30_000, height: 30_000, .. }), "{error}");
    let tight = Limits { max_decoded_bytes: 60_000, ..AMPLE };
    assert!(matches!(decode(STILL, &tight), Err(DecodeError::TooManyDecodedBytes { .. })));
    for (width, height) in [(63, 48), (64, 49), (0, 48), (16, 16), (1000, 1000)] {
        assert!(
            matches!(decode(&claiming(width, height), &AMPLE), Err(DecodeError::Damaged { .. })),
            "{width}×{height}"
        );
    }
}

#[test]
fn a_file_cut_off_is_damaged() {
    for bytes in [STILL, ALPHA, GREY, DEEP] {
        let whole = judged(bytes);
        for length in 0..bytes.len() {
            match decode(&bytes[..length], &AMPLE) {
                // What is missing then is alpha, which is not looked at.
                Ok(decoded) => assert!(bytes == ALPHA && decoded == whole, "cut at {length}"),
                Err(DecodeError::Damaged { detail, .. }) => assert!(!detail.contains("panicked"), "{detail}"),
                Err(DecodeError::Empty | DecodeError::UnsupportedFormat { .. }) if length < 32 => {}
                Err(other) => panic!("cut at {length}: {other}"),
            }
        }
    }
}

#[test]
fn a_file_whose_brands_name_no_codec_is_told_by_its_items() {
    let mut bytes = STILL.to_vec();
    bytes[8..12].copy_from_slice(b"mif1");
    bytes[16..20].copy_from_slice(b"mif1");
    assert_eq!(judged(&bytes).crop, judged(STILL).crop);
}
