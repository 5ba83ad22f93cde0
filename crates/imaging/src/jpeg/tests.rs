//! The region against the whole image, over JPEGs of many kinds.

use proptest::prelude::*;
use turbojpeg_sys as tj;

use super::super::crop::{CROP_SIDE, Window};
use super::super::{DecodeError, Limits, Quality, decode, window};
use super::excerpt::{Excerpt, excerpt};
use super::outline::{Outline, Walk};
use super::samples::{Kind, PLAIN, encoded, kinds};
use super::turbo::{Bounds, Decompressor, Header, Layout};
use super::{MAX_SCANS, rgb_of_inverted_cmyk};

const AMPLE: Limits = Limits { max_pixels: 100_000_000, max_decoded_bytes: 1 << 30 };

/// The whole image, as libjpeg-turbo has it.
fn whole(bytes: &[u8]) -> Result<(Header, Vec<u8>), String> {
    let mut decompressor = Decompressor::new()?;
    decompressor.bound(&Bounds { megabytes: 1 << 10, scans: 1000 });
    let header = decompressor.read_header(bytes)?;
    let (pixels, warning) = decompressor.decode(bytes, &header, header.whole())?;
    if let Some(warning) = warning.filter(|warning| !warning.is_about_no_pixels()) {
        return Err(warning.0);
    }
    Ok((header, if header.layout == Layout::Cmyk { rgb_of_inverted_cmyk(&pixels) } else { pixels }))
}

/// The crop by way of the whole image.
fn crop_of_whole(bytes: &[u8]) -> Vec<u8> {
    let (header, pixels) = whole(bytes).unwrap();
    let window = Window::centre(header.width as u32, header.height as u32, CROP_SIDE);
    window.fill_up(&window.cut(&pixels, 0, 0, header.width * 3)).pixels().to_vec()
}

struct Crops {
    /// The middle of a JPEG as a smaller one, and the crop that comes of it.
    excerpt: Vec<u8>,
    shown: Vec<u8>,
    /// The crop of the same image if it ended below the excerpt.
    expected: Result<Vec<u8>, String>,
}

fn excerpt_and_crops(bytes: &[u8]) -> Option<Crops> {
    let outline = Outline::read(bytes).ok()?;
    let middle = Window::centre(outline.width, outline.height, CROP_SIDE);
    let Excerpt { bytes: excerpt, left, top } = excerpt(bytes, &outline, &middle)?;
    let (header, shown) = match whole(&excerpt) {
        Ok(shown) => shown,
        Err(error) => {
            assert!(whole(bytes).is_err(), "the excerpt alone is damaged: {error}");
            return None;
        }
    };
    let mut above = bytes.to_vec();
    let mut walk = Walk::new(bytes);
    while !matches!(walk.next_marker()?, 0xc0 | 0xc1) {
        walk.segment()?;
    }
    let height_at = bytes.len() - walk.rest().len() + 3;
    above[height_at..height_at + 2].copy_from_slice(&((top + header.height) as u16).to_be_bytes());
    let expected = whole(&above).map(|(header, pixels)| middle.cut(&pixels, 0, 0, header.width * 3));
    Some(Crops { excerpt, shown: middle.cut(&shown, left, top, header.width * 3), expected })
}

