//! Bytes of RGB → what the network takes.

use tch::{Kind, TchError, Tensor};

use crate::conv::Placement;

/// ImageNet's mean and deviation of each channel, after division by 255.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Mean and deviation, on the device.
#[derive(Debug)]
pub struct Pixels {
    place: Placement,
    mean: Tensor,
    deviation: Tensor,
}

impl Pixels {
    pub fn new(place: Placement) -> Pixels {
        let channel = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]).to_device(place.device);
        Pixels { place, mean: channel(MEAN), deviation: channel(DEVIATION) }
    }

    /// `[n, 3, side, side]` with channels innermost, of `n` images of `3 × side × side` bytes, channels interleaved; the
    /// bytes cross to the device as they are.
    pub fn of_bytes(&self, bytes: &[u8], side: usize) -> Result<Tensor, TchError> {
        let images = bytes.len() / (3 * side * side);
        let (images, side) = (images as i64, side as i64);
        let images = Tensor::f_from_data_size(bytes, &[images, side, side, 3], Kind::Uint8)?;
        self.normalise(&images.f_to_device(self.place.device)?)
    }

    /// The same of bytes that are on the device, `[n, side, side, 3]`.
    pub fn normalise(&self, bytes: &Tensor) -> Result<Tensor, TchError> {
        let images = bytes.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        images.f_div_scalar(255.0)?.f_sub_(&self.mean)?.f_div_(&self.deviation)?.f_to_kind(self.place.kind)
    }
}
