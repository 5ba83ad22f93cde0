//! Small images made on the spot.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use imaging::Crop;
use turbojpeg_sys::{
    TJCS_TJCS_CMYK, TJCS_TJCS_GRAY, TJCS_TJCS_YCbCr, TJINIT_TJINIT_COMPRESS, TJPARAM_TJPARAM_COLORSPACE,
    TJPARAM_TJPARAM_PROGRESSIVE, TJPARAM_TJPARAM_QUALITY, TJPARAM_TJPARAM_SUBSAMP, TJPF_TJPF_CMYK, TJPF_TJPF_GRAY,
    TJPF_TJPF_RGB, TJSAMP_TJSAMP_420, TJSAMP_TJSAMP_444, TJSAMP_TJSAMP_GRAY, tj3Compress8, tj3Destroy, tj3Free,
    tj3Init, tj3Set,
};

/// The shade that a scripted detector chokes on.
pub const POISON: u8 = 66;

/// A square of one shade.
pub fn bmp(side: u32, shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(side, side, Rgb([shade; 3])).write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    bytes.into_inner()
}

pub fn is_poison(crop: &Crop) -> bool {
    crop.pixels()[0] == POISON
}

/// Colours of a JPEG's samples.
#[derive(Clone, Copy)]
pub enum Inks {
    Rgb,
    Grey,
    Cmyk,
}

/// A baseline JPEG of noise over a gradient; about as large as a photograph of that size.
pub fn jpeg(width: usize, height: usize, inks: Inks) -> Vec<u8> {
    jpeg_in(width, height, inks, 0)
}

pub fn progressive_jpeg(width: usize, height: usize) -> Vec<u8> {
    jpeg_in(width, height, Inks::Rgb, 1)
}

fn jpeg_in(width: usize, height: usize, inks: Inks, progressive: i32) -> Vec<u8> {
    let (channels, format, space, subsampling) = match inks {
        Inks::Rgb => (3, TJPF_TJPF_RGB, TJCS_TJCS_YCbCr, TJSAMP_TJSAMP_420),
        Inks::Grey => (1, TJPF_TJPF_GRAY, TJCS_TJCS_GRAY, TJSAMP_TJSAMP_GRAY),
        Inks::Cmyk => (4, TJPF_TJPF_CMYK, TJCS_TJCS_CMYK, TJSAMP_TJSAMP_444),
    };
    let pixels = noise(width, height, channels);
    let mut bytes = std::ptr::null_mut();
    let mut length = 0;
    // SAFETY: the pixels are as many as announced; the library allocates the result, which is copied and freed here.
    unsafe {
        let handle = tj3Init(TJINIT_TJINIT_COMPRESS as i32);
        tj3Set(handle, TJPARAM_TJPARAM_QUALITY as i32, 85);
        tj3Set(handle, TJPARAM_TJPARAM_PROGRESSIVE as i32, progressive);
        tj3Set(handle, TJPARAM_TJPARAM_SUBSAMP as i32, subsampling);
        tj3Set(handle, TJPARAM_TJPARAM_COLORSPACE as i32, space as i32);
        let (width, height) = (width as i32, height as i32);
        let ended = tj3Compress8(handle, pixels.as_ptr(), width, 0, height, format, &raw mut bytes, &raw mut length);
        assert_eq!(ended, 0);
        let jpeg = std::slice::from_raw_parts(bytes, length as usize).to_vec();
        tj3Free(bytes.cast());
        tj3Destroy(handle);
        jpeg
    }
}

pub fn png(width: usize, height: usize, colour: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        encoder.set_palette(noise(256, 1, 3));
    }
    let row = (width * colour.samples() * depth as usize).div_ceil(8);
    encoder.write_header().unwrap().write_image_data(&noise(row, height, 1)).unwrap();
    bytes
}

