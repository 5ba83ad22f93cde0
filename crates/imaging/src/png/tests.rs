use crate::{Decoded, Limits, Quality, decode};

const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };

const SIDE: u32 = 260;

fn pixels(channels: usize) -> Vec<u8> {
    (0..(SIDE * SIDE) as usize * channels).map(|n| (n * 7 + n / 900) as u8).collect()
}

fn encoded(color: ::png::ColorType, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, SIDE, SIDE);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

fn judged(bytes: &[u8]) -> Decoded {
    decode(bytes, &AMPLE).unwrap()
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let sum = crc32fast::hash(&[&name[..], data].concat());
    [&(data.len() as u32).to_be_bytes()[..], name, data, &sum.to_be_bytes()].concat()
}

/// With a chunk behind the header, which takes 33 bytes with the signature, and one before the end.
fn with_chunk(bytes: &[u8], chunk: &[u8]) -> [Vec<u8>; 2] {
    let end = bytes.len() - 12;
    [[&bytes[..33], chunk, &bytes[33..]].concat(), [&bytes[..end], chunk, &bytes[end..]].concat()]
}

#[test]
fn chunks_that_tell_nothing_about_pixels_may_say_anything() {
    let bytes = encoded(::png::ColorType::Rgb, &pixels(3));
    let want = judged(&bytes);
    let names = [
        b"cICP",
        b"mDCV",
        b"cLLI",
        b"iCCP",
        b"eXIf",
        b"sBIT",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"pHYs",
        b"tIME",
        b"bKGD",
        b"hIST",
        b"zTXt",
        b"iTXt",
        b"fcTL",
        b"fdAT",
        b"acTL",
        b"vpAg",
        b"iDOT",
        b"caBX",
        b"x\xff\0 ",
    ];
    for name in names {
        for data in [&b""[..], b"\x01", &[9, 16, 0, 1], &[12, 13, 0, 1], &[0xff; 26], &[0; 700]] {
            for odd in with_chunk(&bytes, &chunk(name, data)) {
                let decoded =
                    decode(&odd, &AMPLE).map_err(|error| format!("{} {data:?}: {error}", name.escape_ascii()));
                assert_eq!(decoded.unwrap().crop, want.crop);
            }
        }
        let mut torn = chunk(name, &[1, 2, 3, 4]);
        *torn.last_mut().unwrap() ^= 1;
        assert_eq!(judged(&with_chunk(&bytes, &torn)[0]).crop, want.crop, "{}", name.escape_ascii());
    }
}

#[test]
fn the_data_may_be_cut_in_two_by_another_chunk() {
    let bytes = encoded(::png::ColorType::Rgb, &pixels(3));
    let data = &bytes[41..bytes.len() - 16];
    let (first, second) = data.split_at(data.len() / 3);
    let cut = [&bytes[..33], &chunk(b"IDAT", first), &chunk(b"tEXt", b"k\0v"), &chunk(b"IDAT", second)].concat();
    let cut = [&cut[..], &bytes[bytes.len() - 12..]].concat();
    assert_eq!(judged(&cut), judged(&bytes));
}

/// The file as Xcode writes it.
fn apples(usual: &[u8]) -> Vec<u8> {
    let mut bytes = [&usual[..8], &chunk(b"CgBI", &[0x50, 0, 0x20, 6]), &usual[8..33]].concat();
    let mut data = Vec::new();
    let mut rest = &usual[33..];
    while &rest[4..8] == b"IDAT" {
        let length = u32::from_be_bytes(*rest.first_chunk().unwrap()) as usize;
        data.extend(&rest[8..8 + length]);
        rest = &rest[12 + length..];
    }
    // Without zlib's header and check sum.
    let (first, second) = data[2..data.len() - 4].split_at(1000);
    bytes.extend([chunk(b"IDAT", first), chunk(b"IDAT", second), rest.to_vec()].concat());
    bytes
}

#[test]
fn a_png_of_apples_kind_has_its_colours_in_their_usual_order() {
    let mut data = pixels(4);
    for (n, pixel) in data.chunks_exact_mut(4).enumerate() {
        pixel[3] = if n % 5 == 0 { 51 } else { 255 };
    }
    let want = judged(&encoded(::png::ColorType::Rgba, &data));
    for pixel in data.chunks_exact_mut(4) {
        let alpha = u32::from(pixel[3]);
        let multiplied = |level: u8| ((u32::from(level) * alpha + 127) / 255) as u8;
        (pixel[0], pixel[1], pixel[2]) = (multiplied(pixel[2]), multiplied(pixel[1]), multiplied(pixel[0]));
    }
    let found = judged(&apples(&encoded(::png::ColorType::Rgba, &data)));
    assert_eq!(found.quality, [Quality::Transparent]);
    // A fifth of alpha leaves a fifth of the levels.
    let most = found.crop.pixels().iter().zip(want.crop.pixels()).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
    assert!(most <= 3, "{most}");

    let plain = pixels(3);
    let turned: Vec<u8> = plain.chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    let want = judged(&encoded(::png::ColorType::Rgb, &plain));
    assert_eq!(judged(&apples(&encoded(::png::ColorType::Rgb, &turned))).crop, want.crop);
}
