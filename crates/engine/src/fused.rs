//! oneDNN's convolution with what follows it in one pass, and a CPU allocator that keeps pages between batches:
//! the Rust side of `fused.cpp`. Inference only: nothing here records gradients.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::torch_error::{Status, TorchError, output};

unsafe extern "C" {
    fn assay_pack(
        weight: *const C_tensor,
        stride: i64,
        padding: i64,
        input: *const i64,
        packed: *mut *mut C_tensor,
    ) -> Status;
    fn assay_convolve(
        input: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: i64,
        padding: i64,
        relu: bool,
        output: *mut *mut C_tensor,
    ) -> Status;
    fn assay_convolve_add_relu(
        input: *const C_tensor,
        addend: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: i64,
        padding: i64,
        output: *mut *mut C_tensor,
    ) -> Status;
    fn assay_keep_pages() -> Status;
}

/// What follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    Relu,
}

/// Stride and padding of a convolution, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub stride: i64,
    pub padding: i64,
}

/// A weight in the layout that oneDNN likes best for inputs of this shape (`[n, c, h, w]`).
pub fn pack(weight: &Tensor, geometry: Geometry, input: [i64; 4]) -> Result<Tensor, TorchError> {
    let Geometry { stride, padding } = geometry;
    // SAFETY: the pointers are of live tensors, the shape has four sides, and the output is written on success.
    unsafe { output(|packed| assay_pack(weight.as_ptr(), stride, padding, input.as_ptr(), packed)) }
}

/// then(w ∗ x + b)
pub fn convolve(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    geometry: Geometry,
    then: Then,
) -> Result<Tensor, TorchError> {
    let Geometry { stride, padding } = geometry;
    // SAFETY: the pointers are of live tensors, and the output is written on success.
    unsafe {
        output(|result| {
            assay_convolve(input.as_ptr(), weight.as_ptr(), bias.as_ptr(), stride, padding, then == Then::Relu, result)
        })
    }
}

/// max(0, w ∗ x + b + addend). The addend's memory is used again for the result, so it is taken by value, and
/// nobody may need what it shares memory with.
#[allow(clippy::needless_pass_by_value, reason = "its memory is the result's from here on")]
pub fn convolve_add_relu(
    input: &Tensor,
    addend: Tensor,
    weight: &Tensor,
    bias: &Tensor,
    geometry: Geometry,
) -> Result<Tensor, TorchError> {
    let Geometry { stride, padding } = geometry;
    // SAFETY: the pointers are of live tensors, and the output is written on success.
    unsafe {
        output(|result| {
            let (input, addend) = (input.as_ptr(), addend.as_ptr());
            assay_convolve_add_relu(input, addend, weight.as_ptr(), bias.as_ptr(), stride, padding, result)
        })
    }
}

/// The same tensor, laid out with its channels innermost: `[n, channels, height, width]` in any case.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// From now on the memory of large CPU tensors is kept for the next ones.
pub fn keep_pages() -> Result<(), TorchError> {
    // SAFETY: it takes nothing, and does its work once.
    unsafe { assay_keep_pages().check() }
}
