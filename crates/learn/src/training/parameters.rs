//! The tensors that training moves, in fp32, and the layers that are made of them.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use artefact::architecture::Convolution;
use engine::fused::channels_last;
use engine::norm::{self, Norm, Statistics};
use engine::weights::Weights;

/// Batch norm's ε, as PyTorch's default and the engine's.
const EPSILON: f64 = 1e-5;
/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// Whose mean and variance a batch norm uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// The batch's; the running ones move towards them.
    Moving,
    /// The batch's; the running ones stay. For the second look at the same batch.
    Batch,
    /// The running ones, as when serving.
    Frozen,
}

/// Weights and biases that gradients belong to, and the running statistics, which none does.
#[derive(Debug)]
pub struct Parameters {
    trained: BTreeMap<String, Tensor>,
    statistics: BTreeMap<String, Tensor>,
}

impl Parameters {
    /// Copies of all tensors, on a device; those with four dimensions with their channels innermost.
    pub fn new(weights: &Weights, device: Device) -> Parameters {
        let mut parameters = Parameters { trained: BTreeMap::new(), statistics: BTreeMap::new() };
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in weights.iter() {
            let copy = innermost(&tensor.to_kind(Kind::Float).to_device(device)).copy();
            if name.ends_with(".running_mean") || name.ends_with(".running_var") {
                parameters.statistics.insert(name.clone(), copy);
            } else {
                parameters.trained.insert(name.clone(), copy.set_requires_grad(true));
            }
        }
        parameters
    }

    /// What a gradient belongs to, by name.
    pub fn trained(&self) -> &BTreeMap<String, Tensor> {
        &self.trained
    }

    /// From now on gradients pass through to what goes in, and stay nowhere on the way.
    pub fn freeze(&self) {
        self.trained.values().for_each(|tensor| drop(tensor.set_requires_grad(false)));
    }

    /// All tensors as they are now, on the CPU; later steps do not move them.
    pub fn weights(&self) -> Weights {
        let _no_grad = tch::no_grad_guard();
        let mut weights = Weights::default();
        for (name, tensor) in self.all() {
            weights.insert(name.clone(), tensor.detach().to_device(Device::Cpu).contiguous().copy());
        }
        weights
    }

    /// Parameters and statistics.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.trained.iter().chain(&self.statistics)
    }

    /// Forgets all gradients.
    pub fn clear(&self) {
        self.trained.values().for_each(|tensor| drop(tensor.grad().defined().then(|| tensor.grad().zero_())));
    }

    /// w ∗ x in the numbers of `x`.
    pub fn convolve(&self, x: &Tensor, name: &str, shape: Convolution) -> Result<Tensor, TchError> {
        let weight = self.parameter(&format!("{name}.weight")).f_to_kind(x.kind())?;
        let padding = [shape.kernel / 2; 2];
        x.f_conv2d::<&Tensor>(&weight, None, [shape.stride; 2], padding, [1, 1], 1)
    }

    /// Batch norm; its statistics, scale and shift are fp32 whatever `x` is.
    pub fn norm(&self, x: &Tensor, name: &str, norms: Norms) -> Result<Tensor, TchError> {
        let momentum = if norms == Norms::Moving { MOMENTUM } else { 0.0 };
        x.f_batch_norm(
            Some(self.parameter(&format!("{name}.weight"))),
            Some(self.parameter(&format!("{name}.bias"))),
            Some(self.statistic(&format!("{name}.running_mean"))),
            Some(self.statistic(&format!("{name}.running_var"))),
            norms != Norms::Frozen,
            momentum,
            EPSILON,
            true,
        )
    }

    /// Batch norm after a convolution, plus `other`, and ReLU where `relu` says so: in one pass on a CPU.
    pub fn norm_onwards(
        &self,
        x: &Tensor,
        name: &str,
        norms: Norms,
        other: Option<&Tensor>,
        relu: bool,
    ) -> Result<Tensor, TchError> {
        if x.device() != Device::Cpu {
            let mut y = self.norm(x, name, norms)?;
            if let Some(other) = other {
                y = y.f_add(other)?;
            }
            return if relu { y.f_relu_() } else { Ok(y) };
        }
        let norm = Norm {
            weight: self.parameter(&format!("{name}.weight")),
            bias: self.parameter(&format!("{name}.bias")),
            running_mean: self.statistic(&format!("{name}.running_mean")),
            running_var: self.statistic(&format!("{name}.running_var")),
        };
        let statistics = match norms {
            Norms::Moving => Statistics::Batch(MOMENTUM),
            Norms::Batch => Statistics::Batch(0.0),
            Norms::Frozen => Statistics::Running,
        };
        Ok(norm::forward(x, norm, statistics, EPSILON, other, relu)?)
    }

    /// Wx + b, in fp32.
    pub fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor, TchError> {
        x.f_linear(self.parameter(&format!("{name}.weight")), Some(self.parameter(&format!("{name}.bias"))))
    }

    fn parameter(&self, name: &str) -> &Tensor {
        self.trained.get(name).unwrap_or_else(|| panic!("tensor {name} was not checked for"))
    }

    fn statistic(&self, name: &str) -> &Tensor {
        self.statistics.get(name).unwrap_or_else(|| panic!("tensor {name} was not checked for"))
    }
}

/// A tensor of four dimensions with its channels innermost; others as they are.
fn innermost(tensor: &Tensor) -> Tensor {
    match tensor.dim() {
        4 => channels_last(tensor),
        _ => tensor.shallow_clone(),
    }
}
