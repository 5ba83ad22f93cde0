//! Batched scoring with the real network.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::backbone::Backbone;
use crate::buckets::{self, Buckets, SubBatch};
use crate::conv::Placement;
use crate::data_parallel::DataParallel;
use crate::heads::{Generators, Origin};
use crate::novelty::Novelty;
use crate::pixels::Pixels;
use crate::staging::Staging;
use crate::torch_error::{TorchError, TorchErrorKind};
use crate::weights::Weights;
use crate::{Detector, OpenError, ScoreError, Settings, device};
use artefact::Card;
use artefact::manifest::Manifest;
use domain::Scores;
use imaging::{CROP_SIDE, Crop};

/// What the network says of one part of a batch. On a GPU it may still be computing when this is handed out.
struct PartScores {
    images: usize,
    logits: Tensor,
    generators: Option<Tensor>,
    /// From the nearest known generator.
    distances: Option<Tensor>,
}

/// A loaded model on its device.
#[derive(Debug)]
pub struct Engine {
    card: Card,
    device: String,
    place: Placement,
    buckets: Buckets,
    /// On a GPU only.
    staging: Option<Staging>,
    /// On a CPU with several threads.
    parallel: Option<DataParallel>,
    backbone: Backbone,
    origin: Origin,
    generators: Option<Generators>,
    novelty: Option<Novelty>,
    pixels: Pixels,
}

impl Engine {
    /// Loads and checks an artefact: the digest of its weights, and every tensor's name and shape.
    pub fn load(folder: &Path, settings: &Settings) -> Result<Engine, OpenError> {
        let place = device::prepare(settings)?;
        let manifest = Manifest::read(folder, &settings.public_key)?;
        let weights = Weights::of_artefact(&manifest, folder)?;
        Ok(Self::new(&manifest, &weights, place)?)
    }

    fn new(manifest: &Manifest, weights: &Weights, place: Placement) -> Result<Engine, TorchError> {
        let _no_grad = tch::no_grad_guard();
        let (buckets, staging, parallel) = match place.device {
            Device::Cuda(index) => {
                // The few sizes that come are worth trying every kernel for.
                tch::Cuda::cudnn_set_benchmark(true);
                (buckets::GPU, Some(Staging::new(index, buckets::GPU.largest())?), None)
            }
            _ => {
                let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
                (buckets::CPU, None, DataParallel::new(threads))
            }
        };
        Ok(Engine {
            card: manifest.card(),
            device: device::name(place.device),
            place,
            buckets,
            staging,
            parallel,
            backbone: Backbone::new(weights, manifest.architecture, place),
            origin: Origin::new(weights, place.device),
            generators: (!manifest.labels.generators.is_empty()).then(|| Generators::new(weights, place.device)),
            novelty: manifest.novelty.as_ref().map(|known| Novelty::new(weights, known, place.device)),
            pixels: Pixels::new(place),
        })
    }

    /// Hands one part of a batch to the device, to which the bytes cross as they are.
    fn launch(&mut self, crops: &[&Crop], size: usize) -> Result<PartScores, TorchError> {
        let _no_grad = tch::no_grad_guard();
        let images = match &mut self.staging {
            Some(staging) => {
                let crossing = staging.send(crops, size)?;
                let images = self.pixels.normalise(&crossing.pixels)?;
                staging.taken(crossing)?;
                images
            }
            None => self.images(crops, size)?,
        };
        self.forward(&images, crops.len())
    }

    /// On a CPU, where images of a batch gain nothing from each other.
    fn launch_one(&self, crop: &Crop) -> Result<PartScores, TorchError> {
        let _no_grad = tch::no_grad_guard();
        self.forward(&self.images(&[crop], 1)?, 1)
    }

    /// So many images, filled up to what the tensor holds.
    fn forward(&self, tensor: &Tensor, images: usize) -> Result<PartScores, TorchError> {
        let features = self.backbone.forward(tensor)?;
        let logits = self.origin.forward(&features.embedding)?;
        let generators = self.generators.as_ref().map(|head| head.forward(&features.embedding)).transpose()?;
        let distances = self.novelty.as_ref().map(|known| known.distances(&features.embedding)).transpose()?;
        Ok(PartScores { images, logits, generators, distances })
    }

