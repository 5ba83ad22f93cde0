//! From labelled images to a model, with everything that is not computing: files, decoders, checkpoints, servers.
//!
//! [`material`] says which images and what they are, [`gallery`] shows them, [`course`] goes from them to a model, leaving
//! [`partial`] checkpoints behind: that is `assay train`. The [`job`] of `assay retrain` takes a [`snapshot`] of the labels,
//! [`fetch`]es the images, has a candidate made, scores it and the active model on the same images ([`comparison`]), and the [`gate`] decides.

pub mod ahead;
mod batches;
pub mod comparison;
pub mod course;
pub mod duplicate_groups;
pub mod ending;
pub mod error;
pub mod fetch;
pub mod gallery;
pub mod gate;
pub mod job;
mod making;
pub mod material;
pub mod page;
pub mod partial;
pub mod push;
pub mod report;
pub mod snapshot;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use artefact::Misfit;
use artefact::{Architecture, LabelSet, LoadError, Manifest};
use engine::untrained;
use engine::weights::Weights;

/// `[retrain]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub folder: String,
    pub recipe: String,
    pub held_out: f64,
    pub min_images: usize,
    pub noise: f64,
    pub confidence: f64,
    pub max_ece: f64,
    pub lease_s: u64,
    pub pushgateway: String,
}

impl Settings {
    /// What the types do not hold; the error names the key and the mend.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [("held_out", self.held_out), ("noise", self.noise), ("confidence", self.confidence)];
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            return Err(format!("retrain.{name} = {share} must be from 0 to below 1"));
        }
        if self.lease_s < 3 || self.folder.is_empty() {
            return Err("retrain.lease_s must be at least 3, and retrain.folder name a folder".into());
        }
        Ok(())
    }

    pub fn bounds(&self) -> gate::Bounds {
        gate::Bounds { noise: self.noise, confidence: self.confidence, max_ece: self.max_ece }
    }
}

/// `[training]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Of decoded pixels that are kept.
    pub cache_bytes: u64,
    /// Seconds between two checkpoints.
    pub checkpoint_s: u64,
}

/// What a training begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Random,
    /// An artefact's folder, or a file of safetensors with at least an encoder.
    From(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{} holds no encoder of {architecture}: {misfit}", path.display())]
    Misfit { path: PathBuf, architecture: Architecture, misfit: Box<Misfit> },
}

/// All tensors of an artefact: those of `start` as far as they fit, new ones by the seed for what is left. The encoder must
/// fit as a whole, but for SelfCon's sub-network, which nothing but a training has a use for.
pub fn first_weights(
    start: &Start,
    architecture: Architecture,
    labels: &LabelSet,
    seed: u64,
) -> Result<Weights, BeginError> {
    let mut weights = untrained::weights(architecture, labels.generators.len(), seed as i64);
    let Start::From(path) = start else { return Ok(weights) };
    let file = if path.is_dir() { weights_of(path)? } else { path.clone() };
    let found = Weights::read(&file)?.0.widened();
    let mut own = found.below("encoder.").under("encoder.");
    for (name, tensor) in weights.iter().filter(|(name, _)| name.starts_with("encoder.selfcon_layer.")) {
        if own.find(name).is_none() {
            own.insert(name.clone(), tensor.shallow_clone());
        }
    }
    own.check(&architecture.encoder()).map_err(|misfit| BeginError::Misfit {
        path: file,
        architecture,
        misfit: Box::new(misfit),
    })?;
    let shapes = architecture.artefact(labels.generators.len());
    for (name, tensor) in found.iter() {
        let is_classifier = name.starts_with("origin.") || name.starts_with("generators.");
        if !is_classifier && shapes.get(name).is_some_and(|shape| *shape == tensor.size()) {
            weights.insert(name.clone(), tensor.shallow_clone());
        }
    }
    Ok(weights)
}

fn weights_of(folder: &Path) -> Result<PathBuf, LoadError> {
    let manifest = Manifest::read(folder, "")?;
    // Checks the digest and the names.
    manifest.verify(folder)?;
    Ok(folder.join(&manifest.weights.file))
}
