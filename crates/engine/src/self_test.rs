//! The self-test of an artefact: images that are computed, not stored, and the scores that the model gave them when it was
//! made. Any other process must get the same scores, or the artefact is not to be served.

use std::path::Path;

use crate::{Detector, Engine, OpenError, ScoreError, Settings};
use artefact::self_test::SelfTest;
use artefact::{LoadError, Manifest};
use domain::Scores;
use imaging::{CROP_SIDE, Crop};

const IMAGES: &str = "ramps@1";
/// So far may a logit be away, and this share of it: bf16 and fp32 differ by less.
const LOGIT: f32 = 0.15;
const LOGIT_SHARE: f32 = 0.05;
const PROBABILITY: f32 = 0.05;

#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the self-test images can't be scored: {0}")]
    Score(#[from] ScoreError),
    #[error("the model holds no self-test scores (manifest.json has no \"golden\"): it was made without a self-test")]
    None,
    #[error(
        "self-test image {image}: the {what} is {found}, not {wanted} as when the model was made; fetch or make it again"
    )]
    Other { image: usize, what: String, found: f32, wanted: f32 },
}

/// Six pictures of waves that differ in direction, period and colour, from smooth to fine.
pub fn images() -> Vec<Crop> {
    let image = |index: usize| {
        let (x_step, y_step) = ([1, 3, 0, 17, 5, 64][index], [2, 1, 7, 11, 128, 3][index]);
        let value = |x: usize, y: usize, channel: usize| {
            // A triangle between 0 and 255, and something finer on top that no smoothing would leave.
            let place = (x * x_step + y * y_step + channel * 40 * index) % 512;
            let ramp = if place < 256 { place } else { 511 - place };
            (ramp * 7 / 8 + (x * 5 + y * 3 + channel * index) % 29) as u8
        };
        let places = (0..CROP_SIDE * CROP_SIDE * 3).map(|at| (at / 3 % CROP_SIDE, at / 3 / CROP_SIDE, at % 3));
        let pixels = places.map(|(x, y, channel)| value(x, y, channel)).collect();
        Crop::from_pixels(pixels).expect("it has as many bytes as a crop")
    };
    (0..6).map(image).collect()
}

/// Has the model score the images, and writes the scores into its manifest.
pub fn record(folder: &Path, settings: &Settings) -> Result<Manifest, SelfTestError> {
    let scores = score(folder, settings)?;
    let mut manifest = Manifest::read(folder, "")?;
    manifest.self_test = Some(SelfTest {
        images: IMAGES.into(),
        logits: scores.iter().map(|scores| scores.logit).collect(),
        generators: scores.into_iter().map(|scores| scores.generators).collect(),
    });
    manifest.write(folder)?;
    Ok(manifest)
}

/// Whether the model loads here and gives the scores that are recorded.
pub fn check(folder: &Path, settings: &Settings) -> Result<usize, SelfTestError> {
    let manifest = Manifest::read(folder, &settings.public_key)?;
    let Some(self_test) = manifest.self_test else { return Err(SelfTestError::None) };
    let scores = score(folder, settings)?;
    compare(&self_test, &scores)?;
    Ok(scores.len())
}

fn score(folder: &Path, settings: &Settings) -> Result<Vec<Scores>, SelfTestError> {
    let mut engine = Engine::load(folder, settings)?;
    let images = images();
    Ok(engine.score(&images.iter().collect::<Vec<_>>())?)
}

fn compare(self_test: &SelfTest, scores: &[Scores]) -> Result<(), SelfTestError> {
    let pairs = self_test.logits.iter().zip(&self_test.generators).zip(scores).enumerate();
    for (image, ((&wanted, probabilities), scores)) in pairs {
        let found = scores.logit;
        if (found - wanted).abs() > LOGIT + LOGIT_SHARE * wanted.abs() {
            return Err(SelfTestError::Other { image, what: "logit".into(), found, wanted });
        }
        for (class, (&found, &wanted)) in scores.generators.iter().zip(probabilities).enumerate() {
            if (found - wanted).abs() > PROBABILITY {
                return Err(SelfTestError::Other {
                    image,
                    what: format!("probability of generator {class}"),
                    found,
                    wanted,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Precision, device, untrained};

    fn settings() -> Settings {
        Settings {
            model: String::new(),
            public_key: String::new(),
            device: "cpu".into(),
            precision: Precision::Fp32,
            threads: 0,
        }
    }

    #[test]
    fn a_model_passes_the_self_test_that_was_recorded_when_it_was_made() {
        let folder = std::env::temp_dir().join(format!("assay-self-test-{}", uuid::Uuid::new_v4()));
        untrained::create(&folder, "resnet18-nodown-16".parse().unwrap(), 1).unwrap();
        assert!(matches!(check(&folder, &settings()), Err(SelfTestError::None)));
        record(&folder, &settings()).unwrap();
        assert_eq!(check(&folder, &settings()).unwrap(), 6);
        // Another precision is near enough, another model is not.
        let bf16 = Settings { precision: Precision::Bf16, ..settings() };
        if device::choose("cpu", Precision::Bf16).is_ok() {
            assert_eq!(check(&folder, &bf16).unwrap(), 6);
        }
        let mut manifest = Manifest::read(&folder, "").unwrap();
        manifest.self_test.as_mut().unwrap().logits[2] += 1.0;
        manifest.write(&folder).unwrap();
        let error = check(&folder, &settings()).unwrap_err().to_string();
        assert!(error.contains("self-test image 2: the logit"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
