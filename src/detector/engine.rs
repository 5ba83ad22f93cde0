//! Batched scoring with the real network.

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use super::backbone::Backbone;
use super::conv::Place;
use super::heads::{Generators, Origin};
use super::manifest::Manifest;
use super::weights::Weights;
use super::{Card, Detector, LoadError, ScoreError, Settings, device, fused, wait_policy};
use crate::imaging::{CROP_SIDE, Crop};
use crate::moderation::Scores;

/// ImageNet's mean and deviation of each channel, after division by 255.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// A loaded model on its device.
#[derive(Debug)]
pub struct Engine {
    card: Card,
    device: String,
    place: Place,
    backbone: Backbone,
    origin: Origin,
    generators: Option<Generators>,
    mean: Tensor,
    deviation: Tensor,
}

impl Engine {
    /// Loads and checks an artefact: the digest of its weights, and every tensor's name and shape.
    pub fn load(folder: &Path, settings: &Settings) -> Result<Engine, LoadError> {
        let place = device::choose(&settings.device, settings.precision)?;
        if settings.threads > 0 {
            tch::set_num_threads(i32::try_from(settings.threads).unwrap_or(i32::MAX));
        }
        fused::keep_pages();
        let manifest = Manifest::read(folder, &settings.public_key)?;
        let weights = manifest.weights(folder)?;
        Ok(Self::new(&manifest, &weights, place))
    }

    fn new(manifest: &Manifest, weights: &Weights, place: Place) -> Engine {
        let _no_grad = tch::no_grad_guard();
        let channel = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]).to_device(place.device);
        Engine {
            card: manifest.card(),
            device: device::name(place.device),
            place,
            backbone: Backbone::new(weights, manifest.architecture, place),
            origin: Origin::new(weights, place.device),
            generators: (!manifest.labels.generators.is_empty()).then(|| Generators::new(weights, place.device)),
            mean: channel(MEAN),
            deviation: channel(DEVIATION),
        }
    }

    fn score_batch(&self, crops: &[&Crop]) -> Result<Vec<Scores>, TchError> {
        let _no_grad = tch::no_grad_guard();
        let features = self.backbone.forward(&self.normalised(crops)?)?;
        let logits = Vec::<f32>::try_from(&self.origin.forward(&features.embedding)?.to_device(Device::Cpu))?;
        let generators = match &self.generators {
            Some(head) => Vec::<Vec<f32>>::try_from(&head.forward(&features.embedding)?.to_device(Device::Cpu))?,
            None => vec![Vec::new(); logits.len()],
        };
        let scores = logits.into_iter().zip(generators);
        Ok(scores.map(|(logit, generators)| Scores { logit, generators, novelty: None }).collect())
    }

    /// `[n, 3, 256, 256]` with channels innermost; the bytes cross to the device as they are.
    fn normalised(&self, crops: &[&Crop]) -> Result<Tensor, TchError> {
        let side = CROP_SIDE as i64;
        let mut pixels = Vec::with_capacity(crops.len() * Crop::BYTES);
        crops.iter().for_each(|crop| pixels.extend_from_slice(crop.pixels()));
        let images = Tensor::f_from_data_size(&pixels, &[crops.len() as i64, side, side, 3], Kind::Uint8)?;
        let images = images.f_to_device(self.place.device)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        images.f_div_scalar(255.0)?.f_sub_(&self.mean)?.f_div_(&self.deviation)?.f_to_kind(self.place.kind)
    }

    /// Images that the device takes at once. On a CPU more than one only costs memory and misses its caches.
    fn largest_batch(&self, asked: usize) -> usize {
        if self.place.device.is_cuda() { asked } else { 1 }
    }
}

impl Detector for Engine {
    fn score(&mut self, crops: &[&Crop]) -> Result<Vec<Scores>, ScoreError> {
        let mut scores = Vec::with_capacity(crops.len());
        for batch in crops.chunks(self.largest_batch(crops.len()).max(1)) {
            scores.extend(self.score_batch(batch).map_err(|error| explain(&error, crops.len()))?);
        }
        if scores.iter().all(|scores| scores.logit.is_finite() && scores.generators.iter().all(|p| p.is_finite())) {
            Ok(scores)
        } else {
            Err(ScoreError::NotANumber)
        }
    }

    fn device(&self) -> &str {
        &self.device
    }

    fn engine(&self) -> String {
        let precision = if self.place.kind == Kind::BFloat16 { "bf16" } else { "fp32" };
        if self.place.device.is_cuda() {
            format!("{} ({precision}, cuDNN with fused addition and ReLU)", self.device)
        } else {
            let threads = tch::get_num_threads();
            let wait = wait_policy::in_words();
            format!("cpu ({precision}, {threads} threads that wait {wait}, oneDNN with fused addition and ReLU)")
        }
    }

    fn card(&self) -> &Card {
        &self.card
    }
}

/// What libtorch's message means for the worker.
fn explain(error: &TchError, images: usize) -> ScoreError {
    let text = error.to_string();
    // The C++ stack trace that follows tells an operator nothing.
    let detail = text.lines().next().unwrap_or_default().to_string();
    if text.contains("out of memory") || text.contains("can't allocate memory") {
        ScoreError::OutOfMemory { images, detail }
    } else if ["CUDA error", "CUDNN_STATUS_EXECUTION_FAILED", "CUDNN_STATUS_INTERNAL_ERROR", "CUDA driver"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        ScoreError::DeviceLost(detail)
    } else {
        ScoreError::Failed(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_libtorch_are_understood() {
        let explained = |text: &str| explain(&TchError::Torch(text.into()), 8);
        let memory = explained("CUDA out of memory. Tried to allocate 2.00 GiB\nException raised from malloc");
        assert!(matches!(&memory, ScoreError::OutOfMemory { images: 8, detail } if !detail.contains("Exception")));
        assert!(matches!(
            explained("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
            ScoreError::OutOfMemory { .. }
        ));
        assert!(explained("CUDA error: device-side assert triggered").is_fatal());
        assert!(!explained("shape mismatch").is_fatal());
    }
}
