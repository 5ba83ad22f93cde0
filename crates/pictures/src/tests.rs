//! Over a store in memory and real decoders, which `cargo build -p decoder --bins` puts beside these tests.

mod support;

use super::*;
use objects::memory::Fault;
use support::{Bench, exif, gif, noise, png, with_chunk};

const TENANT: &str = "acme";

#[tokio::test]
async fn a_crop_is_the_one_that_was_judged_pixel_for_pixel() {
    let bench = Bench::new();
    for (width, height) in [(700, 500), (90, 40), (256, 256)] {
        let bytes = png(width, height, &noise(width, height));
        let image = bench.judged("acme/a.png", &bytes);
        let want = imaging::decode(&bytes, &support::LIMITS).unwrap();
        let crop = bench.pictures.picture(TENANT, &image, Kind::Crop(0)).await.unwrap();
        assert_eq!((crop.content_type, crop.width, crop.height), ("image/png", 256, 256));
        assert!(support::pixels(&crop) == want.crop.pixels());
        let outline = bench.pictures.outline(TENANT, &image).await.unwrap();
        assert_eq!((outline.width, outline.height, &outline.sha256), (width, height, &image.sha256));
        let place = &outline.crops[0];
        assert_eq!((place.frame, place.width, place.height), (None, width.min(256), height.min(256)));
        let none = bench.pictures.picture(TENANT, &image, Kind::Crop(1)).await;
        assert_eq!(none.unwrap_err(), Trouble::NoSuchCrop);
    }
}

#[tokio::test]
async fn what_is_shown_is_turned_and_the_crop_lies_where_its_pixels_are() {
    let bench = Bench::new();
    let (width, height) = (600, 400);
    let plain = png(width, height, &noise(width, height));
    for orientation in 1..=8 {
        let bytes = with_chunk(&plain, b"eXIf", &exif(orientation));
        let image = bench.judged("acme/turned.png", &bytes);
        let outline = bench.pictures.outline(TENANT, &image).await.unwrap();
        let sides = if orientation >= 5 { (height, width) } else { (width, height) };
        assert_eq!((outline.width, outline.height), sides);
        let actual = bench.pictures.picture(TENANT, &image, Kind::Actual).await.unwrap();
        assert_eq!((actual.width, actual.height), sides);
        let crop = bench.pictures.picture(TENANT, &image, Kind::Crop(0)).await.unwrap();
        let (shown, stored) = (support::pixels(&actual), support::pixels(&crop));
        let place = &outline.crops[0];
        let mut there: Vec<&[u8]> = (place.y..place.y + place.height)
            .flat_map(|y| (place.x..place.x + place.width).map(move |x| (y * sides.0 + x) as usize * 3))
            .map(|at| &shown[at..at + 3])
            .collect();
        let mut judged: Vec<&[u8]> = stored.chunks(3).collect();
        there.sort_unstable();
        judged.sort_unstable();
        assert!(there == judged, "{orientation}");
    }
}