    /// `[size, 3, 256, 256]` with channels innermost, normalised.
    fn images(&self, crops: &[&Crop], size: usize) -> Result<Tensor, TorchError> {
        let mut pixels = Vec::with_capacity(size * Crop::BYTES);
        crops.iter().for_each(|crop| pixels.extend_from_slice(crop.pixels()));
        pixels.resize(size * Crop::BYTES, 0);
        Ok(self.pixels.of_bytes(&pixels, CROP_SIDE)?)
    }

    fn score_parts(&mut self, crops: &[&Crop]) -> Result<Vec<Scores>, TorchError> {
        let mut rest = crops;
        let mut answers = Vec::new();
        if let Some(parallel) = &self.parallel {
            let (beside, later) = crops.split_at(parallel.of_batch(crops.len()));
            let engine = Shared(self);
            let found = parallel.map(beside, |crop| engine.engine().launch_one(crop));
            answers = found.into_iter().collect::<Result<_, _>>()?;
            rest = later;
        }
        for SubBatch { images, size } in self.buckets.split(rest.len()) {
            let (part, later) = rest.split_at(images);
            answers.push(self.launch(part, size)?);
            rest = later;
        }
        // Only now is the device waited for.
        let mut scores = Vec::with_capacity(crops.len());
        for answer in answers {
            scores.extend(answer.read(self.novelty.as_ref())?);
        }
        Ok(scores)
    }
}

/// An engine that several threads compute with.
struct Shared<'a>(&'a Engine);

// SAFETY: computing reads the engine's tensors, which libtorch lets threads do at the same time, and changes nothing but what is
// behind locks.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    /// A closure that named the field would hold the engine itself, which threads may not share.
    fn engine(&self) -> &Engine {
        self.0
    }
}

impl PartScores {
    /// The scores of the images that were asked about, without those that filled the part up.
    fn read(self, novelty: Option<&Novelty>) -> Result<Vec<Scores>, TorchError> {
        let logits = Vec::<f32>::try_from(&self.logits.f_to_device(Device::Cpu)?)?;
        let generators = match &self.generators {
            Some(probabilities) => Vec::<Vec<f32>>::try_from(&probabilities.f_to_device(Device::Cpu)?)?,
            None => vec![Vec::new(); logits.len()],
        };
        let novelty = match (novelty, &self.distances) {
            (Some(known), Some(distances)) => known.shares(distances, &generators)?.into_iter().map(Some).collect(),
            _ => vec![None; logits.len()],
        };
        let scores = logits.into_iter().zip(generators).zip(novelty).take(self.images);
        Ok(scores.map(|((logit, generators), novelty)| Scores { logit, generators, novelty }).collect())
    }
}

impl Detector for Engine {
    fn score(&mut self, crops: &[&Crop]) -> Result<Vec<Scores>, ScoreError> {
        let scores = self.score_parts(crops).map_err(|error| explain(error, crops.len()))?;
        let finite = |scores: &Scores| {
            scores.logit.is_finite() && scores.generators.iter().chain(&scores.novelty).all(|value| value.is_finite())
        };
        if scores.iter().all(finite) { Ok(scores) } else { Err(ScoreError::NotANumber) }
    }

    fn warm_up_sizes(&self, largest: usize) -> Vec<usize> {
        self.buckets.up_to(largest)
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
            let winograd = if self.place.uses_winograd() { ", 3×3 by Winograd" } else { "" };
            format!("cpu ({precision}, {threads} threads, oneDNN with fused addition and ReLU{winograd})")
        }
    }

    fn card(&self) -> &Card {
        &self.card
    }
}

/// What an error of libtorch means for whoever asked for scores.
fn explain(error: TorchError, images: usize) -> ScoreError {
    match error.kind {
        TorchErrorKind::OutOfMemory => ScoreError::OutOfMemory { images, cause: error },
        TorchErrorKind::DeviceLost => ScoreError::DeviceLost(error),
        TorchErrorKind::Other => ScoreError::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_device_is_fatal() {
        let explained = |kind| explain(TorchError::new(kind, "CUDA out of memory, or an error"), 8);
        assert!(matches!(explained(TorchErrorKind::OutOfMemory), ScoreError::OutOfMemory { images: 8, .. }));
        assert!(explained(TorchErrorKind::DeviceLost).is_fatal());
        assert!(!explained(TorchErrorKind::OutOfMemory).is_fatal());
        assert!(!explained(TorchErrorKind::Other).is_fatal());
    }
}
