//! AVIF, HEIC and JPEG XL in decoders of their own: verdicts, limits, what is kept from them, and ten thousand broken files.

use std::collections::BTreeMap;
use std::path::Path;

use decoder::{Error, Pool, Settings};
use domain::{FailureCode, ImageFormat, Outcome, QualityFlag};
use engine::Scripted;
use imaging::DecodeError;

use crate::support::children::Child;
use crate::support::images::{AVIF, HEIC, JXL};
use crate::support::mutants::mutants_of;
use crate::support::rig::{BUCKET, Rig, decoders, failed, plan};

/// Of each format; `ASSAY_MUTANTS=10000` for as many as a release is tried with.
const MUTANTS: usize = 600;
/// Of the random mutations, so that they are the same each time.
const SEED: u64 = 13;

#[tokio::test(flavor = "multi_thread")]
async fn what_phones_and_browsers_upload_gets_a_verdict_that_says_how_little_is_known_of_it() {
    let rig = Rig::start(Scripted::new());
    let cases = [
        ("photo.avif", AVIF, ImageFormat::Avif),
        ("photo.heic", HEIC, ImageFormat::Heic),
        ("photo.jxl", JXL, ImageFormat::Jxl),
        ("called.jpg", HEIC, ImageFormat::Heic),
    ];
    for (name, bytes, _) in cases {
        rig.objects.put(BUCKET, name, bytes.to_vec());
        rig.submit(name, name);
    }
    rig.idle().await;
    let outcomes = rig.end().await;
    for (name, _, format) in cases {
        let Outcome::Verdict(verdict) = &outcomes[name] else { panic!("{name}: {:?}", outcomes[name]) };
        assert_eq!((verdict.image.format, verdict.image.width, verdict.image.height), (format, 64, 48), "{name}");
        assert_eq!(verdict.quality, [QualityFlag::LowResolution, QualityFlag::UnfamiliarCodec], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_heic_can_not_be_decoded_the_failure_says_what_it_is_and_the_others_are_judged() {
    // A folder with the usual decoder alone.
    let folder = std::env::temp_dir().join(format!("assay-one-decoder-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("assay-decoder");
    std::os::unix::fs::symlink(decoders().program, &program).unwrap();
    let rig = Rig::start_with(Scripted::new(), plan(), Settings { program, ..decoders() });
    for (name, bytes) in [("photo.heic", HEIC), ("photo.avif", AVIF)] {
        rig.objects.put(BUCKET, name, bytes.to_vec());
        rig.submit(name, name);
    }
    rig.idle().await;
    assert_eq!(rig.broker.counts().later, 0, "nothing is tried again");
    let outcomes = rig.end().await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(failed(&outcomes["photo.avif"]), None);
    let Outcome::Failure(failure) = &outcomes["photo.heic"] else { panic!("{:?}", outcomes["photo.heic"]) };
    assert_eq!(failure.code, FailureCode::UnsupportedFormat);
    assert!(failure.detail.contains("it is an iPhone photograph (HEIC)"), "{}", failure.detail);
    assert!(failure.detail.contains("libheif"), "it says what is missing: {}", failure.detail);
}

#[test]
fn a_decoder_with_libheif_is_refused_everything_but_decoding() {
    let pool = Pool::open(decoders()).unwrap();
    let (library, protections, attempts) = pool.probe_libheif().unwrap();
    assert!(library.starts_with("libheif 1."), "{library}");
    assert!(protections.seccomp && attempts.len() > 8, "{protections:?}");
    for attempt in &attempts {
        assert!(attempt.refused, "{attempt:?}");
    }
    pool.decode(HEIC).unwrap();
    for decoder in pool.idle_decoders() {
        let threads = std::fs::read_dir(Child::with_id(decoder.id).path("task")).unwrap().count();
        assert_eq!(threads, 1, "decoding starts no threads");
    }
}

/// The number behind a word, made another; for the sides behind `ispe`, both.
fn with_sides(bytes: &[u8], side: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(4).position(|name| name == b"ispe").unwrap() + 8;
    bytes[at..at + 4].copy_from_slice(&side.to_be_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&side.to_be_bytes());
    bytes
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
    // Not small, no ratio, both sides in 30 bits.
    let jxl = 3_u128 << 1 | 29_999 << 3 | 3 << 36 | 29_999 << 38 | 3 << 68;
    let jxl = [&[0xff, 0x0a][..], &jxl.to_le_bytes(), &[0; 64]].concat();
    for (name, bytes) in [("avif", with_sides(AVIF, 30_000)), ("heic", with_sides(HEIC, 30_000)), ("jxl", jxl)] {
        let pool = Pool::open(decoders()).unwrap();
        let error = pool.decode(&bytes).unwrap_err();
        let sides = matches!(error, Error::Refused(DecodeError::TooManyPixels { width: 30_000, height: 30_000, .. }));
        assert!(sides, "{name}: {error}");
        for decoder in pool.idle_decoders() {
            assert!(Child::with_id(decoder.id).memory("VmHWM") < 48 << 20, "{name}");
        }
    }
}

#[test]
fn no_broken_file_ends_its_decoder_or_takes_more_memory_than_the_bound() {
    let count = std::env::var("ASSAY_MUTANTS").map_or(MUTANTS, |number| number.parse().unwrap());
    for (name, files) in samples() {
        let settings = tight();
        let bound = settings.memory;
        let pool = Pool::open(settings).unwrap();
        for (_, bytes) in &files {
            pool.decode(bytes).unwrap();
        }
        let (mut judged, mut refused, mut lost) = (0, 0, Vec::new());
        for (mutant, bytes) in mutants_of(files, SEED).take(count) {
            match pool.decode(&bytes) {
                Ok(_) => judged += 1,
                Err(Error::Refused(_)) => refused += 1,
                Err(error) => lost.push(format!("{mutant}: {error}")),
            }
        }
        let decoders = pool.idle_decoders();
        let most = decoders.iter().map(|decoder| Child::with_id(decoder.id).memory("VmHWM")).max().unwrap();
        println!(
            "{name}: {judged} judged, {refused} refused, {} lost, at most {} MiB of {} MiB",
            lost.len(),
            most >> 20,
            bound >> 20
        );
        assert!(most < bound, "{name}: {most} bytes");
        assert!(lost.is_empty(), "{name}: {lost:#?}");
        assert!(judged > 0 && refused > 0, "the mutants got everywhere");
    }
}

/// Small files of each new format, by its ending.
fn samples() -> BTreeMap<String, Vec<(String, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/imaging/samples");
    let mut samples: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names.into_iter().map(|name| name.into_string().unwrap()) {
        let ending = name.rsplit('.').next().unwrap_or_default().to_string();
        if ending != "md" {
            samples.entry(ending).or_default().push((name.clone(), std::fs::read(folder.join(&name)).unwrap()));
        }
    }
    assert_eq!(samples.keys().collect::<Vec<_>>(), ["avif", "heic", "jxl"]);
    samples
}

/// So tight that the bound means something.
fn tight() -> Settings {
    let limits = imaging::Limits { max_pixels: 4_000_000, max_decoded_bytes: 48 << 20 };
    Settings { memory: decoder::memory(&limits, 1 << 20), limits, ..decoders() }
}
