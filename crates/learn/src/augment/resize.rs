//! Other numbers of pixels.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{Filter, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use imaging::Picture;

/// Other sizes.
pub trait Resize {
    /// Resized as ImagiNet's test set was: by OpenCV's `INTER_LANCZOS4`, whose kernel spans 8 pixels of the source however
    /// much smaller the picture becomes, so that fine detail aliases instead of being averaged away.
    fn resized(&self, width: usize, height: usize) -> Picture;
}

impl Resize for Picture {
    fn resized(&self, width: usize, height: usize) -> Picture {
        let (width, height) = (width.max(1), height.max(1));
        if (width, height) == (self.width(), self.height()) {
            return self.clone();
        }
        let source = ImageRef::new(self.width() as u32, self.height() as u32, self.rgb(), PixelType::U8x3)
            .expect("a picture has as many bytes as its sides say");
        let mut resized = Image::new(width as u32, height as u32, PixelType::U8x3);
        let resizing = Resizer::new().resize(&source, &mut resized, &options());
        resizing.expect("both pictures are RGB of 8 bits");
        Picture::new(width, height, resized.into_vec()).expect("it was made with these sides")
    }
}

fn options() -> ResizeOptions {
    let filter = Filter::new("lanczos4", lanczos4, 4.0).expect("the kernel has a width");
    ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Custom(filter)))
}

/// Lanczos' window over four lobes: sinc(x) · sinc(x/4).
fn lanczos4(x: f64) -> f64 {
    if x.abs() < 4.0 { sinc(x) * sinc(x / 4.0) } else { 0.0 }
}

/// sin(πx) / πx
fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { sine_of_turns(x) / (std::f64::consts::PI * x) }
}

/// sin(πx) for small |x|, by additions and multiplications alone: the library's sine may differ in its last bit from one
/// machine to the next.
fn sine_of_turns(x: f64) -> f64 {
    let nearest = x.round();
    let rest = (x - nearest) * std::f64::consts::PI;
    let (mut term, mut sum, square) = (rest, rest, rest * rest);
    for n in 1..12 {
        term *= -square / f64::from((2 * n) * (2 * n + 1));
        sum += term;
    }
    if nearest.rem_euclid(2.0) == 0.0 { sum } else { -sum }
}

#[cfg(test)]
mod tests {
    use fast_image_resize::CpuExtensions;

    use super::*;

    #[test]
    fn every_processor_gives_the_same_pixels() {
        let rgb: Vec<u8> = (0..300_u32 * 200 * 3).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let source = ImageRef::new(300, 200, &rgb, PixelType::U8x3).unwrap();
        let resized = |extensions| {
            let mut resized = Image::new(127, 233, PixelType::U8x3);
            let mut resizer = Resizer::new();
            // SAFETY: only what this processor has is asked for.
            unsafe { resizer.set_cpu_extensions(extensions) };
            resizer.resize(&source, &mut resized, &options()).unwrap();
            resized.into_vec()
        };
        let plain = resized(CpuExtensions::None);
        #[cfg(target_arch = "x86_64")]
        for extensions in [CpuExtensions::Sse4_1, CpuExtensions::Avx2] {
            if extensions.is_supported() {
                assert!(resized(extensions) == plain, "{extensions:?}");
            }
        }
        assert!(resized(Resizer::new().cpu_extensions()) == plain);
    }

    #[test]
    fn the_sine_is_the_sine() {
        for n in -400..=400 {
            let x = f64::from(n) / 100.0;
            assert!((sine_of_turns(x) - (std::f64::consts::PI * x).sin()).abs() < 1e-14, "{x}");
        }
    }
}
