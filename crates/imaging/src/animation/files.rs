//! Animations in files of each format: the frames that are judged are what a viewer shows.

use ::png::{BlendOp, ColorType, DisposeOp};
use libwebp_sys as webp;

use crate::{Crop, DecodeError, Decoded, Limits, MAX_JUDGED, Quality, decode, window};

const AMPLE: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 64 << 20 };

const SIDE: usize = 260;
const RED: [u8; 4] = [200, 10, 20, 255];
const BLUE: [u8; 4] = [5, 15, 190, 255];
const GREEN: [u8; 4] = [5, 180, 30, 255];
const CLEAR: [u8; 4] = [0, 0, 0, 0];
const HALF: [u8; 4] = [100, 100, 100, 128];
/// Places: left, top, width, height.
const WHOLE: [usize; 4] = [0, 0, SIDE, SIDE];
const RIGHT: [usize; 4] = [130, 0, 130, SIDE];
const BELOW: [usize; 4] = [0, 130, SIDE, 130];

#[derive(Clone, Copy)]
struct Part {
    place: [usize; 4],
    colour: [u8; 4],
    disposal: DisposeOp,
    blend: BlendOp,
}

fn part(place: [usize; 4], colour: [u8; 4]) -> Part {
    Part { place, colour, disposal: DisposeOp::None, blend: BlendOp::Over }
}

impl Part {
    fn pixels(&self) -> Vec<u8> {
        self.colour.repeat(self.place[2] * self.place[3])
    }
}

