//! Blur, noise, median and sharpening.

use crate::Rng;
use imaging::Picture;

/// Gaussian kernels by their side, as OpenCV computes them where no deviation is given (0.8, 1.1 and 1.4 pixels): weights
/// in 64ths.
const KERNELS: [(usize, &[u32]); 3] = [(3, &[16, 32, 16]), (5, &[4, 16, 24, 16, 4]), (7, &[2, 7, 14, 18, 14, 7, 2])];

/// What programs do to neighbouring pixels; borders are reflected.
pub trait Filters {
    /// Blurred by a Gaussian kernel of 3, 5 or 7 pixels (the nearest of them), reflecting at the border.
    fn blurred(&self, kernel: usize) -> Picture;

    /// With Gaussian noise of this variance (in squared levels of 0 to 255) on every channel of every pixel.
    fn noisy(&self, variance: f64, rng: &mut Rng) -> Picture;

    /// The median of the nine pixels around each, channel by channel.
    fn median(&self) -> Picture;

    /// Sharpened as Pillow's `SHARPEN` does it: twice each pixel, less an eighth of each of its eight neighbours.
    fn sharpened(&self) -> Picture;
}

impl Filters for Picture {
    fn blurred(&self, kernel: usize) -> Picture {
        let (side, weights) = KERNELS[(kernel.clamp(3, 7) - 3) / 2];
        let (width, height, rgb) = (self.width(), self.height(), self.rgb());
        let reach = side / 2;
        let columns: Vec<usize> = (0..width + 2 * reach).map(|x| 3 * reflected(x, reach, width)).collect();
        let mut across = Vec::with_capacity(rgb.len());
        for row in rgb.chunks_exact(width * 3) {
            for x in 0..width {
                for channel in 0..3 {
                    let taps = weights.iter().zip(&columns[x..x + side]);
                    across.push(taps.map(|(weight, column)| weight * u32::from(row[column + channel])).sum::<u32>());
                }
            }
        }
        let mut blurred = Vec::with_capacity(rgb.len());
        let mut sums = vec![0_u32; width * 3];
        for y in 0..height {
            sums.fill(0);
            for (tap, weight) in weights.iter().enumerate() {
                let from = reflected(y + tap, reach, height) * width * 3;
                let row = &across[from..from + width * 3];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
            // 64ths of 64ths, rounded.
            blurred.extend(sums.iter().map(|sum| ((sum + 2048) >> 12) as u8));
        }
        Picture::new(width, height, blurred).expect("it has as many pixels as before")
    }

    fn noisy(&self, variance: f64, rng: &mut Rng) -> Picture {
        let deviation = variance.max(0.0).sqrt();
        let noisy = self.rgb().iter().map(|&level| (f64::from(level) + deviation * rng.normal()).round() as u8);
        Picture::new(self.width(), self.height(), noisy.collect()).expect("it has as many pixels as before")
    }

    fn median(&self) -> Picture {
        by_neighbours(self, |mut nine| {
            nine.sort_unstable();
            nine[4]
        })
    }

    fn sharpened(&self) -> Picture {
        by_neighbours(self, |nine| {
            let all: i32 = nine.iter().map(|&level| i32::from(level)).sum();
            // (32 · centre − 2 · each neighbour) / 16, rounded.
            ((34 * i32::from(nine[4]) - 2 * all + 8) >> 4).clamp(0, 255) as u8
        })
    }
}

/// Each value from the nine around it, rows from the top.
fn by_neighbours(picture: &Picture, value: impl Fn([u8; 9]) -> u8) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let columns: Vec<usize> = (0..width + 2).map(|x| 3 * reflected(x, 1, width)).collect();
    let row = |y: usize| {
        let from = reflected(y, 1, height) * width * 3;
        &picture.rgb()[from..from + width * 3]
    };
    let mut rgb = Vec::with_capacity(picture.rgb().len());
    for y in 0..height {
        let rows = [row(y), row(y + 1), row(y + 2)];
        for x in 0..width {
            for channel in 0..3 {
                rgb.push(value(std::array::from_fn(|place| rows[place / 3][columns[x + place % 3] + channel])));
            }
        }
    }
    Picture::new(width, height, rgb).expect("it has as many pixels as before")
}

/// `place - reach`, bounced off the borders of a side until inside.
fn reflected(place: usize, reach: usize, side: usize) -> usize {
    let period = (2 * (side - 1)).max(1);
    let step = (place + period * reach - reach) % period;
    step.min(period - step)
}
