use tiff::encoder::{TiffEncoder, colortype};
use turbojpeg_sys as tj;

use crate::{DecodeError, Decoded, Limits, Quality, decode};

const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };
const WIDTH: usize = 270;
const HEIGHT: usize = 260;

fn judged(bytes: &[u8]) -> Decoded {
    decode(bytes, &AMPLE).unwrap()
}

/// A value of a tag, by the kind of its numbers: bytes, shorts or longs.
enum Value {
    Bytes(Vec<u8>),
    Shorts(Vec<u16>),
    Longs(Vec<u32>),
}

use Value::{Bytes, Longs, Shorts};

/// One directory behind the data, with the strips or tiles as they are. The tag `offsets` tells where they lie.
fn file(data: &[Vec<u8>], offsets: u16, mut tags: Vec<(u16, Value)>) -> Vec<u8> {
    let mut bytes = b"II\x2a\0\0\0\0\0".to_vec();
    let mut places = Vec::new();
    for part in data {
        places.push(bytes.len() as u32);
        bytes.extend(part);
    }
    tags.push((offsets, Longs(places)));
    let counts = if offsets == 273 { 279 } else { 325 };
    tags.push((counts, Longs(data.iter().map(|part| part.len() as u32).collect())));
    tags.sort_by_key(|(tag, _)| *tag);
    let mut entries = (tags.len() as u16).to_le_bytes().to_vec();
    for (tag, value) in tags {
        let (kind, count, mut value): (u16, usize, Vec<u8>) = match value {
            Bytes(value) => (7, value.len(), value),
            Shorts(value) => (3, value.len(), value.iter().flat_map(|n| n.to_le_bytes()).collect()),
            Longs(value) => (4, value.len(), value.iter().flat_map(|n| n.to_le_bytes()).collect()),
        };
        if value.len() > 4 {
            let at = bytes.len() as u32;
            bytes.extend(value);
            value = at.to_le_bytes().to_vec();
        }
        value.resize(4, 0);
        entries.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &(count as u32).to_le_bytes(), &value].concat());
    }
    let directory = (bytes.len() as u32).to_le_bytes();
    bytes[4..8].copy_from_slice(&directory);
    bytes.extend(entries);
    bytes.extend([0; 4]);
    bytes
}

fn common(photometric: u16, bits: u16, samples: u16) -> Vec<(u16, Value)> {
    vec![
        (256, Shorts(vec![WIDTH as u16])),
        (257, Shorts(vec![HEIGHT as u16])),
        (258, Shorts(vec![bits; samples.into()])),
        (262, Shorts(vec![photometric])),
        (277, Shorts(vec![samples])),
    ]
}

fn in_one_strip(photometric: u16, bits: u16, samples: u16, data: Vec<u8>, more: Vec<(u16, Value)>) -> Vec<u8> {
    let mut tags = common(photometric, bits, samples);
    tags.push((278, Shorts(vec![HEIGHT as u16])));
    tags.push((259, Shorts(vec![1])));
    tags.extend(more);
    file(&[data], 273, tags)
}

fn level(x: usize, y: usize, channel: usize) -> u8 {
    (x * (channel + 1) + y * 3 + x * y / 40) as u8
}

fn samples(channels: usize) -> Vec<u8> {
    let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    places.flat_map(|(x, y)| (0..channels).map(move |channel| level(x, y, channel))).collect()
}

/// Whether the crop is what these colours make of the places.
fn assert_crop(decoded: &Decoded, colour: impl Fn(usize, usize) -> [u8; 3]) {
    let (left, top) = ((WIDTH - 256) / 2, (HEIGHT - 256) / 2);
    for (n, pixel) in decoded.crop.pixels().chunks_exact(3).enumerate() {
        let (x, y) = (left + n % 256, top + n / 256);
        assert_eq!(pixel, colour(x, y), "at {x}, {y}");
    }
}

