//! Ten thousand broken and malicious images, through a real worker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use assay::config::Config;
use domain::{FailureCode, Outcome};
use futures_util::StreamExt;
use imaging::{DecodeError, decode};

use crate::support::hostile;
use crate::support::images;
use crate::support::mutants::mutants;
use crate::support::site::{Site, request};
use crate::support::within;

const MUTANTS: usize = 10_000;
/// Of the random mutations, so that they are the same each time.
const SEED: u64 = 5;

/// Made by hand, each against one weakness of decoders.
fn crafted() -> Vec<(&'static str, Vec<u8>)> {
    let progressive = images::progressive_jpeg(900, 700);
    vec![
        ("many-codes.webp", hostile::webp_of_many_codes()),
        ("claims-too-much.bmp", hostile::bmp_that_claims_too_many_pixels()),
        ("wide.bmp", hostile::wide_bmp()),
        ("deep.jpg", hostile::with_scans(&progressive, 100)),
        ("too-deep.jpg", hostile::with_scans(&progressive, 2000)),
        ("bomb.png", hostile::png_bomb(7000)),
        ("many-frames.gif", hostile::gif_of_many_frames(2000)),
        ("endless.tiff", hostile::tiff_that_points_at_itself()),
        ("empty", vec![]),
        ("one-byte", vec![0xff]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_hostile_images_end_in_one_outcome_each_and_the_worker_stops_cleanly() {
    // Tight, so that the bound means something.
    let (most_bytes, most_decoded, slots, decoders, batch) = (1_u64 << 20, 48_u64 << 20, 8, 2, 8);
    let settings = [
        ("ASSAY__OBJECTS__MAX_BYTES", most_bytes.to_string()),
        ("ASSAY__IMAGING__MAX_DECODED_BYTES", most_decoded.to_string()),
        ("ASSAY__WORKER__INTAKE_SLOTS", slots.to_string()),
        ("ASSAY__WORKER__DECODE_THREADS", decoders.to_string()),
        ("ASSAY__WORKER__BATCH_SIZE", batch.to_string()),
    ];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let site = Site::open().await;
    let mut worker = site.worker(&settings).await;
    let idle = worker.memory("VmHWM");

    let crafted = crafted().into_iter().map(|(name, bytes)| (name.to_string(), bytes));
    let images = crafted.chain(mutants(SEED).take(MUTANTS));
    let store = async |(name, bytes): (String, Vec<u8>)| {
        let key = site.put(&name, bytes).await;
        (name, key)
    };
    let mut stored = futures_util::stream::iter(images).map(store).buffer_unordered(16).chunks(100);
    let mut ids = BTreeSet::new();
    while let Some(some) = stored.next().await {
        site.submit(some.iter().map(|(name, key)| request(name, key))).await;
        ids.extend(some.into_iter().map(|(name, _)| name));
    }
    drop(stored);

    let mut most = 0;
    let working = async {
        while site.recorded().await < ids.len() {
            most = most.max(worker.memory("VmRSS"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(180, working).await;
    most = most.max(worker.memory("VmRSS"));
    let published = site.published(&ids).await;
    worker.terminate();
    let ended = worker.ended(Duration::from_secs(25)).await;
    assert_eq!(ended.code(), Some(0), "{}", worker.log());

    assert_eq!(site.recorded().await, ids.len());
    assert_eq!((site.depth("images").await, site.depth("dead").await), (0, 0));
    let mut counts: BTreeMap<Option<FailureCode>, usize> = BTreeMap::new();
    for (id, outcomes) in &published {
        assert_eq!(outcomes.len(), 1, "{id} was published once");
        let code = match &outcomes[0] {
            Outcome::Verdict(_) => None,
            Outcome::Failure(failure) => Some(failure.code),
        };
        *counts.entry(code).or_default() += 1;
    }
    use FailureCode::{DecodeFailed, TooLarge, UnsupportedFormat};
    let expected = [None, Some(DecodeFailed), Some(TooLarge), Some(UnsupportedFormat)];
    assert!(counts.keys().all(|code| expected.contains(code)), "nothing but the image is blamed: {counts:?}");
    assert!(expected.iter().all(|code| counts[code] > 20), "the mutants got everywhere: {counts:?}");
    let limit = slots * (most_bytes + (192 << 10))
        + decoders * (most_decoded + most_bytes + (64 << 20))
        + 4 * batch * (192 << 10);
    println!("{counts:?}; at most {} MiB above an idle worker, {} MiB allowed", (most - idle) >> 20, limit >> 20);
    assert!(most - idle < limit, "{} MiB above an idle worker, more than {} MiB", (most - idle) >> 20, limit >> 20);
    site.close().await;
}

#[test]
fn crafted_images_are_refused_or_decoded_as_intended() {
    let limits = Config::load(None).unwrap().imaging.limits();
    // Decoding it here would take 1.3 GB: what its decoder says of it is in `decoding`.
    let judged = crafted().into_iter().filter(|(name, _)| *name != "many-codes.webp");
    for (name, bytes) in judged {
        let result = decode(&bytes, &limits);
        let as_meant = match name {
            "bomb.png" | "deep.jpg" | "many-frames.gif" | "endless.tiff" => result.is_ok(),
            "claims-too-much.bmp" => matches!(result, Err(DecodeError::TooManyPixels { .. })),
            "wide.bmp" => matches!(result, Err(DecodeError::Damaged { .. })),
            "too-deep.jpg" => matches!(result, Err(DecodeError::UnsupportedKind { .. })),
            _ => result.is_err(),
        };
        assert!(as_meant, "{name}: {result:?}");
    }
}
