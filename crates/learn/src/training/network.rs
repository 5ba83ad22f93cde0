//! The network in training: the same tensors and layers as the engine's, with batch norms apart and gradients recorded.

use tch::{TchError, Tensor};

use super::parameters::{Norms, Parameters};
use artefact::Architecture;
use artefact::architecture::Block;
use engine::backbone::{Features, Means};
use engine::conv::Placement;
use engine::weights::Weights;

/// All tensors of an artefact, ready to be trained.
#[derive(Debug)]
pub struct Network {
    architecture: Architecture,
    pub parameters: Parameters,
    place: Placement,
}

impl Network {
    /// From weights that [`Weights::check`] has found complete. Parameters are fp32, convolutions compute in the place's
    /// numbers.
    pub fn new(weights: &Weights, architecture: Architecture, place: Placement) -> Network {
        Network { architecture, parameters: Parameters::new(weights, place.device), place }
    }

    pub fn place(&self) -> Placement {
        self.place
    }

    /// `images`: `[n, 3, h, w]`, normalised. The features are fp32.
    pub fn features(&self, images: &Tensor, norms: Norms) -> Result<Features, TchError> {
        let images = images.f_to_kind(self.place.kind)?;
        let x = self.parameters.convolve(&images, "encoder.conv1", self.architecture.stem())?;
        let x = self.parameters.norm_onwards(&x, "encoder.bn1", norms, None, true)?;
        let mut x = x.f_max_pool2d([3, 3], [self.architecture.pooling(); 2], [1, 1], [1, 1], false)?;
        let mut means = Means::new(self.architecture);
        for (index, layer) in self.architecture.layers().iter().enumerate() {
            for block in layer {
                x = self.residual(&x, block, norms)?;
            }
            means.after(index, &x)?;
        }
        means.features()
    }

    /// max(0, f(x) + shortcut(x)), with batch norm after each convolution and ReLU between those of f.
    fn residual(&self, input: &Tensor, block: &Block, norms: Norms) -> Result<Tensor, TchError> {
        let (parameters, name) = (&self.parameters, &block.name);
        let shortcut = match block.shortcut {
            Some(shape) => {
                let shortcut = parameters.convolve(input, &format!("{name}.shortcut.0"), shape)?;
                parameters.norm_onwards(&shortcut, &format!("{name}.shortcut.1"), norms, None, false)?
            }
            None => input.shallow_clone(),
        };
        let mut x = input.shallow_clone();
        for (index, shape) in block.convolutions.iter().enumerate() {
            x = parameters.convolve(&x, &format!("{name}.conv{}", index + 1), *shape)?;
            let added = (index + 1 == block.convolutions.len()).then_some(&shortcut);
            x = parameters.norm_onwards(&x, &format!("{name}.bn{}", index + 1), norms, added, true)?;
        }
        Ok(x)
    }

    /// The backbone's view of each image, `[n, 128]`, of length 1.
    pub fn view(&self, features: &Features) -> Result<Tensor, TchError> {
        self.projection(&features.embedding, "head")
    }

    /// The sub-network's view of each image, `[n, 128]`, of length 1.
    pub fn sub_view(&self, features: &Features) -> Result<Tensor, TchError> {
        let embedding = self.parameters.linear(&features.branch, "encoder.selfcon_layer.1")?;
        self.projection(&embedding, "sub_heads.0")
    }

    fn projection(&self, embedding: &Tensor, name: &str) -> Result<Tensor, TchError> {
        let hidden = self.parameters.linear(embedding, &format!("{name}.0"))?.f_relu()?;
        normalise(&self.parameters.linear(&hidden, &format!("{name}.2"))?)
    }
}