#[test]
fn a_palette_gives_the_colours() {
    let map: Vec<u16> = (0..3u16).flat_map(|c| (0..256u16).map(move |n| (n * (c + 1) % 256) << 8 | 7)).collect();
    let decoded = judged(&in_one_strip(3, 8, 1, samples(1), vec![(320, Shorts(map))]));
    assert_crop(&decoded, |x, y| [1, 2, 3].map(|factor| (u32::from(level(x, y, 0)) * factor % 256) as u8));
    assert_eq!(decoded.quality, []);

    let map: Vec<u16> = (0..3u16).flat_map(|c| (0..16u16).map(move |n| (n * 10 + c) << 8)).collect();
    let packed: Vec<u8> = samples(1).chunks_exact(2).map(|pair| pair[0] & 0xf0 | pair[1] >> 4).collect();
    let decoded = judged(&in_one_strip(3, 4, 1, packed, vec![(320, Shorts(map))]));
    assert_crop(&decoded, |x, y| [0, 1, 2].map(|c| (level(x, y, 0) >> 4) * 10 + c));
}

#[test]
fn grey_with_alpha_keeps_its_grey() {
    for photometric in [0, 1] {
        let decoded = judged(&in_one_strip(photometric, 8, 2, samples(2), vec![(338, Shorts(vec![2]))]));
        let turned = |level: u8| if photometric == 0 { 255 - level } else { level };
        assert_crop(&decoded, |x, y| [turned(level(x, y, 0)); 3]);
        assert_eq!(decoded.quality, [Quality::Transparent, Quality::Greyscale]);
    }
}

#[test]
fn inks_and_luma_become_rgb() {
    let decoded = judged(&in_one_strip(5, 8, 4, samples(4), vec![]));
    assert_crop(&decoded, |x, y| crate::colour::rgb_of_cmyk([0, 1, 2, 3].map(|channel| level(x, y, channel))));
    let decoded = judged(&in_one_strip(6, 8, 3, samples(3), vec![(530, Shorts(vec![1, 1]))]));
    assert_crop(&decoded, |x, y| crate::colour::rgb_of_ycbcr([0, 1, 2].map(|channel| level(x, y, channel))));
    assert_eq!(crate::colour::rgb_of_ycbcr([76, 85, 255]), [254, 0, 0]);
}

#[test]
fn channels_may_lie_apart() {
    let apart: Vec<u8> = (0..3).flat_map(|c| samples(3).into_iter().skip(c).step_by(3)).collect();
    let planes: Vec<_> = apart.chunks_exact(WIDTH * HEIGHT).map(<[u8]>::to_vec).collect();
    let mut tags = common(2, 8, 3);
    tags.extend([(278, Shorts(vec![HEIGHT as u16])), (259, Shorts(vec![1])), (284, Shorts(vec![2]))]);
    assert_crop(&judged(&file(&planes, 273, tags)), |x, y| [0, 1, 2].map(|channel| level(x, y, channel)));
}

#[test]
fn a_big_tiff_is_read_as_a_small_one() {
    let data = samples(3);
    let (mut small, mut big) = (std::io::Cursor::new(Vec::new()), std::io::Cursor::new(Vec::new()));
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    TiffEncoder::new(&mut small).unwrap().write_image::<colortype::RGB8>(width, height, &data).unwrap();
    TiffEncoder::new_big(&mut big).unwrap().write_image::<colortype::RGB8>(width, height, &data).unwrap();
    assert_eq!(judged(big.get_ref()), judged(small.get_ref()));
    assert_crop(&judged(big.get_ref()), |x, y| [0, 1, 2].map(|channel| level(x, y, channel)));
}

