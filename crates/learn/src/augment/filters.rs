//! Blur and noise.

use crate::augment::Dice;
use imaging::Picture;

/// Gaussian kernels by their side, as OpenCV computes them where no deviation is given (0.8, 1.1 and 1.4 pixels): weights
/// in 64ths.
const KERNELS: [(usize, &[u32]); 3] = [(3, &[16, 32, 16]), (5, &[4, 16, 24, 16, 4]), (7, &[2, 7, 14, 18, 14, 7, 2])];

/// Blur and noise.
pub trait Filters {
    /// Blurred by a Gaussian kernel of 3, 5 or 7 pixels (the nearest of them), reflecting at the border.
    fn blurred(&self, kernel: usize) -> Picture;

    /// With Gaussian noise of this variance (in squared levels of 0 to 255) on every channel of every pixel.
    fn noisy(&self, variance: f64, dice: &mut Dice) -> Picture;
}

impl Filters for Picture {
    fn blurred(&self, kernel: usize) -> Picture {
        let (side, weights) = KERNELS[(kernel.clamp(3, 7) - 3) / 2];
        let (width, height, rgb) = (self.width(), self.height(), self.rgb());
        let reach = side / 2;
        let across: Vec<u32> = (0..rgb.len())
            .map(|place| {
                let (pixel, channel) = (place / 3, place % 3);
                let (y, x) = (pixel / width, pixel % width);
                let taps = weights.iter().enumerate();
                let sample = |tap: usize| u32::from(rgb[(y * width + reflected(x + tap, reach, width)) * 3 + channel]);
                taps.map(|(tap, weight)| weight * sample(tap)).sum()
            })
            .collect();
        let blurred = (0..rgb.len())
            .map(|place| {
                let (y, rest) = (place / (width * 3), place % (width * 3));
                let taps = weights.iter().enumerate();
                let sample = |tap: usize| across[reflected(y + tap, reach, height) * width * 3 + rest];
                let sum: u32 = taps.map(|(tap, weight)| weight * sample(tap)).sum();
                // 64ths of 64ths, rounded.
                ((sum + 2048) >> 12) as u8
            })
            .collect();
        Picture::new(width, height, blurred).expect("it has as many pixels as before")
    }

    fn noisy(&self, variance: f64, dice: &mut Dice) -> Picture {
        let deviation = variance.max(0.0).sqrt();
        let noisy = self.rgb().iter().map(|&level| (f64::from(level) + deviation * dice.normal()).round() as u8);
        Picture::new(self.width(), self.height(), noisy.collect()).expect("it has as many pixels as before")
    }
}

/// `place - reach`, bounced off the borders of a side until inside.
fn reflected(place: usize, reach: usize, side: usize) -> usize {
    let period = (2 * (side - 1)).max(1);
    let step = (place + period * reach - reach) % period;
    step.min(period - step)
}