#[tokio::test]
async fn every_format_is_shown_whole() {
    let bench = Bench::new();
    for (name, bytes) in support::formats(300, 200) {
        let image = bench.judged(&format!("acme/{name}"), &bytes);
        for kind in [Kind::Fit, Kind::Actual] {
            let picture =
                bench.pictures.picture(TENANT, &image, kind).await.unwrap_or_else(|why| panic!("{name}: {why}"));
            let want = imaging::whole(&bytes, u32::MAX, &support::LIMITS).unwrap();
            assert_eq!((picture.width, picture.height), (want.width, want.height), "{name}");
            assert!(support::pixels(&picture) == want.picture.rgb(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_large_picture_is_a_jpeg_that_fits() {
    let bench = Bench::new();
    let image = bench.judged("acme/large.png", &png(2400, 1800, &noise(2400, 1800)));
    let fit = bench.pictures.picture(TENANT, &image, Kind::Fit).await.unwrap();
    assert_eq!((fit.content_type, fit.width, fit.height), ("image/jpeg", 1600, 1200));
    let actual = bench.pictures.picture(TENANT, &image, Kind::Actual).await.unwrap();
    assert_eq!((actual.content_type, actual.width, actual.height), ("image/jpeg", 2400, 1800));
    let decoded = imaging::whole(&actual.bytes, u32::MAX, &support::LIMITS).unwrap();
    assert_eq!((decoded.width, decoded.height), (2400, 1800));
}

#[tokio::test]
async fn crops_of_an_animation_come_with_the_numbers_of_their_frames() {
    let bench = Bench::new();
    let bytes = gif(280, 300, &[10, 20, 30, 40, 50]);
    let image = bench.judged("acme/moving.gif", &bytes);
    let outline = bench.pictures.outline(TENANT, &image).await.unwrap();
    let frames: Vec<_> = outline.crops.iter().map(|crop| crop.frame).collect();
    assert_eq!(frames, [Some(1), Some(3), Some(5)]);
    let decoded = imaging::decode(&bytes, &support::LIMITS).unwrap();
    for (number, crop) in [&decoded.crop].into_iter().chain(&decoded.later).enumerate() {
        let picture = bench.pictures.picture(TENANT, &image, Kind::Crop(number as u8)).await.unwrap();
        assert!(support::pixels(&picture) == crop.pixels(), "{number}");
    }
}

#[tokio::test]
async fn other_bytes_under_the_same_key_are_never_shown() {
    let bench = Bench::new();
    let (first, second) = (png(20, 20, &noise(20, 20)), png(21, 20, &noise(21, 20)));
    let image = bench.judged("acme/changed.png", &first);
    bench.memory.put("uploads", "acme/changed.png", second.clone());
    let found = Found { sha256: support::digest(&second), bytes: second.len() as u64, version_id: None };
    for kind in [Kind::Fit, Kind::Actual, Kind::Crop(0)] {
        let why = bench.pictures.picture(TENANT, &image, kind).await.unwrap_err();
        assert_eq!((why.why(), why.found()), ("changed", Some(&found)));
    }
    assert_eq!(bench.pictures.outline(TENANT, &image).await.unwrap_err().why(), "changed");
}

#[tokio::test]
async fn the_version_that_was_judged_is_shown_whatever_came_after_it() {
    let bench = Bench::new();
    bench.memory.create_versioned_bucket("uploads");
    let image = bench.judged("acme/a.png", &png(20, 20, &noise(20, 20)));
    assert_eq!(image.version_id.as_deref(), Some("v1"));
    bench.memory.put("uploads", "acme/a.png", png(30, 20, &noise(30, 20)));
    let picture = bench.pictures.picture(TENANT, &image, Kind::Actual).await.unwrap();
    assert_eq!((picture.width, picture.height), (20, 20));
}

#[tokio::test]
async fn a_version_that_is_gone_is_changed_unless_the_same_bytes_are_still_there() {
    let bench = Bench::new();
    let (first, second) = (png(20, 20, &noise(20, 20)), png(30, 20, &noise(30, 20)));
    let image = JudgedImage { version_id: Some("gone".into()), ..bench.judged("acme/a.png", &first) };
    assert_eq!(bench.pictures.picture(TENANT, &image, Kind::Fit).await.unwrap().width, 20);
    let image = JudgedImage { version_id: Some("gone too".into()), ..image };
    bench.memory.put("uploads", "acme/a.png", second.clone());
    let why = bench.pictures.picture(TENANT, &image, Kind::Fit).await.unwrap_err();
    assert_eq!(why.found().map(|found| &found.sha256), Some(&support::digest(&second)));
}

#[tokio::test]
async fn what_can_not_be_shown_says_why() {
    let bench = Bench::new();
    let image = bench.judged("acme/a.png", &png(20, 20, &noise(20, 20)));
    let gone = JudgedImage { key: "acme/gone.png".into(), ..image.clone() };
    assert_eq!(bench.pictures.picture(TENANT, &gone, Kind::Fit).await.unwrap_err(), Trouble::Missing);
    let text = bench.judged("acme/text.png", b"a text");
    assert_eq!(bench.pictures.outline(TENANT, &text).await.unwrap_err().why(), "unreadable");
    bench.memory.fail("uploads", "acme/a.png", [Fault::Unavailable, Fault::Denied]);
    for _ in 0..2 {
        assert_eq!(bench.pictures.picture(TENANT, &image, Kind::Fit).await.unwrap_err().why(), "unreachable");
    }
    assert!(bench.pictures.picture(TENANT, &image, Kind::Fit).await.is_ok());
}

#[tokio::test]
async fn a_tenant_has_no_pictures_but_its_own() {
    let bench = Bench::new();
    let image = bench.judged("acme/a.png", &png(20, 20, &noise(20, 20)));
    assert!(bench.pictures.picture(TENANT, &image, Kind::Fit).await.is_ok());
    for kind in [Kind::Fit, Kind::Crop(0)] {
        let why = bench.pictures.picture("other", &image, kind).await.unwrap_err();
        assert!(matches!(why, Trouble::NotAllowed(_)), "{why}");
    }
    let why = bench.pictures.evidence("other", &image.reference(), Kind::Fit).await.unwrap_err();
    assert!(matches!(why, Trouble::NotAllowed(_)), "{why}");
}

#[tokio::test]
async fn evidence_is_shown_without_a_digest_and_refused_with_a_wrong_one() {
    let bench = Bench::new();
    let image = bench.judged("acme/evidence.png", &png(20, 30, &noise(20, 30)));
    let named = ImageRef { bucket: image.bucket, key: image.key, ..ImageRef::default() };
    let picture = bench.pictures.evidence(TENANT, &named, Kind::Fit).await.unwrap();
    assert_eq!((picture.width, picture.height), (20, 30));
    let outline = bench.pictures.evidence_outline(TENANT, &named).await.unwrap();
    assert_eq!((outline.width, outline.crops.len(), outline.sha256), (20, 0, image.sha256));
    let wrong = ImageRef { sha256: Some("0".repeat(64)), ..named };
    assert_eq!(bench.pictures.evidence(TENANT, &wrong, Kind::Fit).await.unwrap_err().why(), "changed");
}

#[tokio::test]
async fn a_claim_of_too_many_pixels_is_refused_by_the_header_alone() {
    let bench = Bench::new();
    let mut bytes = png(20, 20, &noise(20, 20));
    bytes[16..24].copy_from_slice(&[30_000u32.to_be_bytes(), 30_000u32.to_be_bytes()].concat());
    let sum = support::crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&sum);
    let image = bench.judged("acme/bomb.png", &bytes);
    for kind in [Kind::Fit, Kind::Actual, Kind::Crop(0)] {
        let why = bench.pictures.picture(TENANT, &image, kind).await.unwrap_err();
        assert!(matches!(&why, Trouble::TooLarge(words) if words.contains("max_pixels")), "{why}");
    }
}

#[tokio::test]
async fn nothing_that_the_file_said_beside_its_pixels_is_in_what_is_shown() {
    let bench = Bench::new();
    let secrets = [&b"SECRET-EXIF"[..], b"SECRET-XMP", b"SECRET-ICC", b"SECRET-TEXT", b"SECRET-BEHIND"];
    let mut bytes = png(1500, 1000, &noise(1500, 1000));
    let maker = [&exif(1)[..], secrets[0]].concat();
    for (name, data) in [
        (b"eXIf", maker),
        (b"iTXt", [b"XML:com.adobe.xmp\0\0\0\0\0", secrets[1]].concat()),
        (b"iCCP", [b"p\0\0", secrets[2]].concat()),
        (b"tEXt", [b"Comment\0", secrets[3]].concat()),
    ] {
        bytes = with_chunk(&bytes, name, &data);
    }
    bytes.extend_from_slice(secrets[4]);
    let image = bench.judged("acme/talks.png", &bytes);
    for (kind, content_type) in [(Kind::Fit, "image/jpeg"), (Kind::Actual, "image/jpeg"), (Kind::Crop(0), "image/png")]
    {
        let picture = bench.pictures.picture(TENANT, &image, kind).await.unwrap();
        assert_eq!(picture.content_type, content_type);
        for word in secrets.into_iter().chain([&b"Exif"[..], b"ICC_PROFILE", b"iCCP", b"tEXt", b"eXIf"]) {
            let is_in = picture.bytes.windows(word.len()).any(|part| part == word);
            assert!(!is_in, "{} in {kind:?}", word.escape_ascii());
        }
    }
}

#[tokio::test]
async fn two_kinds_of_one_picture_fetch_it_once() {
    let bench = Bench::new();
    let image = bench.judged("acme/a.png", &png(20, 20, &noise(20, 20)));
    for kind in [Kind::Fit, Kind::Actual, Kind::Crop(0), Kind::Fit] {
        bench.pictures.picture(TENANT, &image, kind).await.unwrap();
    }
    assert_eq!(bench.fetches(), 1);

    let forgetful = Bench::keeping(0, Duration::from_secs(300));
    let stale = Bench::keeping(64 << 20, Duration::ZERO);
    for bench in [forgetful, stale] {
        let image = bench.judged("acme/a.png", &png(20, 20, &noise(20, 20)));
        for _ in 0..2 {
            bench.pictures.picture(TENANT, &image, Kind::Fit).await.unwrap();
        }
        assert_eq!(bench.fetches(), 2);
    }
}

#[tokio::test]
async fn who_goes_away_gives_its_place_back() {
    let bench = Bench::new();
    let image = bench.judged("acme/a.png", &png(20, 20, &noise(20, 20)));
    // More than there are places for, each of which waits for the store until nobody waits for it.
    for _ in 0..5 {
        bench.memory.fail("uploads", "acme/a.png", [Fault::Slow(Duration::from_secs(3600))]);
        let mut waiting = Box::pin(bench.pictures.picture(TENANT, &image, Kind::Fit));
        assert!(poll_once(&mut waiting).is_pending());
    }
    assert!(bench.pictures.picture(TENANT, &image, Kind::Fit).await.is_ok());
}

/// Polls once.
fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> std::task::Poll<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}