#[test]
fn the_stored_image_is_turned_as_its_orientation_says() {
    for way in 1..=8 {
        let decoded = judged(&in_one_strip(2, 8, 3, samples(3), vec![(274, Shorts(vec![way]))]));
        let turned = if way >= 5 { (HEIGHT, WIDTH) } else { (WIDTH, HEIGHT) };
        assert_eq!((decoded.width as usize, decoded.height as usize), turned);
        let (left, top) = ((turned.0 - 256) / 2, (turned.1 - 256) / 2);
        let (right, bottom) = (WIDTH - 1, HEIGHT - 1);
        let (x, y) = match way {
            1 => (left, top),
            2 => (right - left, top),
            3 => (right - left, bottom - top),
            4 => (left, bottom - top),
            5 => (top, left),
            6 => (top, bottom - left),
            7 => (right - top, bottom - left),
            _ => (right - top, left),
        };
        assert_eq!(decoded.crop.pixels()[..3], [0, 1, 2].map(|channel| level(x, y, channel)), "{way}");
    }
}

/// A tile as a JPEG of grey levels or colours.
fn jpeg(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    // SAFETY: the handle lives until the end of the block, the pixels are as many as the call is told, and the output is
    // copied before it is freed.
    unsafe {
        let handle = tj::tj3Init(tj::TJINIT_TJINIT_COMPRESS as i32);
        assert_eq!(tj::tj3Set(handle, tj::TJPARAM_TJPARAM_QUALITY as i32, 95), 0);
        assert_eq!(tj::tj3Set(handle, tj::TJPARAM_TJPARAM_SUBSAMP as i32, tj::TJSAMP_TJSAMP_444), 0);
        let (mut output, mut size) = (std::ptr::null_mut(), 0);
        let (width, height, kind) = (width as i32, height as i32, tj::TJPF_TJPF_RGB);
        assert_eq!(tj::tj3Compress8(handle, pixels.as_ptr(), width, 0, height, kind, &mut output, &mut size), 0);
        let bytes = std::slice::from_raw_parts(output, size as usize).to_vec();
        tj::tj3Free(output.cast());
        tj::tj3Destroy(handle);
        bytes
    }
}

#[test]
fn jpegs_in_tiles_are_put_together() {
    const TILE: usize = 96;
    let (across, down) = (WIDTH.div_ceil(TILE), HEIGHT.div_ceil(TILE));
    let mut tiles = Vec::new();
    for tile in 0..across * down {
        let (left, top) = (tile % across * TILE, tile / across * TILE);
        let pixels: Vec<u8> = (0..TILE * TILE)
            .flat_map(|n| [(left + n % TILE) as u8 / 2, (top + n / TILE) as u8 / 2, (tile * 20) as u8])
            .collect();
        tiles.push(jpeg(TILE, TILE, &pixels));
    }
    // What comes before the frame are the tables, which all tiles share; the first 20 bytes are JFIF's.
    let frame = tiles[0].windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let scan = tiles[0].windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let tables = [b"\xff\xd8", &tiles[0][20..frame], &tiles[0][frame + 19..scan], b"\xff\xd9"].concat();
    let bare = |tile: &Vec<u8>| [b"\xff\xd8", &tile[frame..frame + 19], &tile[scan..]].concat();
    let with_tables: Vec<_> = tiles.iter().map(bare).collect();
    for (tiles, tables) in [(tiles, None), (with_tables, Some(tables))] {
        let mut tags = common(6, 8, 3);
        tags.extend([(322, Shorts(vec![TILE as u16])), (323, Shorts(vec![TILE as u16])), (259, Shorts(vec![7]))]);
        tags.extend(tables.map(|tables| (347, Bytes(tables))));
        let bytes = file(&tiles, 324, tags);
        let decoded = judged(&bytes);
        let (left, top) = ((WIDTH - 256) / 2, (HEIGHT - 256) / 2);
        for (n, pixel) in decoded.crop.pixels().chunks_exact(3).enumerate() {
            let (x, y) = (left + n % 256, top + n / 256);
            let want = [x as u8 / 2, y as u8 / 2, (y / TILE * across + x / TILE) as u8 * 20];
            assert!(
                pixel.iter().zip(want).all(|(&found, want)| found.abs_diff(want) < 8),
                "{pixel:?} {want:?} at {x}, {y}"
            );
        }
        let cut = decode(&bytes[..bytes.len() / 2], &AMPLE);
        assert!(matches!(cut, Err(DecodeError::Damaged { .. })), "{cut:?}");
    }
}

