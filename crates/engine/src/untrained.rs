//! Networks of random weights, for trying the service before there is a trained model.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::weights::Weights;
use artefact::manifest::{Lineage, Origin, Reading};
use artefact::{Architecture, LabelSet, LoadError, Manifest};

/// Share of the last batch norm of each block at the start, so that the sum over many blocks stays small.
const RESIDUAL: f64 = 0.2;

/// Makes an artefact whose verdicts say that they mean nothing. The same seed makes the same weights.
pub fn create(folder: &Path, architecture: Architecture, seed: i64) -> Result<Manifest, LoadError> {
    let labels = LabelSet::imaginet();
    let weights = weights(architecture, labels.generators.len(), seed);
    let lineage = Lineage::of_source(format!("random, seed {seed}"), None);
    let reading = Reading::default();
    weights.write_artefact(folder, Origin { architecture, trained: false, labels, lineage, version: None, reading })
}

/// libtorch has one generator of random numbers, which is seeded anew for each network.
static DRAWING: Mutex<()> = Mutex::new(());

/// He's initialisation for convolutions (arXiv 1502.01852, fan out), uniform 1/√fan-in for linear layers.
pub fn weights(architecture: Architecture, classes: usize, seed: i64) -> Weights {
    let _alone = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    let last_norms: Vec<String> = architecture
        .layers()
        .into_iter()
        .flatten()
        .map(|block| format!("{}.bn{}.weight", block.name, block.convolutions.len()))
        .collect();
    let mut weights = Weights::default();
    for (name, shape) in architecture.artefact(classes) {
        let empty = || Tensor::empty(&shape, (Kind::Float, Device::Cpu));
        let tensor = match shape.as_slice() {
            [outputs, _, height, width] => {
                let deviation = (2.0 / (outputs * height * width) as f64).sqrt();
                empty().normal_(0.0, deviation)
            }
            [_, inputs] => {
                let bound = 1.0 / (*inputs as f64).sqrt();
                empty().uniform_(-bound, bound)
            }
            _ if last_norms.contains(&name) => empty().fill_(RESIDUAL),
            // What is left with one dimension: batch norms, and biases.
            _ if name.ends_with(".weight") || name.ends_with(".running_var") => empty().fill_(1.0),
            _ => empty().fill_(0.0),
        };
        weights.insert(name, tensor);
    }
    weights
}
