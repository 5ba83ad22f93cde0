//! The two classifiers on the frozen embedding.

use tch::{Device, Kind, TchError, Tensor};

use crate::conv::{Linear, Norm};
use crate::selfcon::normalise;
use crate::weights::Weights;

/// Real or synthetic: batch norm → Linear(1024) → ReLU → Linear(1). The embedding is not normalised to length 1,
/// since it isn't when the classifier is trained (ImagiNet's own evaluation does so by mistake).
#[derive(Debug)]
pub struct Origin {
    norm: Norm,
    hidden: Linear,
    output: Linear,
}

impl Origin {
    pub fn new(weights: &Weights, device: Device) -> Origin {
        Origin {
            norm: Norm::new(weights, "origin.0", device),
            hidden: Linear::new(weights, "origin.1", device),
            output: Linear::new(weights, "origin.4", device),
        }
    }

    /// `[n, embedding]` → logits `[n]`, above 0 for synthetic.
    pub fn forward(&self, embedding: &Tensor) -> Result<Tensor, TchError> {
        let hidden = self.hidden.forward(&self.norm.forward(embedding)?)?.f_relu()?;
        self.output.forward(&hidden)?.f_squeeze_dim(1)
    }
}

/// Which generator: L2 norm, or batch norm where the weights hold one → Linear(1024) → ReLU → Linear(classes) → softmax.
#[derive(Debug)]
pub struct Generators {
    norm: Option<Norm>,
    hidden: Linear,
    output: Linear,
}

impl Generators {
    pub fn new(weights: &Weights, device: Device) -> Generators {
        let has_norm = weights.find("generators.0.weight").is_some();
        Generators {
            norm: has_norm.then(|| Norm::new(weights, "generators.0", device)),
            hidden: Linear::new(weights, "generators.1", device),
            output: Linear::new(weights, "generators.3", device),
        }
    }

    /// `[n, embedding]` → probabilities `[n, classes]`.
    pub fn forward(&self, embedding: &Tensor) -> Result<Tensor, TchError> {
        let scaled = match &self.norm {
            Some(norm) => norm.forward(embedding)?,
            None => normalise(embedding)?,
        };
        let hidden = self.hidden.forward(&scaled)?.f_relu()?;
        self.output.forward(&hidden)?.f_softmax(1, Kind::Float)
    }
}