fn damage(bytes: &[u8]) -> String {
    match decode(bytes, &AMPLE) {
        Err(DecodeError::Damaged { detail, .. }) => detail,
        other => panic!("{other:?} instead of damage"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_region_is_equal_to_the_whole_image_bit_for_bit(kind in kinds()) {
        let bytes = encoded(&kind);
        let decoded = decode(&bytes, &AMPLE).unwrap();
        prop_assert_eq!((decoded.width as usize, decoded.height as usize), (kind.width, kind.height));
        prop_assert_eq!(decoded.quality.contains(&Quality::Greyscale), kind.sampling == tj::TJSAMP_TJSAMP_GRAY);
        prop_assert!(decoded.crop.pixels() == crop_of_whole(&bytes), "the pixels differ");
    }

    #[test]
    fn a_larger_window_is_equal_to_the_whole_image_too(kind in kinds(), side in 1usize..900) {
        let bytes = encoded(&kind);
        let (whole, part) = (window(&bytes, 2000, &AMPLE).unwrap().picture, window(&bytes, side, &AMPLE).unwrap().picture);
        prop_assert_eq!((whole.width(), whole.height()), (kind.width, kind.height));
        let place = Window::centre(kind.width as u32, kind.height as u32, side);
        prop_assert!(part.rgb() == place.cut(whole.rgb(), 0, 0, kind.width * 3), "the pixels differ");
    }

    #[test]
    fn an_excerpt_is_equal_to_its_place_in_the_whole_even_if_that_is_damaged(
        kind in kinds(),
        (width, height) in (500usize..800, 400usize..800),
        flips in prop::collection::vec((0.0..1.0, 1u8..), 0..3),
    ) {
        let kind = Kind { width, height, progressive: false, arithmetic: false, lossless: false, ..kind };
        let mut bytes = encoded(&kind);
        for &(part, bits) in &flips {
            let place = (bytes.len() as f64 * part) as usize;
            bytes[place] ^= bits;
        }
        let crops = excerpt_and_crops(&bytes);
        prop_assert!(crops.is_some() || !flips.is_empty(), "none was made");
        // Where libjpeg-turbo sees damage it lies beside the excerpt: what comes before was walked over.
        if let Some(Crops { shown, expected: Ok(expected), .. }) = crops {
            prop_assert!(shown == expected, "the pixels differ");
        }
    }

    #[test]
    fn flipped_bytes_end_in_an_error_or_an_image(kind in kinds(), flips in prop::collection::vec((0.0..1.0, 1u8..), 1..20)) {
        let mut bytes = encoded(&kind);
        for (part, bits) in flips {
            let place = (bytes.len() as f64 * part) as usize;
            bytes[place] ^= bits;
        }
        let _ = decode(&bytes, &Limits { max_pixels: 4_000_000, max_decoded_bytes: 64 << 20 });
    }
}

#[test]
fn libjpeg_turbo_decodes_a_small_part_of_a_large_image() {
    let bytes = encoded(&Kind { width: 2000, height: 1500, restart: 7, ..PLAIN });
    let Crops { excerpt, shown, expected } = excerpt_and_crops(&bytes).unwrap();
    assert!(excerpt.len() * 20 < bytes.len(), "{} of {} bytes", excerpt.len(), bytes.len());
    let header = Outline::read(&excerpt).unwrap();
    // The crop with its margin, in whole MCUs of 16 pixels.
    assert_eq!((header.width, header.height), (272, 272));
    assert!(shown == expected.unwrap());
}

#[test]
fn no_excerpt_is_made_where_it_would_save_nothing() {
    for kind in [
        Kind { width: 290, height: 290, ..PLAIN },
        Kind { progressive: true, ..PLAIN },
        Kind { arithmetic: true, ..PLAIN },
    ] {
        assert!(excerpt_and_crops(&encoded(&kind)).is_none(), "{kind:?}");
    }
}

#[test]
fn no_excerpt_is_made_of_an_image_with_too_many_segments() {
    let bytes = encoded(&PLAIN);
    let commented = [&bytes[..2], &b"\xff\xfe\0\x02".repeat(100_000), &bytes[2..]].concat();
    assert!(excerpt_and_crops(&commented).is_none());
    assert_eq!(decode(&commented, &AMPLE).unwrap().crop, decode(&bytes, &AMPLE).unwrap().crop);
}

#[test]
fn the_sampling_factors_of_a_greyscale_image_do_not_matter() {
    let mut bytes = encoded(&Kind { sampling: tj::TJSAMP_TJSAMP_GRAY, ..PLAIN });
    let plain = crop_of_whole(&bytes);
    let frame = segments(&bytes, 0xc0)[0].start;
    bytes[frame + 11] = 0x22;
    assert!(decode(&bytes, &AMPLE).unwrap().crop.pixels() == plain);
    assert!(excerpt_and_crops(&bytes).is_some());
}

#[test]
fn bytes_outside_of_segments_are_skipped_as_pillow_does() {
    let bytes = encoded(&PLAIN);
    let (body, end) = bytes.split_at(bytes.len() - 2);
    let padded = [body, &[0; 9], end, b"whatever follows"].concat();
    assert_eq!(decode(&padded, &AMPLE).unwrap().crop, decode(&bytes, &AMPLE).unwrap().crop);
}

/// Where each scan of a JPEG begins.
fn scans(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 1).filter(|&at| bytes[at..at + 2] == [0xff, 0xda]).collect()
}

#[test]
fn a_progressive_image_that_stops_at_a_coarser_scan_is_smoothed_as_in_the_whole_image() {
    let bytes = encoded(&Kind { progressive: true, width: 700, height: 500, quality: 70, ..PLAIN });
    let scans = scans(&bytes);
    assert!(scans.len() > 5, "{scans:?}");
    for &scan in &scans[1..] {
        let coarse = [&bytes[..scan], b"\xff\xd9"].concat();
        if Outline::read(&coarse).unwrap().components.iter().all(|component| component.is_present()) {
            assert!(decode(&coarse, &AMPLE).unwrap().crop.pixels() == crop_of_whole(&coarse), "cut at {scan}");
        }
    }
}

#[test]
fn a_component_that_no_scan_holds_is_missing_data() {
    let mut bytes = encoded(&Kind { progressive: true, sampling: tj::TJSAMP_TJSAMP_444, ..PLAIN });
    // The first scan says that it holds luma only, and nothing comes behind it.
    let scans = scans(&bytes);
    bytes.truncate(scans[1]);
    bytes.extend(b"\xff\xd9");
    bytes.splice(scans[0] + 2..scans[0] + 14, [0, 8, 1, 1, 0, 0, 0, 1]);
    assert!(damage(&bytes).starts_with("no scan holds component"), "{}", damage(&bytes));
}

#[test]
fn too_many_scans_are_refused_before_they_are_decoded() {
    let bytes = encoded(&Kind { progressive: true, width: 64, height: 64, ..PLAIN });
    let last = *scans(&bytes).last().unwrap();
    let (body, end) = bytes.split_at(bytes.len() - 2);
    let many = [body, &body[last..].repeat(MAX_SCANS), end].concat();
    let error = decode(&many, &AMPLE).unwrap_err();
    assert!(matches!(error, DecodeError::UnsupportedKind { .. }), "{error}");
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
    let mut bytes = encoded(&Kind { progressive: true, ..PLAIN });
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    let error = decode(&bytes, &Limits { max_pixels: 100_000_000, max_decoded_bytes: 1 << 30 }).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyPixels { width: 65535, height: 65535, .. }), "{error}");
    // The pixels may pass, and yet the coefficients of all scans be too many.
    let error = decode(&bytes, &Limits { max_pixels: u64::MAX, max_decoded_bytes: 1 << 30 }).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyDecodedBytes { bytes: 8_000_000_000.., .. }), "{error}");
}

