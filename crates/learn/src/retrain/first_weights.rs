//! The weights that a training begins with.

use std::path::{Path, PathBuf};

use artefact::{Architecture, LabelSet, LoadError, Manifest, Misfit};
use engine::untrained;
use engine::weights::Weights;

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
