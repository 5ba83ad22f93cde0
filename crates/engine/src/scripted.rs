//! A stand-in for the network: it reads nothing but the brightness. For tests and load tests.

use crate::{Detector, ScoreError};
use artefact::{Card, LabelSet};
use domain::{Generator, Policy, Scores};
use imaging::Crop;

/// What happens to a batch before it is scored; tests make it fail with it.
pub type Script = Box<dyn FnMut(&[&Crop]) -> Result<(), ScoreError> + Send>;

/// Bright images are synthetic, dark ones real.
pub struct Scripted {
    card: Card,
    script: Script,
}

impl Scripted {
    pub fn new() -> Scripted {
        Self::with_script(Box::new(|_| Ok(())))
    }

    pub fn with_script(script: Script) -> Scripted {
        let generator = |name: &str| Generator { label: name.into(), family: name.into() };
        let labels = LabelSet { id: "scripted@1".into(), generators: vec![generator("bright"), generator("brighter")] };
        let card = Card {
            version: "scripted".into(),
            sha256: "0".repeat(64),
            trained: false,
            labels,
            policy: Policy::default(),
        };
        Scripted { card, script }
    }
}

impl Default for Scripted {
    fn default() -> Self {
        Scripted::new()
    }
}

impl Detector for Scripted {
    fn score(&mut self, crops: &[&Crop]) -> Result<Vec<Scores>, ScoreError> {
        (self.script)(crops)?;
        let scores = crops.iter().map(|crop| {
            let sum: u64 = crop.pixels().iter().map(|&value| u64::from(value)).sum();
            // 0 (black) to 1 (white).
            let brightness = sum as f32 / (255.0 * Crop::BYTES as f32);
            Scores { logit: 8.0 * brightness - 4.0, generators: vec![1.0 - brightness, brightness], novelty: None }
        });
        Ok(scores.collect())
    }

    fn warm_up_sizes(&self, _largest: usize) -> Vec<usize> {
        vec![1]
    }

    fn device(&self) -> &str {
        "cpu"
    }

    fn engine(&self) -> String {
        "a script that reads the brightness alone".into()
    }

    fn card(&self) -> &Card {
        &self.card
    }
}
