use proptest::prelude::*;
use turbojpeg_sys as tj;

use super::super::samples::{Kind, PLAIN, encoded, kinds};
use super::super::turbo::{Bounds, Decompressor};
use super::*;
use crate::crop::CROP_SIDE;
use crate::{DecodeError, Decoded, Limits, Quality, decode};

const AMPLE: Limits = Limits { max_pixels: 100_000_000, max_decoded_bytes: 1 << 30 };

fn judged(bytes: &[u8]) -> Decoded {
    decode(bytes, &AMPLE).unwrap()
}

fn is_damaged(decoded: &Decoded) -> bool {
    decoded.quality.contains(&Quality::Damaged)
}

fn refusal(bytes: &[u8]) -> String {
    match decode(bytes, &AMPLE) {
        Err(DecodeError::Damaged { detail, .. }) => detail,
        other => panic!("{other:?} instead of damage"),
    }
}

/// Where the markers of this code stand.
fn markers(bytes: &[u8], code: u8) -> Vec<usize> {
    (0..bytes.len() - 1).filter(|&at| bytes[at..at + 2] == [0xff, code]).collect()
}

/// The scan's header with another spectrum.
fn with_spectrum(bytes: &[u8], spectrum: [u8; 3]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for scan in markers(&bytes, 0xda) {
        let behind = scan + 2 + usize::from(u16::from_be_bytes([bytes[scan + 2], bytes[scan + 3]]));
        bytes[behind - 3..behind].copy_from_slice(&spectrum);
    }
    bytes
}

fn with_segments(bytes: &[u8], marker: u8, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut found = bytes[..2].to_vec();
    for body in bodies {
        found.extend([0xff, marker]);
        found.extend((body.len() as u16 + 2).to_be_bytes());
        found.extend(body);
    }
    found.extend(&bytes[2..]);
    found
}

#[test]
fn the_spectrum_of_a_sequential_scan_may_say_anything() {
    for kind in [PLAIN, Kind { width: 300, height: 280, ..PLAIN }, Kind { restart: 5, optimised: true, ..PLAIN }] {
        let bytes = encoded(&kind);
        let want = judged(&bytes);
        for spectrum in [[0, 0, 0], [63, 0, 0], [1, 63, 0], [0, 63, 0x10], [0xff, 0xff, 0xff]] {
            assert_eq!(judged(&with_spectrum(&bytes, spectrum)), want, "{spectrum:?} in {kind:?}");
        }
    }
}

#[test]
fn pieces_of_a_colour_profile_may_be_missing_doubled_or_numbered_0() {
    let profile = |number: u8, of: u8| [&b"ICC_PROFILE\0"[..], &[number, of], &[7; 200]].concat();
    for kind in [PLAIN, Kind { width: 300, height: 280, ..PLAIN }, Kind { progressive: true, ..PLAIN }] {
        let bytes = encoded(&kind);
        let want = judged(&bytes);
        for pieces in [vec![(1, 2)], vec![(1, 2), (2, 2), (2, 2)], vec![(0, 1)], vec![(2, 1)], vec![(1, 1), (1, 3)]] {
            let bodies: Vec<_> = pieces.iter().map(|&(number, of)| profile(number, of)).collect();
            assert_eq!(judged(&with_segments(&bytes, 0xe2, &bodies)), want, "{pieces:?} in {kind:?}");
        }
    }
}

#[test]
fn a_missing_end_of_image_marker_changes_nothing() {
    for kind in [PLAIN, Kind { width: 300, height: 280, ..PLAIN }, Kind { progressive: true, ..PLAIN }] {
        let bytes = encoded(&kind);
        let want = judged(&bytes);
        let bare = &bytes[..bytes.len() - 2];
        assert_eq!(judged(bare), want, "{kind:?}");
        assert_eq!(judged(&[bare, &bytes].concat()), want, "another image follows, {kind:?}");
        assert_eq!(judged(&[bare, b"\xff\xe1\xff\xff half a segment"].concat()), want, "{kind:?}");
    }
}

#[test]
fn what_is_cut_off_below_the_crop_is_no_damage_to_it() {
    for width in [300, 900] {
        let bytes = encoded(&Kind { width, height: 900, ..PLAIN });
        let cut = &bytes[..bytes.len() * 4 / 5];
        assert_eq!(judged(cut), judged(&bytes), "{width}");
    }
}

#[test]
fn an_image_that_ends_within_the_crop_is_judged_as_damaged_up_to_half_of_it() {
    for kind in [Kind { width: 300, height: 280, ..PLAIN }, PLAIN, Kind { restart: 7, ..PLAIN }] {
        let bytes = encoded(&kind);
        let of = |percent: usize| &bytes[..bytes.len() * percent / 100];
        let decoded = judged(of(70));
        assert!(is_damaged(&decoded), "{kind:?}");
        assert!(decoded.crop != judged(&bytes).crop);
        assert!(refusal(of(30)).contains("of the middle is missing"), "{}", refusal(of(30)));
        // The same with an end-of-image marker.
        assert_eq!(judged(&[of(70), b"\xff\xd9"].concat()), decoded);
        refusal(&[of(30), b"\xff\xd9"].concat());
    }
}

