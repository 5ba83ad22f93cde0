//! What tests of the packages with tensors share.

use tch::{Kind, Tensor};

/// Numbers from −1 to 1 without much of a pattern.
pub fn wave(shape: &[i64], phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|place| (place as f64 * 0.7311 + phase).sin() as f32).collect();
    Tensor::from_slice(&numbers).view(shape)
}

/// The largest difference between two tensors.
pub fn furthest(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    f64::try_from((left - right).abs().max().to_kind(Kind::Double)).expect("it is one number")
}
