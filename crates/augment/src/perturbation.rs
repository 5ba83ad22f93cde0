//! What an evaluation does to every image before it is judged.

use serde::{Deserialize, Serialize};

use super::blocks::shuffled;
use crate::Rng;
use crate::{Codecs, Filters, Geometry, Kernel, Resize};
use imaging::{CROP_SIDE, Crop, Picture, libheif};

/// Longest side of the square that social conditions cut out.
const SOCIAL_SQUARE: usize = 1000;
/// Social conditions compress so many of the images, and with these qualities.
const SOCIAL_SHARE: f64 = 0.75;
const SOCIAL_QUALITY: (usize, usize) = (60, 100);
/// What is done to both classes alike where file histories are to tell nothing.
const EQUAL_SCALE: f64 = 0.65;
const EQUAL_QUALITY: u8 = 85;
/// Side of the blocks that are shuffled, and how much smaller a crop without detail is, in between.
const SHUFFLED_BLOCK: usize = 64;
const LOW_PASS: usize = 4;
/// Resizing is stated in this many parts.
const PARTS: usize = 12;

/// One way to treat an image. Those with a number are points of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Perturbation {
    /// The crop that a worker would take.
    None,
    /// ImagiNet's test under conditions of social networks (arXiv 2407.20020): a random square of side h in
    /// [256, min(short side, 1000)], resized to 256, and of three in four then JPEG or WebP of quality 60 to 100.
    Social,
    /// Both classes with the same file history: scaled by 0.65 with an antialiased Lanczos kernel and compressed as a JPEG of
    /// quality 85; then the crop.
    Equalised,
    /// The crop without its detail: made four times smaller, each pixel the mean of its block, and as large again.
    LowPass,
    /// The crop's blocks of 64 pixels a side in another order: without what it shows.
    Shuffled,
    /// The crop, compressed.
    Jpeg {
        quality: u8,
    },
    Webp {
        quality: u8,
    },
    /// Only where there is an encoder: [`Axis::check`].
    Avif {
        quality: u8,
    },
    /// All sides scaled by so many twelfths; 12 changes nothing.
    Resize {
        twelfths: u8,
    },
    /// Blurred by a Gaussian kernel of so many pixels; 1 changes nothing.
    Blur {
        kernel: u8,
    },
    /// With Gaussian noise of this variance.
    Noise {
        variance: u8,
    },
    /// Only so many pixels of the middle are left; the rest of the crop is filled up by reflection.
    Crop {
        side: u16,
    },
}

impl Perturbation {
    /// What the detector gets to see.
    pub fn apply(self, picture: &Picture, rng: &mut Rng) -> Crop {
        let middle = || picture.centre(CROP_SIDE);
        match self {
            Perturbation::None => picture.to_crop(),
            Perturbation::Social => social(picture, rng).to_crop(),
            Perturbation::Equalised => equalised(picture).to_crop(),
            Perturbation::LowPass => low_pass(&middle()).to_crop(),
            Perturbation::Shuffled => shuffled(&middle(), SHUFFLED_BLOCK, rng).to_crop(),
            Perturbation::Jpeg { quality } => middle().through_jpeg(quality).to_crop(),
            Perturbation::Webp { quality } => middle().through_webp(quality).to_crop(),
            Perturbation::Avif { quality } => middle().through_avif(quality).to_crop(),
            Perturbation::Resize { twelfths } => {
                picture.centre(before_resizing(twelfths)).resized(CROP_SIDE, CROP_SIDE).to_crop()
            }
            Perturbation::Blur { kernel: ..3 } => picture.to_crop(),
            Perturbation::Blur { kernel } => middle().blurred(kernel.into()).to_crop(),
            Perturbation::Noise { variance } => middle().noisy(variance.into(), rng).to_crop(),
            Perturbation::Crop { side } => picture.centre(side.clamp(1, CROP_SIDE as u16).into()).to_crop(),
        }
    }

    /// How much of an image's middle it looks at, in pixels a side: what to decode.
    pub fn window(self) -> u16 {
        match self {
            // The square may lie anywhere; some more than its longest side leaves room for chance, at 3 MB of pixels.
            Perturbation::Social => 1024,
            // So much becomes a crop.
            Perturbation::Equalised => (CROP_SIDE as f64 / EQUAL_SCALE).ceil() as u16 + 2,
            // Even, so that the middle of the window is that of the image.
            Perturbation::Resize { twelfths } => before_resizing(twelfths).next_multiple_of(2) as u16,
            _ => CROP_SIDE as u16,
        }
    }

    /// In words: `social`, `jpeg 80`, `resize 3/12`.
    pub fn name(self) -> String {
        match self {
            Perturbation::None => "none".into(),
            Perturbation::Social => "social".into(),
            Perturbation::Equalised => "equalised".into(),
            Perturbation::LowPass => "low pass 4×".into(),
            Perturbation::Shuffled => "shuffled blocks".into(),
            Perturbation::Jpeg { quality } => format!("jpeg {quality}"),
            Perturbation::Webp { quality } => format!("webp {quality}"),
            Perturbation::Avif { quality } => format!("avif {quality}"),
            Perturbation::Resize { twelfths } => format!("resize {twelfths}/12"),
            Perturbation::Blur { kernel } => format!("blur {kernel}"),
            Perturbation::Noise { variance } => format!("noise {variance}"),
            Perturbation::Crop { side } => format!("crop {side}"),
        }
    }
}

