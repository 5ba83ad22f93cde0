//! The weights that a training begins with.

use std::path::{Path, PathBuf};

use artefact::architecture::Shapes;
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
    #[error("{} holds no encoder of {architecture}: {}", path.display(), misfit.summary())]
    Misfit { path: PathBuf, architecture: Architecture, misfit: Box<Misfit> },
    #[error(
        "{} holds the encoder of {found}, not of {architecture}: train {found} (--arch {found}), or begin with weights of \
         {architecture}",
        path.display()
    )]
    OtherArchitecture { path: PathBuf, architecture: Architecture, found: Architecture },
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
    own.check(&architecture.encoder()).map_err(|misfit| match architecture_of(&found) {
        Some(found) if found != architecture => BeginError::OtherArchitecture { path: file, architecture, found },
        _ => BeginError::Misfit { path: file, architecture, misfit: Box::new(misfit) },
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

/// The architecture whose encoder this is, without regard to SelfCon's sub-network.
fn architecture_of(weights: &Weights) -> Option<Architecture> {
    let is_own = |name: &str| name.starts_with("encoder.") && !name.starts_with("encoder.selfcon_layer.");
    let own: Shapes =
        weights.iter().filter(|(name, _)| is_own(name)).map(|(name, tensor)| (name.clone(), tensor.size())).collect();
    Architecture::all().find(|architecture| {
        let wanted: Shapes = architecture.encoder().into_iter().filter(|(name, _)| is_own(name)).collect();
        wanted == own
    })
}

fn weights_of(folder: &Path) -> Result<PathBuf, LoadError> {
    let manifest = Manifest::read(folder, "")?;
    // Checks the digest and the names.
    manifest.verify(folder)?;
    Ok(folder.join(&manifest.weights.file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_of_another_architecture_is_named_in_one_line() {
        let folder = std::env::temp_dir().join(format!("assay-first-weights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("start.safetensors");
        let [small, other]: [Architecture; 2] =
            ["resnet18-nodown-16", "resnet18-nodown-32"].map(|name| name.parse().unwrap());
        let begin = |weights: Weights, wanted| {
            weights.write(&file).unwrap();
            first_weights(&Start::From(file.clone()), wanted, &LabelSet::none(), 0).err().map(|error| error.to_string())
        };
        assert_eq!(begin(untrained::weights(small, 0, 0), small), None);
        let words = begin(untrained::weights(small, 0, 0), other).unwrap();
        assert!(
            words.contains("the encoder of resnet18-nodown-16, not of resnet18-nodown-32") && !words.contains('\n'),
            "{words}"
        );
        // Of nothing that is known: how much is missing, and the first of it.
        let words =
            begin(untrained::weights(small, 0, 0).below("encoder.layer1.").under("encoder.layer1."), other).unwrap();
        assert!(
            words.contains("no encoder of resnet18-nodown-32") && words.contains("the first is encoder."),
            "{words}"
        );
        assert!(!words.contains('\n'), "{words}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