#[test]
fn what_pillow_does_not_decode_either_is_called_unsupported() {
    let mut bytes = encoded(&PLAIN);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 4] = 12;
    let error = decode(&bytes, &AMPLE).unwrap_err();
    assert!(matches!(error, DecodeError::UnsupportedKind { .. }), "{error}");
}

/// Where the segments of a header begin that carry this marker.
fn segments(bytes: &[u8], marker: u8) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut place = 2;
    while bytes[place + 1] != 0xDA {
        let end = place + 2 + usize::from(u16::from_be_bytes([bytes[place + 2], bytes[place + 3]]));
        if bytes[place + 1] == marker {
            found.push(place..end);
        }
        place = end;
    }
    found
}

#[test]
fn a_damaged_image_does_not_change_how_the_next_one_is_decoded() {
    let good = encoded(&Kind { width: 48, height: 32, ..PLAIN });
    let alone = decode(&good, &AMPLE).unwrap();
    for place in 2..scans(&good)[0] + 14 {
        for change in [0x01, 0x10, 0x80, 0xFF] {
            let mut damaged = good.clone();
            damaged[place] ^= change;
            let _ = decode(&damaged, &AMPLE);
            let after = decode(&good, &AMPLE).map_err(|error| format!("{error}, after {change:#x} at {place}"));
            assert_eq!(after.as_ref(), Ok(&alone));
        }
    }
}

#[test]
fn an_image_without_its_own_tables_is_damaged_whatever_came_before() {
    let good = encoded(&PLAIN);
    decode(&good, &AMPLE).unwrap();
    let mut bare = good;
    for segment in segments(&bare, 0xDB).into_iter().rev() {
        bare.drain(segment);
    }
    assert!(damage(&bare).contains("Quantization table"), "{}", damage(&bare));
}

#[test]
fn cmyk_becomes_rgb_as_in_pillow() {
    // Stored inverted: full light and no ink; no light; half of it with half of each ink.
    let rgb = rgb_of_inverted_cmyk(&[255, 255, 255, 255, 255, 0, 255, 0, 128, 0, 255, 128]);
    assert_eq!(rgb, [255, 255, 255, 0, 0, 0, 64, 0, 128]);
}

#[test]
fn the_whole_of_every_kind_is_what_the_window_is_and_turned_as_exif_says() {
    let kinds = [
        PLAIN,
        Kind { progressive: true, ..PLAIN },
        Kind { cmyk: Some(tj::TJCS_TJCS_YCCK), ..PLAIN },
        Kind { sampling: tj::TJSAMP_TJSAMP_GRAY, ..PLAIN },
        Kind { lossless: true, sampling: tj::TJSAMP_TJSAMP_444, ..PLAIN },
    ];
    for kind in kinds {
        let bytes = encoded(&kind);
        let all = crate::whole(&bytes, u32::MAX, &AMPLE).unwrap();
        assert!(all.picture == window(&bytes, 640, &AMPLE).unwrap().picture, "{kind:?}");
        let exif = b"\xff\xe1\0\x22Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let upright = [&bytes[..2], exif, &bytes[2..]].concat();
        let turned = crate::whole(&upright, u32::MAX, &AMPLE).unwrap();
        assert_eq!((turned.width, turned.height), (all.height, all.width));
        // What was at the bottom left is at the top left.
        let bottom_left = (all.height as usize - 1) * all.width as usize * 3;
        assert_eq!(turned.picture.rgb()[..3], all.picture.rgb()[bottom_left..][..3]);
    }
}