#[test]
fn tiles_that_share_a_long_stream_do_not_keep_a_decoder_busy() {
    let tile = jpeg(16, 16, &[7; 16 * 16 * 3]);
    let long = [&tile[..2], &[&b"\xff\xfe\xea\x62"[..], &[0; 60_000]].concat(), &tile[2..]].concat();
    let tiles = WIDTH.div_ceil(16) * HEIGHT.div_ceil(16);
    let mut tags = common(6, 8, 3);
    tags.extend([(322, Shorts(vec![16])), (323, Shorts(vec![16])), (259, Shorts(vec![7]))]);
    tags.extend([(324, Longs(vec![8; tiles])), (325, Longs(vec![long.len() as u32; tiles]))]);
    let error = decode(&file(&[long], 273, tags), &AMPLE).unwrap_err();
    assert!(error.to_string().contains("share their data"), "{error}");
}

#[test]
fn a_cameras_raw_file_is_named_and_not_judged_by_its_preview() {
    let preview = |more: Vec<(u16, Value)>| in_one_strip(2, 8, 3, samples(3), more);
    let dng = preview(vec![(254, Longs(vec![1])), (50706, Bytes(vec![1, 4, 0, 0]))]);
    let mut nef =
        preview(vec![(254, Longs(vec![1])), (271, Bytes(b"NIKON CORPORATION\0".to_vec())), (330, Longs(vec![0]))]);
    // The sensor's own directory: a single entry that says so.
    let sensor = nef.len() as u32;
    nef.extend(b"\x01\0\x06\x01\x03\0\x01\0\0\0\x23\x80\0\0\0\0\0\0");
    let entry = nef.windows(8).rposition(|bytes| bytes == b"\x4a\x01\x04\0\x01\0\0\0").unwrap();
    nef[entry + 8..entry + 12].copy_from_slice(&sensor.to_le_bytes());
    let cr2 = [b"II\x2a\0\x10\0\0\0CR\x02\0\0\0\0\0", &[0; 40][..]].concat();
    for (bytes, name) in [(dng, "(DNG)"), (nef, "a Nikon camera's raw file (NEF)"), (cr2, "(CR2)")] {
        let error = decode(&bytes, &AMPLE).unwrap_err();
        assert!(matches!(error, DecodeError::UnsupportedKind { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_smaller_copy_that_comes_first_is_passed_over() {
    let mut bytes = in_one_strip(2, 8, 3, samples(3), vec![]);
    let second = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
    let first = bytes.len() as u32;
    let entry = |tag: u16, value: u32| [&tag.to_le_bytes()[..], b"\x04\0\x01\0\0\0", &value.to_le_bytes()].concat();
    bytes.extend(9u16.to_le_bytes());
    let small = [(254, 1), (256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (278, 8), (279, 64)];
    small.iter().for_each(|&(tag, value)| bytes.extend(entry(tag, value)));
    bytes.extend(second.to_le_bytes());
    bytes[4..8].copy_from_slice(&first.to_le_bytes());
    assert_crop(&judged(&bytes), |x, y| [0, 1, 2].map(|channel| level(x, y, channel)));
}

#[test]
fn directories_that_go_in_circles_end() {
    let mut bytes = in_one_strip(2, 8, 3, samples(3), vec![(254, Longs(vec![1]))]);
    let (end, first) = (bytes.len() - 4, bytes[4..8].to_vec());
    bytes[end..].copy_from_slice(&first);
    judged(&bytes);
}
