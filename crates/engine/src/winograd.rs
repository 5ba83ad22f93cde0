//! 3×3 convolutions with a quarter of the multiplications: the Rust side of `winograd.cpp`.
//! Inference only.

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::fused::Then;
use crate::torch_error::{Status, TorchError, output};

unsafe extern "C" {
    fn assay_winograd_runs() -> bool;
    fn assay_winograd_convolve(
        input: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        addend: *const C_tensor,
        relu: bool,
        output: *mut *mut C_tensor,
    ) -> Status;
}

/// Output channels that the innermost loop takes at a time; of inputs it takes 8.
const COLUMNS: i64 = 16;

/// Weight of 3×3, transformed for tiles of 4×4 outputs: `[36, outputs / 16, inputs, 16]`.
#[derive(Debug)]
pub(crate) struct Filter(Tensor);

/// Whether this processor has the instructions for it.
pub(crate) fn runs_here() -> bool {
    // SAFETY: it takes nothing, and asks the processor.
    unsafe { assay_winograd_runs() }
}

impl Filter {
    /// GgGᵀ of each 3×3 filter g, in fp64 before the cast. `None` for weights of another kind.
    pub(crate) fn new(weight: &Tensor) -> Option<Filter> {
        let &[outputs, inputs, 3, 3] = &weight.size()[..] else { return None };
        if outputs % COLUMNS != 0 || inputs % 8 != 0 || inputs > 4096 {
            return None;
        }
        let side = Tensor::from_slice2(&[
            [1.0 / 4.0, 0.0, 0.0],
            [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
            [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
            [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
            [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
            [0.0, 0.0, 1.0_f64],
        ]);
        let points = weight.to_kind(Kind::Double).reshape([-1, 9]).mm(&side.kron(&side).tr());
        let panels = points.view([outputs / COLUMNS, COLUMNS, inputs, 36]).permute([3, 0, 2, 1]);
        Some(Filter(panels.to_kind(Kind::Float).contiguous()))
    }

    /// then(w ∗ x + b + addend), with a border of zeros; fp32.
    pub(crate) fn convolve(
        &self,
        input: &Tensor,
        bias: &Tensor,
        addend: Option<&Tensor>,
        then: Then,
    ) -> Result<Tensor, TorchError> {
        let addend = addend.map_or(std::ptr::null(), |addend| addend.as_ptr());
        // SAFETY: the pointers are of live tensors, or null where that is allowed, and the output is written on success.
        unsafe {
            output(|result| {
                let (input, weight, bias) = (input.as_ptr(), self.0.as_ptr(), bias.as_ptr());
                assay_winograd_convolve(input, weight, bias, addend, then == Then::Relu, result)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Against libtorch in fp64, at sizes that are no multiples of a tile, and more tiles than a thread takes at a time.
    #[test]
    fn it_computes_the_convolution() {
        if !runs_here() {
            return;
        }
        tch::manual_seed(7);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        for [images, inputs, outputs, height, width] in
            [[1, 8, 16, 1, 1], [2, 16, 32, 5, 7], [1, 64, 64, 33, 18], [3, 24, 48, 31, 30], [1, 512, 16, 8, 8]]
        {
            let weight = random(&[outputs, inputs, 3, 3]) * (2.0 / (9 * inputs) as f64).sqrt();
            let (input, bias) = (random(&[images, inputs, height, width]).relu(), random(&[outputs]));
            let addend = random(&[images, outputs, height, width]);
            let filter = Filter::new(&weight).unwrap();
            let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
            let plain = double(&input).conv2d(&double(&weight), Some(double(&bias)), [1, 1], [1, 1], [1, 1], 1);
            for (addend, then) in [(None, Then::Nothing), (None, Then::Relu), (Some(&addend), Then::Relu)] {
                let expected = addend.map_or(plain.shallow_clone(), |addend| &plain + double(addend));
                let expected = if then == Then::Relu { expected.relu() } else { expected };
                let given = filter.convolve(&input, &bias, addend, then).unwrap();
                assert_eq!(given.size(), expected.size());
                let apart = f64::try_from((double(&given) - expected).abs().max()).unwrap();
                // Some ten times what adding up in order loses.
                assert!(apart < 1e-4, "{apart} with {inputs} channels of {height}×{width}, {then:?}");
            }
        }
    }

    #[test]
    fn weights_of_other_shapes_make_no_filter() {
        let zeros = |shape: [i64; 4]| Filter::new(&Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
        assert!(zeros([16, 8, 1, 1]).is_none(), "1×1");
        assert!(zeros([16, 3, 3, 3]).is_none(), "three channels");
        assert!(zeros([24, 8, 3, 3]).is_none(), "no whole number of columns");
    }

    #[test]
    fn tensors_whose_shapes_do_not_match_are_an_error() {
        if !runs_here() {
            return;
        }
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let filter = Filter::new(&zeros(&[16, 8, 3, 3])).unwrap();
        let (bias, image) = (zeros(&[16]), zeros(&[1, 8, 4, 4]));
        assert!(filter.convolve(&image, &bias, None, Then::Nothing).is_ok());
        assert!(filter.convolve(&zeros(&[1, 16, 4, 4]), &bias, None, Then::Nothing).is_err());
        assert!(filter.convolve(&image, &zeros(&[8]), None, Then::Nothing).is_err());
        assert!(filter.convolve(&image, &bias, Some(&image), Then::Nothing).is_err());
        assert!(filter.convolve(&image.to_kind(Kind::BFloat16), &bias, None, Then::Nothing).is_err());
    }
}