#[test]
fn a_progressive_image_without_its_last_scans_is_judged_as_damaged() {
    let bytes = encoded(&Kind { progressive: true, ..PLAIN });
    let scans = markers(&bytes, 0xda);
    assert!(is_damaged(&judged(&bytes[..scans[4]])));
    assert!(is_damaged(&judged(&bytes[..scans[4] + 500])));
    assert!(is_damaged(&judged(&[&bytes[..scans[3]], b"\xff\xd9"].concat())));
    // The first scan holds the first coefficients of all blocks.
    refusal(&bytes[..scans[0] + (scans[1] - scans[0]) / 4]);
}

/// Cuts some bytes out before each of these restart markers.
fn with_short_intervals(bytes: &[u8], of: impl Fn(usize) -> bool) -> Vec<u8> {
    let is_restart = |pair: &[u8]| pair[0] == 0xff && (0xd0..=0xd7).contains(&pair[1]);
    let ends: Vec<_> = (0..bytes.len() - 1).filter(|&at| is_restart(&bytes[at..at + 2])).collect();
    let mut from = markers(bytes, 0xda)[0] + 14;
    let mut found = bytes[..from].to_vec();
    for (number, &end) in ends.iter().enumerate() {
        let cut = if of(number) { (end - from) / 2 } else { 0 };
        found.extend(&bytes[from..end - cut]);
        from = end;
    }
    found.extend(&bytes[from..]);
    found
}

#[test]
fn restart_intervals_that_end_early_are_judged_as_damaged() {
    let bytes = encoded(&Kind { restart: 8, ..PLAIN });
    let short = with_short_intervals(&bytes, |number| number % 3 == 1);
    let decoded = judged(&short);
    assert!(is_damaged(&decoded));
    // Above the crop they concern nobody.
    let above = with_short_intervals(&bytes, |number| number < 10);
    assert_eq!(judged(&above), judged(&bytes));
}

#[test]
fn a_lost_restart_marker_costs_its_intervals() {
    let bytes = encoded(&Kind { width: 300, height: 280, restart: 3, ..PLAIN });
    let marker = markers(&bytes, 0xd2)[4];
    for code in [0xd6, 0xd1, 0xd3, 0x02] {
        let mut lost = bytes.clone();
        lost[marker + 1] = code;
        assert!(is_damaged(&judged(&lost)), "{code:x}");
    }
    let mut gone = bytes.clone();
    gone.drain(marker..marker + 2);
    assert!(is_damaged(&judged(&gone)));
}

#[test]
fn arithmetic_codes_that_are_cut_off_are_refused() {
    let bytes = encoded(&Kind { arithmetic: true, ..PLAIN });
    assert!(refusal(&bytes[..bytes.len() - 2]).contains("no end-of-image marker"));
}

/// The share of a window that is of the grey of blocks without data.
fn share_of_grey(bytes: &[u8], window: &Window) -> f64 {
    let mut decompressor = Decompressor::new().unwrap();
    decompressor.bound(&Bounds { megabytes: 1 << 10, scans: 1000 });
    let header = decompressor.read_header(bytes).unwrap();
    let (pixels, _) = decompressor.decode(bytes, &header, header.whole()).unwrap();
    let window = window.cut(&pixels, 0, 0, header.width * 3);
    let grey = window.chunks_exact(3).filter(|pixel| *pixel == [128; 3]).count();
    grey as f64 / (window.len() / 3) as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn as_much_is_found_made_up_as_libjpeg_leaves_grey(
        width in 260usize..700, height in 260usize..700, restart in 1i32..60,
        sampling in prop::sample::select(vec![tj::TJSAMP_TJSAMP_444, tj::TJSAMP_TJSAMP_420, tj::TJSAMP_TJSAMP_GRAY]),
        every in 2usize..9, end in 0.3..1.0,
    ) {
        let bytes = encoded(&Kind { width, height, restart, sampling, ..PLAIN });
        let short = with_short_intervals(&bytes, |number| number % every == 0);
        let cut = [&short[..(short.len() as f64 * end) as usize], b"\xff\xd9"].concat();
        let outline = Outline::read(&cut).unwrap();
        let window = Window::centre(width as u32, height as u32, CROP_SIDE);
        let damage = of(&cut, &outline, &window).unwrap();
        let grey = share_of_grey(&cut, &window);
        // An MCU in which the data ends is made up in part, and upsampling reaches over its border.
        prop_assert!((damage.made_up - grey).abs() < 0.05 + 1.2 / restart as f64, "{} {grey}", damage.made_up);
        prop_assert!(grey < 0.02 || damage.is_doubtful);
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused_or_judged_and_no_wrong_pixel_goes_unsaid(kind in kinds(), part in 0.0..1.0) {
        let bytes = encoded(&kind);
        let cut = &bytes[..((bytes.len() as f64 * part) as usize).max(3)];
        match decode(cut, &AMPLE) {
            Ok(decoded) => prop_assert!(is_damaged(&decoded) || decoded.crop == judged(&bytes).crop, "{kind:?}"),
            Err(error) => prop_assert!(matches!(error, DecodeError::Damaged { .. }), "{error}"),
        }
    }
}
