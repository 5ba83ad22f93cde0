//! Brightness, contrast and saturation.

use serde::{Deserialize, Serialize};

use crate::Rng;
use imaging::Picture;

/// `[augmentation.colour]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Colour {
    /// Share of crops whose brightness, contrast and saturation change, each by a factor of its own.
    pub share: f64,
    /// How far the factors lie from 1, at most.
    pub range: f64,
    /// Share of crops that lose their colour.
    pub grey: f64,
}

impl Default for Colour {
    fn default() -> Self {
        Colour { share: 0.2, range: 0.2, grey: 0.05 }
    }
}

impl Colour {
    pub(super) fn shares(&self) -> [(&'static str, f64); 3] {
        [("colour.share", self.share), ("colour.range", self.range), ("colour.grey", self.grey)]
    }

    pub(super) fn apply(&self, crop: Picture, rng: &mut Rng) -> Picture {
        let mut factor = || (1.0 + self.range * (2.0 * rng.unit() - 1.0)) as f32;
        let factors = Factors { brightness: factor(), contrast: factor(), saturation: factor() };
        let changed = if rng.chance(self.share) { factors.apply(&crop) } else { crop };
        let grey = Factors { brightness: 1.0, contrast: 1.0, saturation: 0.0 };
        if rng.chance(self.grey) { grey.apply(&changed) } else { changed }
    }
}

/// 1 changes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors {
    pub brightness: f32,
    /// About the mean of the picture.
    pub contrast: f32,
    /// About each pixel's own grey.
    pub saturation: f32,
}

impl Factors {
    pub(super) fn apply(self, picture: &Picture) -> Picture {
        let pixels = picture.rgb().as_chunks::<3>().0;
        let mean = pixels.iter().map(|&pixel| u64::from(grey(pixel))).sum::<u64>() as f64 / pixels.len() as f64;
        let mean = mean as f32;
        let change = |pixel: &[u8; 3]| {
            let own = f32::from(grey(*pixel));
            pixel.map(|level| {
                let saturated = own + self.saturation * (f32::from(level) - own);
                let contrasted = mean + self.contrast * (saturated - mean);
                (self.brightness * contrasted).round() as u8
            })
        };
        let rgb = pixels.iter().flat_map(change).collect();
        Picture::new(picture.width(), picture.height(), rgb).expect("it has as many pixels as before")
    }
}

/// ITU-R BT.601, in 256ths.
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(factors: Factors, rgb: [u8; 6]) -> Vec<u8> {
        factors.apply(&Picture::new(2, 1, rgb.to_vec()).unwrap()).into_rgb()
    }

    #[test]
    fn each_factor_does_what_its_name_says_and_1_changes_nothing() {
        let same = Factors { brightness: 1.0, contrast: 1.0, saturation: 1.0 };
        let rgb = [10, 20, 30, 200, 100, 50];
        assert_eq!(changed(same, rgb), rgb);
        assert_eq!(changed(Factors { brightness: 1.1, ..same }, rgb), [11, 22, 33, 220, 110, 55]);
        assert_eq!(changed(Factors { saturation: 0.0, ..same }, [255, 0, 0, 0, 0, 255]), [77, 77, 77, 29, 29, 29]);
        // Greys of 50 and 150 lie 50 from their mean.
        assert_eq!(
            changed(Factors { contrast: 0.8, ..same }, [50, 50, 50, 150, 150, 150]),
            [60, 60, 60, 140, 140, 140]
        );
        assert_eq!(changed(Factors { brightness: 3.0, ..same }, [100; 6]), [255; 6]);
    }
}