/// With a default image of another colour in front if `hidden`.
fn apng(parts: &[Part], hidden: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, SIDE as u32, SIDE as u32);
    encoder.set_color(ColorType::Rgba);
    encoder.set_animated(parts.len() as u32, 0).unwrap();
    encoder.set_sep_def_img(hidden.is_some()).unwrap();
    let mut writer = encoder.write_header().unwrap();
    if let Some(colour) = hidden {
        writer.write_image_data(&colour.repeat(SIDE * SIDE)).unwrap();
    }
    for part in parts {
        let [left, top, width, height] = part.place.map(|number| number as u32);
        writer.reset_frame_position().unwrap();
        writer.set_frame_dimension(width, height).unwrap();
        writer.set_frame_position(left, top).unwrap();
        writer.set_dispose_op(part.disposal).unwrap();
        writer.set_blend_op(part.blend).unwrap();
        writer.write_image_data(&part.pixels()).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

const PALETTE: [[u8; 4]; 4] = [CLEAR, RED, BLUE, GREEN];

/// Without half-transparent parts; all are drawn over what is there.
fn gif(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let palette: Vec<u8> = PALETTE.iter().flat_map(|colour| colour[..3].to_vec()).collect();
    let mut encoder = ::gif::Encoder::new(&mut bytes, SIDE as u16, SIDE as u16, &palette).unwrap();
    for part in parts {
        let [left, top, width, height] = part.place.map(|number| number as u16);
        let index = PALETTE.iter().position(|colour| *colour == part.colour).unwrap() as u8;
        let dispose = match part.disposal {
            DisposeOp::None => ::gif::DisposalMethod::Keep,
            DisposeOp::Background => ::gif::DisposalMethod::Background,
            DisposeOp::Previous => ::gif::DisposalMethod::Previous,
        };
        let buffer = vec![index; part.place[2] * part.place[3]].into();
        let transparent = Some(0);
        let frame = ::gif::Frame { left, top, width, height, dispose, buffer, transparent, ..::gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// Without frames that restore what was there before.
fn animated_webp(parts: &[Part]) -> Vec<u8> {
    let three = |number: usize| number.to_le_bytes()[..3].to_vec();
    let chunk = |name: &[u8], body: &[u8]| {
        let fill = vec![0; body.len() % 2];
        [name, &(body.len() as u32).to_le_bytes(), body, &fill].concat()
    };
    let frame = |part: &Part| {
        let [left, top, width, height] = part.place;
        let flags = u8::from(part.blend == BlendOp::Source) << 1 | u8::from(part.disposal == DisposeOp::Background);
        let head = [three(left / 2), three(top / 2), three(width - 1), three(height - 1), three(40), vec![flags]];
        chunk(b"ANMF", &[head.concat(), lossless(part)[12..].to_vec()].concat())
    };
    let with_alpha_and_frames = 0x12;
    let sides = [three(SIDE - 1), three(SIDE - 1)].concat();
    let header = chunk(b"VP8X", &[vec![with_alpha_and_frames, 0, 0, 0], sides].concat());
    let frames: Vec<u8> = parts.iter().flat_map(frame).collect();
    chunk(b"RIFF", &[b"WEBP".to_vec(), header, chunk(b"ANIM", &[0; 6]), frames].concat())
}

fn lossless(part: &Part) -> Vec<u8> {
    let (width, height) = (part.place[2] as i32, part.place[3] as i32);
    let (pixels, mut output) = (part.pixels(), std::ptr::null_mut());
    // SAFETY: the pixels are as many as the sides say; the output is copied before it is freed.
    unsafe {
        let size = webp::WebPEncodeLosslessRGBA(pixels.as_ptr(), width, height, width * 4, &mut output);
        let bytes = std::slice::from_raw_parts(output, size).to_vec();
        webp::WebPFree(output.cast());
        bytes
    }
}

/// The colours at four places of each crop: top left, top right, bottom left, bottom right.
fn corners(decoded: &Decoded) -> Vec<[[u8; 3]; 4]> {
    let at = |crop: &Crop, place: usize| crop.pixels()[place * 3..][..3].try_into().unwrap();
    let all = std::iter::once(&decoded.crop).chain(&decoded.later);
    all.map(|crop| [0, 255, 255 * 256, 256 * 256 - 1].map(|place| at(crop, place))).collect()
}

fn rgb(colours: [[u8; 4]; 4]) -> [[u8; 3]; 4] {
    colours.map(|colour| [colour[0], colour[1], colour[2]])
}

fn judged(bytes: &[u8]) -> Decoded {
    decode(bytes, &AMPLE).unwrap()
}

#[test]
fn a_default_image_that_is_no_frame_is_not_judged() {
    let one = apng(&[part(WHOLE, RED)], Some(BLUE));
    let decoded = judged(&one);
    assert_eq!(corners(&decoded), [rgb([RED; 4])]);
    assert_eq!((decoded.frames, &decoded.quality[..]), (Some(1), &[Quality::Transparent][..]));
    assert_eq!(window(&one, 2, &AMPLE).unwrap().picture.rgb()[..3], RED[..3]);
    // One that is a frame is a still image as far as the pixels go.
    let still = judged(&apng(&[part(WHOLE, BLUE)], None));
    assert_eq!((corners(&still), still.frames), (vec![rgb([BLUE; 4])], None));

    let several = judged(&apng(&[part(WHOLE, RED), part(WHOLE, GREEN)], Some(BLUE)));
    assert_eq!(corners(&several), [rgb([RED; 4]), rgb([GREEN; 4])]);
    assert_eq!((several.frames, &several.quality[..]), (Some(2), &[Quality::Animated, Quality::Transparent][..]));
}

#[test]
fn frames_are_composed_as_viewers_do() {
    for disposal in [DisposeOp::None, DisposeOp::Background, DisposeOp::Previous] {
        let parts = [part(WHOLE, RED), Part { disposal, ..part(RIGHT, BLUE) }, part(BELOW, GREEN)];
        let behind = match disposal {
            DisposeOp::None => BLUE,
            DisposeOp::Background => CLEAR,
            DisposeOp::Previous => RED,
        };
        let want = [rgb([RED; 4]), rgb([RED, BLUE, RED, BLUE]), rgb([RED, behind, GREEN, GREEN])];
        let mut files = vec![apng(&parts, None), apng(&parts, Some(HALF)), gif(&parts)];
        if disposal != DisposeOp::Previous {
            files.push(animated_webp(&parts));
        }
        for bytes in files {
            let decoded = judged(&bytes);
            assert_eq!(corners(&decoded), want, "{disposal:?} {:?}", decoded.format);
            assert_eq!((decoded.frames, decoded.width), (Some(3), SIDE as u32));
            assert_eq!(decoded.quality, [Quality::Animated, Quality::Transparent]);
        }
    }
}

#[test]
fn transparent_pixels_show_what_was_there_unless_they_replace_it() {
    let parts = |blend| [part(WHOLE, RED), Part { blend, ..part(RIGHT, HALF) }, Part { blend, ..part(BELOW, CLEAR) }];
    let mixed = [150, 55, 60, 255];
    let over = parts(BlendOp::Over);
    for bytes in [apng(&over, None), animated_webp(&over)] {
        let want = [rgb([RED; 4]), rgb([RED, mixed, RED, mixed]), rgb([RED, mixed, RED, mixed])];
        assert_eq!(corners(&judged(&bytes)), want);
    }
    let source = parts(BlendOp::Source);
    for bytes in [apng(&source, None), animated_webp(&source)] {
        let want = [rgb([RED; 4]), rgb([RED, HALF, RED, HALF]), rgb([RED, HALF, CLEAR, CLEAR])];
        assert_eq!(corners(&judged(&bytes)), want);
    }
    let index = [part(WHOLE, RED), part(WHOLE, CLEAR)];
    assert_eq!(corners(&judged(&gif(&index))), [rgb([RED; 4]), rgb([RED; 4])]);
}

#[test]
fn the_first_the_middle_and_the_last_of_many_are_judged() {
    let parts: Vec<Part> =
        (0..12).map(|n| part(WHOLE, [RED, GREEN, BLUE][usize::from(n > 0) + usize::from(n == 6)])).collect();
    for bytes in [apng(&parts, None), gif(&parts), animated_webp(&parts)] {
        let decoded = judged(&bytes);
        assert_eq!(corners(&decoded), [rgb([RED; 4]), rgb([BLUE; 4]), rgb([GREEN; 4])], "{:?}", decoded.format);
        assert_eq!((decoded.frames, decoded.later.len() + 1), (Some(12), MAX_JUDGED));
    }
    // Frames that build on each other cost as many pixels as there are: of a long animation a beginning is judged.
    let parts: Vec<Part> = (0..200).map(|n| part(BELOW, if n < 20 { RED } else { GREEN })).collect();
    let decoded = judged(&gif(&[&[part(WHOLE, RED)], &parts[..]].concat()));
    assert_eq!((decoded.frames, decoded.later.len() + 1), (Some(201), MAX_JUDGED));
    assert!(!decoded.quality.contains(&Quality::Damaged));
}

/// Where the compressed data of a frame begins, counted from the first.
fn data_of_frame(bytes: &[u8], name: &[u8], frame: usize) -> usize {
    let places = memchr::memmem::find_iter(bytes, name);
    places.map(|at| at + name.len()).nth(frame).unwrap()
}

#[test]
fn frames_that_can_not_be_decoded_are_left_out_and_the_image_is_damaged() {
    let parts = [part(WHOLE, RED), part(WHOLE, BLUE), part(WHOLE, GREEN)];
    let mut torn = apng(&parts, Some(HALF));
    // Behind the number of the chunk lies zlib's header.
    let at = data_of_frame(&torn, b"fdAT", 1) + 4;
    torn[at] ^= 0xff;
    let decoded = judged(&torn);
    assert_eq!(corners(&decoded), [rgb([RED; 4]), rgb([GREEN; 4])]);
    assert_eq!(decoded.frames, Some(3));
    assert_eq!(decoded.quality, [Quality::Animated, Quality::Transparent, Quality::Damaged]);

    // The first one too: a viewer shows what comes then.
    let at = data_of_frame(&torn, b"fdAT", 0) + 4;
    torn[at] ^= 0xff;
    assert_eq!(corners(&judged(&torn)), [rgb([GREEN; 4])]);
    // And where none is left, the default image.
    let at = data_of_frame(&torn, b"fdAT", 2) + 4;
    torn[at] ^= 0xff;
    let decoded = judged(&torn);
    assert_eq!((corners(&decoded), decoded.frames), (vec![rgb([HALF; 4])], None));
    assert!(decoded.quality.contains(&Quality::Damaged));
}

#[test]
fn what_is_there_of_an_animation_that_is_cut_off_is_judged() {
    let parts = [part(WHOLE, RED), part(WHOLE, BLUE), part(WHOLE, GREEN)];
    for bytes in [apng(&parts, None), apng(&parts, Some(HALF)), gif(&parts), animated_webp(&parts)] {
        let (mut seen, mut failed) = (0, 0);
        for length in 0..bytes.len() {
            match decode(&bytes[..length], &AMPLE) {
                Ok(decoded) => {
                    assert!(decoded.later.len() < MAX_JUDGED);
                    seen = seen.max(decoded.later.len() + 1);
                    assert!(seen == 1 || decoded.frames.is_some_and(|frames| frames <= 3));
                }
                Err(DecodeError::Damaged { detail, .. }) => {
                    assert!(!detail.contains("panicked"), "{detail}");
                    failed += 1;
                }
                Err(DecodeError::Empty | DecodeError::UnsupportedFormat { .. }) if length < 20 => {}
                Err(other) => panic!("cut at {length}: {other}"),
            }
        }
        assert!(seen >= 2 && failed > 20, "{seen} {failed} {:?}", decode(&bytes, &AMPLE).unwrap().format);
    }
}

#[test]
fn an_animation_is_held_to_the_limits_of_a_still_image() {
    let parts = [part(WHOLE, RED), part(WHOLE, BLUE)];
    for bytes in [apng(&parts, Some(HALF)), gif(&parts), animated_webp(&parts)] {
        let few = Limits { max_pixels: 67_000, ..AMPLE };
        assert!(matches!(decode(&bytes, &few), Err(DecodeError::TooManyPixels { .. })));
        let tight = Limits { max_decoded_bytes: 300, ..AMPLE };
        assert!(matches!(decode(&bytes, &tight), Err(DecodeError::TooManyDecodedBytes { .. })));
    }
}

#[test]
fn flipped_bytes_in_animations_end_in_an_error_or_an_image() {
    let parts = [part(WHOLE, RED), Part { disposal: DisposeOp::Background, ..part(RIGHT, BLUE) }, part(BELOW, GREEN)];
    let mut state = 7_u32;
    let mut pick = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % n
    };
    for whole in [apng(&parts, None), apng(&parts, Some(HALF)), gif(&parts), animated_webp(&parts)] {
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..1 + pick(4) {
                let at = pick(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80][pick(6)];
            }
            match decode(&bytes, &AMPLE) {
                Ok(decoded) => assert!(decoded.later.len() < MAX_JUDGED),
                Err(error) => assert!(!error.to_string().contains("panicked"), "{error}"),
            }
        }
    }
}
