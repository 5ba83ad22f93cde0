//! Other sizes by other kernels, as programs that people use scale pictures.

use serde::{Deserialize, Serialize};

use super::resize::{Kernel, Resize};
use crate::Rng;
use imaging::Picture;

/// `[augmentation.scale]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// Share of images.
    pub share: f64,
    /// By how much; both ends included. A picture never becomes smaller than the crop because of it.
    pub factor: [f64; 2],
    /// All alike.
    pub kernels: Vec<Kernel>,
}

impl Default for Scale {
    fn default() -> Self {
        Scale { share: 0.5, factor: [0.5, 1.5], kernels: Kernel::ALL.to_vec() }
    }
}

impl Scale {
    pub(super) fn validate(&self) -> Result<(), String> {
        let [low, high] = self.factor;
        if !(0.05 <= low && low <= high && high <= 4.0) {
            return Err(format!("augmentation.scale.factor = [{low}, {high}] must be in order between 0.05 and 4"));
        }
        if self.kernels.is_empty() {
            return Err("augmentation.scale.kernels must name at least one kernel".into());
        }
        Ok(())
    }

    /// At least `side` pixels wide and high, unless it was smaller before.
    pub(super) fn apply(&self, picture: &Picture, side: usize, rng: &mut Rng) -> Picture {
        let [low, high] = self.factor;
        let wanted = low + (high - low) * rng.unit();
        let kernel = self.kernels[rng.below(self.kernels.len())];
        let (width, height) = (picture.width(), picture.height());
        let short = width.min(height);
        let least = (side as f64 / short as f64).min(1.0);
        let factor = wanted.max(least);
        let scaled = |pixels: usize| ((pixels as f64 * factor).round() as usize).max(short.min(side)).max(1);
        picture.resized_by(scaled(width), scaled(height), kernel)
    }
}