/// What one image meets in a social network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Social {
    /// Of the square that is cut out.
    pub side: usize,
    pub compression: Option<Compression>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compression {
    Jpeg(u8),
    Webp(u8),
}

impl Social {
    /// For an image of this short side.
    pub(super) fn drawn(short_side: usize, rng: &mut Rng) -> Social {
        let side = rng.between(CROP_SIDE, short_side.clamp(CROP_SIDE, SOCIAL_SQUARE));
        let compression = rng.chance(SOCIAL_SHARE).then(|| {
            let by_jpeg = rng.chance(0.5);
            let quality = rng.between(SOCIAL_QUALITY.0, SOCIAL_QUALITY.1) as u8;
            if by_jpeg { Compression::Jpeg(quality) } else { Compression::Webp(quality) }
        });
        Social { side, compression }
    }
}

/// A square of 256 pixels a side.
fn social(picture: &Picture, rng: &mut Rng) -> Picture {
    let Social { side, compression } = Social::drawn(picture.width().min(picture.height()), rng);
    let square = picture.random_square(side, rng).resized(CROP_SIDE, CROP_SIDE);
    match compression {
        None => square,
        Some(Compression::Jpeg(quality)) => square.through_jpeg(quality),
        Some(Compression::Webp(quality)) => square.through_webp(quality),
    }
}

fn low_pass(crop: &Picture) -> Picture {
    let small = CROP_SIDE / LOW_PASS;
    crop.resized_by(small, small, Kernel::Box).resized_by(CROP_SIDE, CROP_SIDE, Kernel::Bicubic)
}

fn equalised(picture: &Picture) -> Picture {
    let scaled = |pixels: usize| ((pixels as f64 * EQUAL_SCALE).round() as usize).max(1);
    let smaller = picture.resized_by(scaled(picture.width()), scaled(picture.height()), Kernel::LanczosAntialiased);
    smaller.through_jpeg(EQUAL_QUALITY)
}

/// Side of the square that becomes a crop.
fn before_resizing(twelfths: u8) -> usize {
    CROP_SIDE * PARTS / usize::from(twelfths).clamp(2, PARTS)
}

/// A row of perturbations of one kind, from none or little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    Jpeg,
    Webp,
    Avif,
    Resize,
    Blur,
    Noise,
    Crop,
}

impl Axis {
    pub const ALL: [Axis; 7] = [Axis::Jpeg, Axis::Webp, Axis::Avif, Axis::Resize, Axis::Blur, Axis::Noise, Axis::Crop];

    /// Whether it can be gone along on this machine; the error says what to install.
    pub fn check(self) -> Result<(), String> {
        if self == Axis::Avif { libheif::encode::avif().map(drop) } else { Ok(()) }
    }

    /// Each with its place on the axis, in the order of the places.
    pub fn points(self) -> Vec<(f64, Perturbation)> {
        let each = |places: &[u8], point: fn(u8) -> Perturbation| {
            places.iter().map(|&place| (f64::from(place), point(place))).collect()
        };
        let qualities: Vec<u8> = (40..=100).step_by(5).collect();
        match self {
            Axis::Jpeg => each(&qualities, |quality| Perturbation::Jpeg { quality }),
            Axis::Webp => each(&qualities, |quality| Perturbation::Webp { quality }),
            Axis::Avif => each(&qualities, |quality| Perturbation::Avif { quality }),
            Axis::Resize => (2..=PARTS as u8)
                .map(|twelfths| (f64::from(twelfths) / PARTS as f64, Perturbation::Resize { twelfths }))
                .collect(),
            Axis::Blur => each(&[1, 3, 5, 7], |kernel| Perturbation::Blur { kernel }),
            Axis::Noise => each(&[0, 3, 6, 10, 20, 40], |variance| Perturbation::Noise { variance }),
            Axis::Crop => {
                [64, 96, 128, 160, 192, 224, 256].map(|side| (f64::from(side), Perturbation::Crop { side })).to_vec()
            }
        }
    }

    /// What is said of the places.
    pub fn unit(self) -> &'static str {
        match self {
            Axis::Jpeg => "JPEG quality",
            Axis::Webp => "WebP quality",
            Axis::Avif => "AVIF quality",
            Axis::Resize => "size, of the original's",
            Axis::Blur => "blur kernel, pixels",
            Axis::Noise => "variance of the noise",
            Axis::Crop => "pixels a side that are left",
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Axis::Jpeg => "jpeg",
            Axis::Webp => "webp",
            Axis::Avif => "avif",
            Axis::Resize => "resize",
            Axis::Blur => "blur",
            Axis::Noise => "noise",
            Axis::Crop => "crop",
        }
    }
}
