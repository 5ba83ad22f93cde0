//! Convolutions with their batch norm folded in, and what follows them in the same pass.

use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};

use crate::fused::{self, Geometry, Then, channels_last};
use crate::kernels;
use crate::torch_error::TorchError;
use crate::weights::Weights;
use crate::winograd::Filter;
use artefact::architecture::Convolution;

/// Batch norm's ε, as PyTorch's default.
const EPSILON: f64 = 1e-5;

/// Where and in what numbers the network computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub device: Device,
    /// Float or BFloat16; of the convolutions. Everything after the global mean is fp32.
    pub kind: Kind,
}

impl Placement {
    /// Whether 3×3 convolutions are computed by Winograd's filtering.
    pub fn uses_winograd(&self) -> bool {
        self.device == Device::Cpu && self.kind == Kind::Float && kernels::measured().prefers_winograd()
    }
}

/// y = w ∗ x + b, with the batch norm's scale in w and its shift in b.
#[derive(Debug)]
pub struct Conv {
    kernel: Kernel,
    bias: Tensor,
    geometry: Geometry,
}

/// The library that computes it, and the weight in its layout.
#[derive(Debug)]
enum Kernel {
    /// On a GPU.
    CuDnn(Tensor),
    OneDnn {
        weight: Tensor,
        /// Made when the first input shows its shape.
        packed: OnceLock<Tensor>,
    },
    /// 3×3 in fp32, on processors where that is faster.
    Winograd(Filter),
}

impl Conv {
    /// Folds `<norm>.*` into `<conv>.weight`: w' = w · γ/√(σ² + ε), b' = β − μ · γ/√(σ² + ε), in fp64 before the cast.
    pub fn folded(weights: &Weights, conv: &str, norm: &str, shape: Convolution, place: Placement) -> Conv {
        let of = |part: &str| weights.get(&format!("{norm}.{part}")).to_kind(Kind::Double);
        let scale = of("weight") / (of("running_var") + EPSILON).sqrt();
        let bias = of("bias") - of("running_mean") * &scale;
        let weight = weights.get(&format!("{conv}.weight")).to_kind(Kind::Double) * scale.view([-1, 1, 1, 1]);
        let to_place = |tensor: Tensor| tensor.to_device(place.device).to_kind(place.kind);
        Conv {
            kernel: Kernel::new(weight, shape, place, to_place),
            bias: to_place(bias),
            geometry: Geometry { stride: shape.stride, padding: shape.kernel / 2 },
        }
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TorchError> {
        let (stride, padding) = self.sides();
        match &self.kernel {
            Kernel::CuDnn(weight) => Ok(input.f_conv2d(weight, Some(&self.bias), stride, padding, [1, 1], 1)?),
            Kernel::OneDnn { weight, packed } => {
                let packed = self.packed_for(input, weight, packed)?;
                fused::convolve(input, packed, &self.bias, self.geometry, Then::Nothing)
            }
            Kernel::Winograd(filter) => filter.convolve(input, &self.bias, None, Then::Nothing),
        }
    }

    /// max(0, y)
    pub fn relu(&self, input: &Tensor) -> Result<Tensor, TorchError> {
        let (stride, padding) = self.sides();
        match &self.kernel {
            Kernel::CuDnn(weight) => {
                Ok(input.f_cudnn_convolution_relu(weight, Some(&self.bias), stride, padding, [1, 1], 1)?)
            }
            Kernel::OneDnn { weight, packed } => {
                let packed = self.packed_for(input, weight, packed)?;
                fused::convolve(input, packed, &self.bias, self.geometry, Then::Relu)
            }
            Kernel::Winograd(filter) => filter.convolve(input, &self.bias, None, Then::Relu),
        }
    }

    /// max(0, y + shortcut). The shortcut's memory may become the result's.
    pub fn add_relu(&self, input: &Tensor, shortcut: Tensor) -> Result<Tensor, TorchError> {
        let (stride, padding) = self.sides();
        match &self.kernel {
            Kernel::CuDnn(weight) => {
                let bias = Some(&self.bias);
                Ok(input.f_cudnn_convolution_add_relu(weight, &shortcut, 1.0, bias, stride, padding, [1, 1], 1)?)
            }
            Kernel::OneDnn { weight, packed } => {
                let packed = self.packed_for(input, weight, packed)?;
                fused::convolve_add_relu(input, shortcut, packed, &self.bias, self.geometry)
            }
            Kernel::Winograd(filter) => filter.convolve(input, &self.bias, Some(&shortcut), Then::Relu),
        }
    }

    fn sides(&self) -> ([i64; 2], [i64; 2]) {
        ([self.geometry.stride; 2], [self.geometry.padding; 2])
    }

    fn packed_for<'a>(
        &self,
        input: &Tensor,
        weight: &Tensor,
        packed: &'a OnceLock<Tensor>,
    ) -> Result<&'a Tensor, TorchError> {
        if let Some(packed) = packed.get() {
            return Ok(packed);
        }
        let (images, channels, height, width) = input.size4()?;
        let made = fused::pack(weight, self.geometry, [images, channels, height, width])?;
        Ok(packed.get_or_init(|| made))
    }
}

impl Kernel {
    fn new(weight: Tensor, shape: Convolution, place: Placement, to_place: impl Fn(Tensor) -> Tensor) -> Kernel {
        if place.device.is_cuda() {
            return Kernel::CuDnn(channels_last(&to_place(weight)));
        }
        let may_be_winograd = place.uses_winograd() && shape.kernel == 3 && shape.stride == 1;
        match may_be_winograd.then(|| Filter::new(&weight)).flatten() {
            Some(filter) => Kernel::Winograd(filter),
            None => Kernel::OneDnn { weight: channels_last(&to_place(weight)), packed: OnceLock::new() },
        }
    }
}

/// y = Wx + b, in fp32.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub fn new(weights: &Weights, name: &str, device: Device) -> Linear {
        let of = |part: &str| weights.get(&format!("{name}.{part}")).to_device(device).to_kind(Kind::Float);
        Linear { weight: of("weight"), bias: of("bias") }
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_linear(&self.weight, Some(&self.bias))
    }
}

/// Batch norm over a vector, in fp32, with the statistics that training left.
#[derive(Debug)]
pub struct Norm {
    scale: Tensor,
    shift: Tensor,
}

impl Norm {
    pub fn new(weights: &Weights, name: &str, device: Device) -> Norm {
        let of = |part: &str| weights.get(&format!("{name}.{part}")).to_kind(Kind::Double);
        let scale = of("weight") / (of("running_var") + EPSILON).sqrt();
        let shift = of("bias") - of("running_mean") * &scale;
        let place = |tensor: Tensor| tensor.to_kind(Kind::Float).to_device(device);
        Norm { scale: place(scale), shift: place(shift) }
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        self.shift.f_addcmul(input, &self.scale)
    }
}
