//! What SelfCon compares: the projected embeddings of the backbone and of its sub-network.
//!
//! Self-Contrastive Learning (Bae et al., AAAI 2023) takes the output of a sub-network as the second view of an
//! image. ImagiNet's sub-network ("fc") is a global mean after the second layer and one linear layer.

use tch::{Device, TchError, Tensor};

use crate::backbone::Features;
use crate::conv::Linear;
use crate::weights::Weights;

/// The sub-network and both projection heads. Not needed for scoring.
#[derive(Debug)]
pub struct SelfCon {
    sub_network: Linear,
    head: Projection,
    sub_head: Projection,
}

/// Linear → ReLU → Linear → L2 norm.
#[derive(Debug)]
struct Projection {
    hidden: Linear,
    output: Linear,
}

/// Two views of each image, `[n, 128]` each, of length 1.
#[derive(Debug)]
pub struct Views {
    pub backbone: Tensor,
    pub sub_network: Tensor,
}

impl SelfCon {
    pub fn new(weights: &Weights, device: Device) -> SelfCon {
        let projection = |name: &str| Projection {
            hidden: Linear::new(weights, &format!("{name}.0"), device),
            output: Linear::new(weights, &format!("{name}.2"), device),
        };
        SelfCon {
            sub_network: Linear::new(weights, "encoder.selfcon_layer.1", device),
            head: projection("head"),
            sub_head: projection("sub_heads.0"),
        }
    }

    pub fn forward(&self, features: &Features) -> Result<Views, TchError> {
        Ok(Views {
            backbone: self.head.forward(&features.embedding)?,
            sub_network: self.sub_head.forward(&self.sub_network.forward(&features.branch)?)?,
        })
    }
}

impl Projection {
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        normalise(&self.output.forward(&self.hidden.forward(input)?.f_relu()?)?)
    }
}

/// Rows scaled to length 1 (those shorter than 1e-12 stay short, as in PyTorch's `normalize`).
pub(super) fn normalise(rows: &Tensor) -> Result<Tensor, TchError> {
    let length = rows.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?.f_clamp_min(1e-12)?;
    rows.f_div(&length)
}
