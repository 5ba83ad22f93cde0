//! Every kind of input, good, odd and bad, and the outcome that the README promises for it.

use broker::RequestQueue;
use broker::wire::Message;

use domain::{FailureCode, Outcome};
use domain::{ImageFormat, QualityFlag};
use engine::Scripted;
use imaging::Limits;
use objects::memory::Fault;
use png::{BitDepth, ColorType};
use serde_json::{Value, json};

use crate::support::images::{self, Inks};
use crate::support::rig::{BUCKET, Rig, decoders, failed, message, plan};

/// The limits of these tests.
const MAX_BYTES: u64 = 2 << 20;
const MAX_PIXELS: u64 = 1_000_000;
const MAX_DECODED: u64 = 24 << 20;

fn rig() -> Rig {
    let mut plan = plan();
    plan.max_object_bytes = MAX_BYTES;
    let limits = Limits { max_pixels: MAX_PIXELS, max_decoded_bytes: MAX_DECODED };
    Rig::start_with(Scripted::new(), plan, decoder::Settings { limits, ..decoders() })
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_images_get_a_verdict_that_says_what_was_odd() {
    use QualityFlag::{Animated, Greyscale, LowResolution, Transparent};
    type Case = (&'static str, Vec<u8>, ImageFormat, (u32, u32), Vec<QualityFlag>);
    let cases: Vec<Case> = vec![
        ("rgb.jpg", images::jpeg(640, 480, Inks::Rgb), ImageFormat::Jpeg, (640, 480), vec![]),
        ("grey.jpg", images::jpeg(300, 301, Inks::Grey), ImageFormat::Jpeg, (300, 301), vec![Greyscale]),
        ("cmyk.jpg", images::jpeg(300, 301, Inks::Cmyk), ImageFormat::Jpeg, (300, 301), vec![]),
        ("deep.png", images::png(300, 256, ColorType::Rgb, BitDepth::Sixteen), ImageFormat::Png, (300, 256), vec![]),
        (
            "palette.png",
            images::png(300, 256, ColorType::Indexed, BitDepth::Eight),
            ImageFormat::Png,
            (300, 256),
            vec![],
        ),
        (
            "alpha.png",
            images::png(300, 256, ColorType::Rgba, BitDepth::Eight),
            ImageFormat::Png,
            (300, 256),
            vec![Transparent],
        ),
        (
            "bits.png",
            images::png(300, 256, ColorType::Grayscale, BitDepth::One),
            ImageFormat::Png,
            (300, 256),
            vec![Greyscale],
        ),
        ("still.webp", images::webp(300, 256), ImageFormat::Webp, (300, 256), vec![]),
        ("moving.webp", images::animated_webp(300, 256), ImageFormat::Webp, (300, 256), vec![Animated]),
        ("moving.gif", images::gif(300, 256), ImageFormat::Gif, (300, 256), vec![Animated]),
        ("plain.bmp", images::bmp(256, 9), ImageFormat::Bmp, (256, 256), vec![]),
        ("plain.tiff", images::tiff(300, 256), ImageFormat::Tiff, (300, 256), vec![]),
        ("called.png", images::jpeg(300, 300, Inks::Rgb), ImageFormat::Jpeg, (300, 300), vec![]),
        ("no-ending", images::webp(256, 256), ImageFormat::Webp, (256, 256), vec![]),
        ("short.jpg", images::jpeg(300, 255, Inks::Rgb), ImageFormat::Jpeg, (300, 255), vec![LowResolution]),
        (
            "strip.png",
            images::png(2, 300, ColorType::Rgb, BitDepth::Eight),
            ImageFormat::Png,
            (2, 300),
            vec![LowResolution],
        ),
        ("dot.png", images::png(1, 1, ColorType::Rgb, BitDepth::Eight), ImageFormat::Png, (1, 1), vec![LowResolution]),
        ("dot.jpg", images::jpeg(1, 1, Inks::Rgb), ImageFormat::Jpeg, (1, 1), vec![LowResolution]),
    ];
    let rig = rig();
    for (name, bytes, ..) in &cases {
        rig.objects.put(BUCKET, name, bytes.clone());
        rig.submit(name, name);
    }
    rig.idle().await;
    let outcomes = rig.end().await;
    for (name, bytes, format, size, quality) in cases {
        let Outcome::Verdict(verdict) = &outcomes[name] else { panic!("{name}: {:?}", outcomes[name]) };
        assert_eq!((verdict.image.format, (verdict.image.width, verdict.image.height)), (format, size), "{name}");
        assert_eq!(verdict.image.bytes, bytes.len() as u64, "{name}");
        assert_eq!(verdict.quality, quality, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_images_end_in_the_failure_that_names_the_fault() {
    let jpeg = images::jpeg(640, 480, Inks::Rgb);
    let png = images::png(640, 480, ColorType::Rgb, BitDepth::Eight);
    // A header that claims 20,000 × 20,000 pixels.
    let mut bomb = images::png(300, 256, ColorType::Rgb, BitDepth::Eight);
    bomb[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
    let ihdr = crc32fast::hash(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&ihdr);
    let cases = [
        ("nothing", Vec::new(), FailureCode::DecodeFailed),
        ("text.png", b"This is no image.".to_vec(), FailureCode::UnsupportedFormat),
        ("page.jpg", b"<!doctype html><title>404</title>".to_vec(), FailureCode::UnsupportedFormat),
        ("third.jpg", jpeg[..jpeg.len() / 3].to_vec(), FailureCode::DecodeFailed),
        ("half.png", png[..png.len() / 2].to_vec(), FailureCode::DecodeFailed),
        ("heavy.bmp", vec![b'B'; MAX_BYTES as usize + 1], FailureCode::TooLarge),
        ("wide.jpg", images::jpeg(1001, 1000, Inks::Grey), FailureCode::TooLarge),
        ("bomb.png", bomb, FailureCode::TooLarge),
    ];
    let rig = rig();
    for (name, bytes, _) in &cases {
        rig.objects.put(BUCKET, name, bytes.clone());
        rig.submit(name, name);
    }
    rig.idle().await;
    let outcomes = rig.end().await;
    for (name, _, code) in cases {
        let Outcome::Failure(failure) = &outcomes[name] else { panic!("{name}: {:?}", outcomes[name]) };
        assert_eq!(failure.code, code, "{name}: {}", failure.detail);
        assert!(!failure.retryable && !failure.detail.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_can_not_be_met_end_in_the_failure_that_says_why() {
    let rig = rig();
    let reference = rig.objects.put(BUCKET, "good", images::bmp(256, 9));
    rig.objects.put(BUCKET, "secret", images::bmp(256, 9));
    rig.objects.fail(BUCKET, "secret", [Fault::Denied]);
    rig.objects.put("elsewhere", "good", images::bmp(256, 9));
    let image = |bucket: &str, key: &str| json!({"bucket": bucket, "key": key});
    let with = |field: &str, value: &str| {
        let mut image = image(BUCKET, "good");
        image[field] = value.into();
        image
    };
    let cases: Vec<(&str, Value, Option<FailureCode>)> = vec![
        ("missing", json!({"image": image(BUCKET, "nowhere")}), Some(FailureCode::ObjectNotFound)),
        ("denied", json!({"image": image(BUCKET, "secret")}), Some(FailureCode::AccessDenied)),
        ("foreign", json!({"image": image("elsewhere", "good")}), Some(FailureCode::BucketNotAllowed)),
        ("etag", json!({"image": with("etag", "another")}), Some(FailureCode::ContentMismatch)),
        ("sha256", json!({"image": with("sha256", &"a".repeat(64))}), Some(FailureCode::ContentMismatch)),
        (
            "late",
            json!({"image": image(BUCKET, "good"), "deadline": "2020-01-01T00:00:00Z"}),
            Some(FailureCode::DeadlineExceeded),
        ),
        ("right etag", json!({"image": with("etag", &reference.etag.unwrap())}), None),
        ("in time", json!({"image": image(BUCKET, "good"), "deadline": "2120-01-01T00:00:00Z"}), None),
    ];
    for (id, document, _) in &cases {
        let mut document = document.clone();
        document["submission_id"] = (*id).into();
        rig.broker.submit(RequestQueue::Live, message(&document));
    }
    rig.idle().await;
    let outcomes = rig.end().await;
    for (id, _, code) in cases {
        assert_eq!(failed(&outcomes[id]), code, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_can_not_be_read_become_dead_letters_with_the_reason() {
    let image = json!({"bucket": BUCKET, "key": "k"});
    let cases = [
        (b"not json".to_vec(), "JSON"),
        (vec![0xff, 0xfe, 0x00], "JSON"),
        (json!({"image": image}).to_string().into_bytes(), "submission_id"),
        (json!({"submission_id": "", "image": image}).to_string().into_bytes(), "submission_id"),
        (json!({"submission_id": "x".repeat(257), "image": image}).to_string().into_bytes(), "submission_id"),
        (json!({"submission_id": 7, "image": image}).to_string().into_bytes(), "submission_id"),
        (json!({"submission_id": "a", "image": {"bucket": BUCKET}}).to_string().into_bytes(), "image.key"),
        (json!({"submission_id": "a", "image": image, "tenant": "a.b"}).to_string().into_bytes(), "tenant"),
        (json!({"submission_id": "a", "image": image, "generation": -1}).to_string().into_bytes(), "generation"),
        (json!({"submission_id": "a", "image": image, "deadline": "soon"}).to_string().into_bytes(), "deadline"),
        (json!({"submission_id": "a", "image": image, "purpose": "fun"}).to_string().into_bytes(), "purpose"),
        (
            json!({"submission_id": "a", "image": image, "metadata": {"k": "v".repeat(5000)}}).to_string().into_bytes(),
            "metadata",
        ),
    ];
    let rig = rig();
    for (body, _) in &cases {
        rig.broker.submit(RequestQueue::Live, Message { body: body.clone(), ..Message::default() });
    }
    rig.idle().await;
    let dead = rig.broker.dead();
    assert!(rig.end().await.is_empty());
    assert_eq!(dead.len(), cases.len());
    for (body, word) in cases {
        let letter = dead.iter().find(|letter| letter.body == body).expect("the body is untouched");
        let reason = &letter.properties.headers["x-assay-reason"];
        assert!(reason.contains(word), "{}: {reason}", String::from_utf8_lossy(&body));
    }
}
