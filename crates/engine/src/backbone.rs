//! The residual network without early downsampling, for inference.

use tch::{Kind, TchError, Tensor};

use crate::conv::{Conv, Placement};
use crate::torch_error::TorchError;
use crate::weights::Weights;
use artefact::architecture::{Architecture, Block as Layout};

/// Stem and four layers, batch norms folded.
#[derive(Debug)]
pub struct Backbone {
    architecture: Architecture,
    stem: Conv,
    layers: [Vec<Block>; 4],
}

#[derive(Debug)]
struct Block {
    convolutions: Vec<Conv>,
    shortcut: Option<Conv>,
}

/// What the network says of a batch, before any classifier. fp32.
#[derive(Debug)]
pub struct Features {
    /// Global mean after the second layer, where SelfCon's sub-network branches off; `[n, 512]` for ResNet-50.
    pub branch: Tensor,
    /// Global means after the layers of [`Architecture::embedded`]: the embedding; `[n, 2048]` for ResNet-50.
    pub embedding: Tensor,
}

impl Backbone {
    /// From weights that [`Weights::check`] has found complete.
    pub fn new(weights: &Weights, architecture: Architecture, place: Placement) -> Backbone {
        let stem = Conv::folded(weights, "encoder.conv1", "encoder.bn1", architecture.stem(), place);
        let layers = architecture.layers();
        Backbone {
            architecture,
            stem,
            layers: layers.map(|layer| layer.iter().map(|block| Block::new(weights, block, place)).collect()),
        }
    }

    /// `images`: `[n, 3, h, w]`, normalised.
    pub fn forward(&self, images: &Tensor) -> Result<Features, TorchError> {
        let pooling = [self.architecture.pooling(); 2];
        let mut x = self.stem.relu(images)?.f_max_pool2d([3, 3], pooling, [1, 1], [1, 1], false)?;
        let mut means = Means::new(self.architecture);
        for (index, layer) in self.layers.iter().enumerate() {
            for block in layer {
                x = block.forward(x)?;
            }
            means.after(index, &x)?;
        }
        Ok(means.features()?)
    }
}

impl Block {
    fn new(weights: &Weights, layout: &Layout, place: Placement) -> Block {
        let name = &layout.name;
        let convolutions = layout.convolutions.iter().enumerate().map(|(index, shape)| {
            let part = |kind: &str| format!("{name}.{kind}{}", index + 1);
            Conv::folded(weights, &part("conv"), &part("bn"), *shape, place)
        });
        let shortcut = layout.shortcut.map(|shape| {
            Conv::folded(weights, &format!("{name}.shortcut.0"), &format!("{name}.shortcut.1"), shape, place)
        });
        Block { convolutions: convolutions.collect(), shortcut }
    }

    /// max(0, f(x) + shortcut(x)), with ReLU between the convolutions of f. Takes the input, whose memory may
    /// become the result's.
    fn forward(&self, input: Tensor) -> Result<Tensor, TorchError> {
        let (first, rest) = self.convolutions.split_first().expect("a block has convolutions");
        let (last, middle) = rest.split_last().expect("a block has at least two convolutions");
        let mut x = first.relu(&input)?;
        for convolution in middle {
            x = convolution.relu(&x)?;
        }
        let shortcut = match &self.shortcut {
            Some(convolution) => convolution.forward(&input)?,
            None => input,
        };
        last.add_relu(&x, shortcut)
    }
}

/// Gathers the means while the layers are computed.
pub struct Means {
    embedded: &'static [usize],
    branch: Option<Tensor>,
    parts: Vec<Tensor>,
}

impl Means {
    pub fn new(architecture: Architecture) -> Means {
        Means { embedded: architecture.embedded(), branch: None, parts: Vec::new() }
    }

    /// `x` came out of this layer, counted from 0.
    pub fn after(&mut self, layer: usize, x: &Tensor) -> Result<(), TchError> {
        let mean = || x.f_mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        if layer == 1 {
            self.branch = Some(mean()?);
        }
        if self.embedded.contains(&layer) {
            self.parts.push(mean()?);
        }
        Ok(())
    }

    /// After the last layer.
    pub fn features(self) -> Result<Features, TchError> {
        let embedding = Tensor::f_cat(&self.parts, 1)?;
        Ok(Features { branch: self.branch.expect("there is a second layer"), embedding })
    }
}