/// A GIF of two frames.
pub fn gif(width: usize, height: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width as u16, height as u16, &noise(16, 1, 3)).unwrap();
    for shade in [3, 9] {
        let frame = gif::Frame {
            width: width as u16,
            height: height as u16,
            buffer: vec![shade; width * height].into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// An animated GIF whose frames have these shades.
pub fn gif_of(side: u16, shades: &[u8]) -> Vec<u8> {
    let grey: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, side, side, &grey).unwrap();
    for &shade in shades {
        let buffer = vec![shade; usize::from(side) * usize::from(side)].into();
        encoder.write_frame(&gif::Frame { width: side, height: side, buffer, ..gif::Frame::default() }).unwrap();
    }
    drop(encoder);
    bytes
}

/// An animated PNG whose frames have these shades; the picture that viewers without animations show is black, and no frame.
pub fn apng_with_hidden_picture(side: u32, shades: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(shades.len() as u32, 0).unwrap();
    encoder.set_sep_def_img(true).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for shade in std::iter::once(&0).chain(shades) {
        writer.write_image_data(&vec![*shade; (side * side * 3) as usize]).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// A PNG with a text under a key.
pub fn png_with_text(side: u32, key: &str, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_text_chunk(key.into(), text.into()).unwrap();
    encoder.write_header().unwrap().write_image_data(&vec![40; (side * side * 3) as usize]).unwrap();
    bytes
}

pub fn webp(width: usize, height: usize) -> Vec<u8> {
    let encode = |pixels, columns, rows, stride, bytes| {
        // SAFETY: as `encoded_webp` calls it.
        unsafe { libwebp_sys::WebPEncodeRGB(pixels, columns, rows, stride, 80.0, bytes) }
    };
    encoded_webp(width, height, encode)
}

pub fn lossless_webp(width: usize, height: usize) -> Vec<u8> {
    let encode = |pixels, columns, rows, stride, bytes| {
        // SAFETY: as `encoded_webp` calls it.
        unsafe { libwebp_sys::WebPEncodeLosslessRGB(pixels, columns, rows, stride, bytes) }
    };
    encoded_webp(width, height, encode)
}

fn encoded_webp(
    width: usize,
    height: usize,
    encode: impl Fn(*const u8, i32, i32, i32, *mut *mut u8) -> usize,
) -> Vec<u8> {
    let pixels = noise(width, height, 3);
    let mut bytes = std::ptr::null_mut();
    // SAFETY: the pixels are width × height × 3 bytes; the library allocates the result, which is copied and freed here.
    unsafe {
        let (columns, rows) = (width as i32, height as i32);
        let length = encode(pixels.as_ptr(), columns, rows, columns * 3, &raw mut bytes);
        assert!(length > 0);
        let webp = std::slice::from_raw_parts(bytes, length).to_vec();
        libwebp_sys::WebPFree(bytes.cast());
        webp
    }
}

/// A WebP of two equal frames: the chunks of an animation around those of a still image.
pub fn animated_webp(width: usize, height: usize) -> Vec<u8> {
    let still = webp(width, height);
    let three = |number: usize| number.to_le_bytes()[..3].to_vec();
    let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body].concat();
    let size = [three(width - 1), three(height - 1)].concat();
    let animated_flag = 2;
    let frame = [three(0), three(0), size.clone(), three(40), vec![0], still[12..].to_vec()].concat();
    let body = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &[vec![animated_flag, 0, 0, 0], size].concat()),
        chunk(b"ANIM", &[0; 6]),
        chunk(b"ANMF", &frame),
        chunk(b"ANMF", &frame),
    ];
    chunk(b"RIFF", &body.concat())
}

pub fn tiff(width: usize, height: usize) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = RgbImage::from_raw(width as u32, height as u32, noise(width, height, 3)).unwrap();
    image.write_to(&mut bytes, ImageFormat::Tiff).unwrap();
    bytes.into_inner()
}

/// Still pictures of 64×48 pixels in formats for which there is no encoder here (`crates/imaging/samples`).
pub const AVIF: &[u8] = include_bytes!("../../../crates/imaging/samples/still.avif");
pub const HEIC: &[u8] = include_bytes!("../../../crates/imaging/samples/still.heic");
pub const JXL: &[u8] = include_bytes!("../../../crates/imaging/samples/still.jxl");

/// A picture of every kind, with its name.
pub fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    one_of_each_at(100)
}

/// With sides of so many hundredths.
pub fn one_of_each_at(percent: usize) -> Vec<(&'static str, Vec<u8>)> {
    let side = |whole: usize| (whole * percent / 100).max(1);
    use png::BitDepth::{Eight, One, Sixteen};
    use png::ColorType::{Grayscale, Indexed, Rgb, Rgba};
    vec![
        ("rgb.jpg", jpeg(side(300), side(270), Inks::Rgb)),
        ("grey.jpg", jpeg(side(90), side(120), Inks::Grey)),
        ("cmyk.jpg", jpeg(side(120), side(90), Inks::Cmyk)),
        ("progressive.jpg", progressive_jpeg(side(280), side(260))),
        ("rgb.png", png(side(280), side(60), Rgb, Eight)),
        ("rgba16.png", png(side(40), side(260), Rgba, Sixteen)),
        ("palette.png", png(side(70), side(80), Indexed, Eight)),
        ("bits.png", png(side(290), side(300), Grayscale, One)),
        ("lossy.webp", webp(side(270), side(280))),
        ("lossless.webp", lossless_webp(side(120), side(100))),
        ("moving.webp", animated_webp(side(60), side(50))),
        ("moving.gif", gif(side(100), side(90))),
        ("moving.png", apng_with_hidden_picture(side(80) as u32, &[20, 200])),
        ("texts.png", png_with_text(side(30) as u32, "parameters", "a tree\nSteps: 20, Sampler: Euler, CFG scale: 7")),
        ("plain.bmp", bmp(side(60) as u32, 80)),
        ("plain.tiff", tiff(side(70), side(60))),
        ("still.avif", AVIF.to_vec()),
        ("still.heic", HEIC.to_vec()),
        ("still.jxl", JXL.to_vec()),
    ]
}

/// Noise over a gradient, the same each time.
fn noise(width: usize, height: usize, channels: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut samples = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        for x in 0..width * channels {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            samples.push(((x + y) / 24) as u8 ^ (state >> 27) as u8);
        }
    }
    samples
}