/// Rows scaled to length 1.
pub(super) fn normalise(rows: &Tensor) -> Result<Tensor, TchError> {
    let length = rows.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?.f_clamp_min(1e-12)?;
    rows.f_div(&length)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::training::testing::{self, furthest};
    use engine::backbone::Backbone;
    use engine::selfcon::SelfCon;

    /// Running statistics that are not those of a new network, so that a batch norm left out would show.
    fn worn(architecture: Architecture) -> Weights {
        let mut weights = testing::weights(architecture, 3);
        let names: Vec<String> = weights.iter().map(|(name, _)| name.clone()).collect();
        for (place, name) in names.iter().enumerate() {
            let tensor = weights.get(name).copy();
            if name.ends_with(".running_mean") || name.ends_with(".running_var") {
                let wave = (testing::wave(&tensor.size(), place as f64) + 1.2) * 0.3;
                weights.insert(name.clone(), if name.ends_with("_var") { wave + 0.5 } else { wave });
            }
        }
        weights
    }

    #[test]
    fn in_evaluation_it_is_the_network_that_serves() {
        let _no_grad = tch::no_grad_guard();
        let place = Placement { device: Device::Cpu, kind: Kind::Float };
        for name in ["resnet18-nodown-16", "resnet50-nodown-16", "resnet50-half"] {
            let architecture: Architecture = name.parse().unwrap();
            let weights = worn(architecture);
            let images = testing::wave(&[2, 3, 32, 32], 0.5);
            let serving = Backbone::new(&weights, architecture, place).forward(&images).unwrap();
            let network = Network::new(&weights, architecture, place);
            let trained = network.features(&images, Norms::Frozen).unwrap();
            assert!(furthest(&trained.embedding, &serving.embedding) < 1e-4, "{name}");
            assert!(furthest(&trained.branch, &serving.branch) < 1e-4, "{name}");
            let views = SelfCon::new(&weights, Device::Cpu).forward(&serving).unwrap();
            assert!(furthest(&network.view(&trained).unwrap(), &views.backbone) < 1e-4);
            assert!(furthest(&network.sub_view(&trained).unwrap(), &views.sub_network) < 1e-4);
        }
    }

    #[test]
    fn statistics_move_in_training_only_once_and_never_when_frozen() {
        let architecture: Architecture = "resnet18-nodown-16".parse().unwrap();
        let place = Placement { device: Device::Cpu, kind: Kind::Float };
        let network = Network::new(&testing::weights(architecture, 3), architecture, place);
        let images = testing::wave(&[4, 3, 16, 16], 0.0);
        let mean = || network.parameters.weights().get("encoder.bn1.running_mean").copy();
        let before = mean();
        for still in [Norms::Frozen, Norms::Batch] {
            network.features(&images, still).unwrap();
            assert_eq!(furthest(&mean(), &before), 0.0, "{still:?}");
        }
        network.features(&images, Norms::Moving).unwrap();
        assert!(furthest(&mean(), &before) > 0.0);
    }

    #[test]
    fn convolutions_in_bf16_leave_parameters_and_gradients_in_fp32() {
        let architecture: Architecture = "resnet18-nodown-16".parse().unwrap();
        let weights = testing::weights(architecture, 3);
        let images = testing::wave(&[4, 3, 16, 16], 0.0);
        let gradient = |kind| {
            let network = Network::new(&weights, architecture, Placement { device: Device::Cpu, kind });
            let embedding = network.features(&images, Norms::Batch).unwrap().embedding;
            (embedding.shallow_clone() * testing::wave(&embedding.size(), 1.0)).sum(Kind::Float).backward();
            network.parameters.trained()["encoder.layer3.0.conv2.weight"].grad()
        };
        let (full, half) = (gradient(Kind::Float), gradient(Kind::BFloat16));
        assert_eq!(half.kind(), Kind::Float);
        let likeness = f64::try_from((&full * &half).sum(Kind::Double) / (full.norm() * half.norm())).unwrap();
        // bf16 keeps eight bits, and sixteen layers lie between; a wrong gradient would be unlike.
        assert!(likeness > 0.95, "{likeness}");
    }
}
