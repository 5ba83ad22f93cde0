//! Other numbers of pixels.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{Filter, FilterType, ResizeAlg, ResizeOptions, Resizer};

use serde::{Deserialize, Serialize};

use imaging::Picture;

/// How programs scale pictures. An antialiased kernel widens as the picture becomes smaller, so that every pixel of the source
/// counts; the others look at the same few neighbours however much smaller it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    Nearest,
    Bilinear,
    Bicubic,
    /// Over three lobes.
    Lanczos,
    BilinearAntialiased,
    BicubicAntialiased,
    LanczosAntialiased,
    /// The mean of the pixels of the source.
    Box,
}

impl Kernel {
    pub const ALL: [Kernel; 8] = [
        Kernel::Nearest,
        Kernel::Bilinear,
        Kernel::Bicubic,
        Kernel::Lanczos,
        Kernel::BilinearAntialiased,
        Kernel::BicubicAntialiased,
        Kernel::LanczosAntialiased,
        Kernel::Box,
    ];

    fn algorithm(self) -> ResizeAlg {
        match self {
            Kernel::Nearest => ResizeAlg::Nearest,
            Kernel::Bilinear => ResizeAlg::Interpolation(FilterType::Bilinear),
            Kernel::Bicubic => ResizeAlg::Interpolation(FilterType::CatmullRom),
            Kernel::Lanczos => ResizeAlg::Interpolation(custom("lanczos3", lanczos3, 3.0)),
            Kernel::BilinearAntialiased => ResizeAlg::Convolution(FilterType::Bilinear),
            Kernel::BicubicAntialiased => ResizeAlg::Convolution(FilterType::CatmullRom),
            Kernel::LanczosAntialiased => ResizeAlg::Convolution(custom("lanczos3", lanczos3, 3.0)),
            Kernel::Box => ResizeAlg::Convolution(FilterType::Box),
        }
    }
}

/// Other sizes.
pub trait Resize {
    /// Resized as ImagiNet's test set was: by OpenCV's `INTER_LANCZOS4`, whose kernel spans 8 pixels of the source however
    /// much smaller the picture becomes, so that fine detail aliases instead of being averaged away.
    fn resized(&self, width: usize, height: usize) -> Picture;

    /// Resized by another kernel.
    fn resized_by(&self, width: usize, height: usize, kernel: Kernel) -> Picture;
}

impl Resize for Picture {
    fn resized(&self, width: usize, height: usize) -> Picture {
        resized(self, (width, height), opencv())
    }

    fn resized_by(&self, width: usize, height: usize, kernel: Kernel) -> Picture {
        resized(self, (width, height), kernel.algorithm())
    }
}

fn resized(picture: &Picture, (width, height): (usize, usize), algorithm: ResizeAlg) -> Picture {
    let (width, height) = (width.max(1), height.max(1));
    if (width, height) == (picture.width(), picture.height()) {
        return picture.clone();
    }
    let source = TypedImageRef::<U8x3>::from_buffer(picture.width() as u32, picture.height() as u32, picture.rgb())
        .expect("a picture has as many bytes as its sides say");
    let mut rgb = vec![0; width * height * 3];
    let mut resized = TypedImage::<U8x3>::from_buffer(width as u32, height as u32, &mut rgb)
        .expect("there are as many bytes as the sides say");
    // By type: chosen at run time, the code for every other kind of pixel would be compiled too, for two thirds of a minute.
    let resizing = Resizer::new().resize_typed(&source, &mut resized, &ResizeOptions::new().resize_alg(algorithm));
    resizing.expect("the sides are above zero");
    Picture::new(width, height, rgb).expect("it was made with these sides")
}

fn opencv() -> ResizeAlg {
    ResizeAlg::Interpolation(custom("lanczos4", lanczos4, 4.0))
}

fn custom(name: &'static str, kernel: fn(f64) -> f64, reach: f64) -> FilterType {
    FilterType::Custom(Filter::new(name, kernel, reach).expect("the kernel has a width"))
}

/// Lanczos' window over four lobes: sinc(x) · sinc(x/4).
fn lanczos4(x: f64) -> f64 {
    if x.abs() < 4.0 { sinc(x) * sinc(x / 4.0) } else { 0.0 }
}

/// The same over three.
fn lanczos3(x: f64) -> f64 {
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
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
        let source = TypedImageRef::<U8x3>::from_buffer(300, 200, &rgb).unwrap();
        let resized = |extensions, algorithm: ResizeAlg| {
            let mut resized = TypedImage::<U8x3>::new(127, 233);
            let mut resizer = Resizer::new();
            // SAFETY: only what this processor has is asked for.
            unsafe { resizer.set_cpu_extensions(extensions) };
            resizer.resize_typed(&source, &mut resized, &ResizeOptions::new().resize_alg(algorithm)).unwrap();
            resized.pixels().to_vec()
        };
        for algorithm in Kernel::ALL.map(Kernel::algorithm).into_iter().chain([opencv()]) {
            let plain = resized(CpuExtensions::None, algorithm);
            #[cfg(target_arch = "x86_64")]
            for extensions in [CpuExtensions::Sse4_1, CpuExtensions::Avx2] {
                if extensions.is_supported() {
                    assert!(resized(extensions, algorithm) == plain, "{extensions:?} {algorithm:?}");
                }
            }
            assert!(resized(Resizer::new().cpu_extensions(), algorithm) == plain);
        }
    }

    #[test]
    fn only_antialiased_kernels_and_the_box_average_fine_detail_away() {
        // Columns of black and white by turns: their mean is grey.
        let stripes: Vec<u8> = (0..160 * 160).flat_map(|n| [(n % 2 * 255) as u8; 3]).collect();
        let stripes = Picture::new(160, 160, stripes).unwrap();
        for kernel in Kernel::ALL {
            let small = stripes.resized_by(40, 40, kernel);
            let off = small.rgb().iter().map(|level| level.abs_diff(127)).max().unwrap();
            let averages = matches!(
                kernel,
                Kernel::BilinearAntialiased | Kernel::BicubicAntialiased | Kernel::LanczosAntialiased | Kernel::Box
            );
            let aliases = matches!(kernel, Kernel::Nearest);
            assert!(!averages || off < 20, "{kernel:?} {off}");
            assert!(!aliases || off > 100, "{kernel:?} {off}");
        }
    }

    #[test]
    fn the_sine_is_the_sine() {
        for n in -400..=400 {
            let x = f64::from(n) / 100.0;
            assert!((sine_of_turns(x) - (std::f64::consts::PI * x).sin()).abs() < 1e-14, "{x}");
        }
    }
}
