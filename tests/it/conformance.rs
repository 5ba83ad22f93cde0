//! The crops against Pillow's and the scores against PyTorch's, over the images that `make conformance` makes.

use std::path::{Path, PathBuf};

use engine::checkpoint::{self, Import};
use engine::{Detector, Engine, Precision, Settings, device};
use imaging::Limits;
use serde_json::Value;

/// The folder in which `tests/conformance/prepare.py` left its images.
fn prepared() -> PathBuf {
    let folder = std::env::var_os("ASSAY_CONFORMANCE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/conformance"), PathBuf::from);
    assert!(folder.join("images").is_dir(), "{} holds no images: run `make conformance`", folder.display());
    folder
}

#[test]
fn crops_are_equal_to_pillows_bit_for_bit() {
    let prepared = prepared();
    let limits = Limits { max_pixels: 120_000_000, max_decoded_bytes: 512 << 20 };
    let mut names: Vec<String> = std::fs::read_dir(prepared.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 32, "only {} images in {}", names.len(), prepared.display());

    let mut differing = Vec::new();
    for name in &names {
        let bytes = std::fs::read(prepared.join("images").join(name)).unwrap();
        let want = std::fs::read(prepared.join("crops").join(format!("{name}.rgb"))).unwrap();
        match imaging::decode(&bytes, &limits) {
            Ok(decoded) if decoded.crop.pixels() == want => {}
            Ok(decoded) => {
                let pairs = decoded.crop.pixels().iter().zip(&want);
                let (count, most) = pairs.fold((0, 0), |(count, most), (&got, &want)| {
                    (count + usize::from(got != want), most.max(got.abs_diff(want)))
                });
                differing.push(format!("{name}: {count} bytes of {} differ, by up to {most}", want.len()));
            }
            Err(error) => differing.push(format!("{name}: {error}")),
        }
    }
    assert!(differing.is_empty(), "{} of {} images:\n{}", differing.len(), names.len(), differing.join("\n"));
}

/// Most that a level may be away from that of libavif, libjxl or libheif.
const LEVELS: u8 = 1;

#[test]
fn crops_of_newer_codecs_are_near_those_of_their_own_libraries() {
    let near = prepared().join("near");
    imaging::heic::open().unwrap();
    let limits = Limits { max_pixels: 120_000_000, max_decoded_bytes: 512 << 20 };
    let entries = std::fs::read_dir(near.join("images")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 30, "only {} images in {}", names.len(), near.display());
    let mut far = Vec::new();
    for name in &names {
        let bytes = std::fs::read(near.join("images").join(name)).unwrap();
        let want = std::fs::read(near.join("crops").join(format!("{name}.rgb"))).unwrap();
        let crop = match imaging::decode(&bytes, &limits) {
            Ok(decoded) => decoded.crop,
            Err(error) => {
                far.push(format!("{name}: {error}"));
                continue;
            }
        };
        let distances = crop.pixels().iter().zip(&want).map(|(&got, &want)| got.abs_diff(want));
        let beyond = distances.filter(|&distance| distance > LEVELS).count();
        if beyond > 0 {
            far.push(format!("{name}: {beyond} of {} levels are off by more than {LEVELS}", want.len()));
        }
    }
    assert!(far.is_empty(), "{} of {} images:\n{}", far.len(), names.len(), far.join("\n"));
}

/// Most that an fp32 logit or probability may be away from PyTorch's.
const TOLERANCE: f64 = 1e-4;
/// Nearer to 0 than this, a bf16 logit may have the other sign.
const UNDECIDED: f64 = 0.1;

#[test]
fn scores_are_near_pytorchs() {
    let prepared = prepared();
    let expected: Value = serde_json::from_slice(&std::fs::read(prepared.join("expected.json")).unwrap()).unwrap();
    let expected = expected["images"].as_array().unwrap();
    assert!(expected.len() >= 32, "only {} images", expected.len());
    let folder = std::env::temp_dir().join(format!("assay-imported-{}", uuid::Uuid::new_v4()));
    let (model, generators) = (prepared.join("checkpoint.pt"), prepared.join("generators.pt"));
    let asked = Import { checkpoint: &model, generators: Some(&generators), version: None };
    let manifest = checkpoint::import(asked, &folder).unwrap();
    assert!(manifest.trained);

    let mut wrong = Vec::new();
    let mut fp32 = engine(&folder, Precision::Fp32);
    // Some processors can't compute it.
    let mut bf16 = device::choose("cpu", Precision::Bf16).is_ok().then(|| engine(&folder, Precision::Bf16));
    std::fs::remove_dir_all(&folder).unwrap();
    let limits = Limits { max_pixels: 120_000_000, max_decoded_bytes: 512 << 20 };
    let (mut decided, mut farthest) = (0, 0.0_f64);
    for image in expected {
        let name = image["name"].as_str().unwrap();
        let bytes = std::fs::read(prepared.join("images").join(name)).unwrap();
        let crop = imaging::decode(&bytes, &limits).unwrap().crop;
        let scores = fp32.score(&[&crop]).unwrap().remove(0);
        let logit = image["logit"].as_f64().unwrap();
        let probabilities = image["generators"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap());
        let pairs = scores.generators.iter().map(|&p| f64::from(p)).zip(probabilities);
        let most = pairs
            .chain([(f64::from(scores.logit), logit)])
            .map(|(ours, theirs)| (ours - theirs).abs())
            .fold(0.0, f64::max);
        farthest = farthest.max(most);
        if most > TOLERANCE {
            wrong.push(format!("{name}: fp32 is off by {most:e}"));
        }
        decided += usize::from(logit.abs() > UNDECIDED);
        let Some(bf16) = &mut bf16 else { continue };
        let half = f64::from(bf16.score(&[&crop]).unwrap()[0].logit);
        if logit.abs() > UNDECIDED && half.is_sign_positive() != logit.is_sign_positive() {
            wrong.push(format!("{name}: bf16 decides {half} where PyTorch has {logit}"));
        }
    }
    println!("{}: fp32 is off by at most {farthest:.1e}", fp32.engine());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(decided >= 24, "only {decided} images are far enough from 0 to show anything");
}

fn engine(folder: &Path, precision: Precision) -> Engine {
    let settings =
        Settings { model: String::new(), public_key: String::new(), device: "cpu".into(), precision, threads: 0 };
    Engine::load(folder, &settings).unwrap()
}
