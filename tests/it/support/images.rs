//! Small images made on the spot.

use std::io::Cursor;

use assay::imaging::Crop;
use image::{ImageFormat, Rgb, RgbImage};

/// The shade that a scripted detector chokes on.
pub const POISON: u8 = 66;

/// A square of one shade.
pub fn bmp(side: u32, shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(side, side, Rgb([shade; 3])).write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    bytes.into_inner()
}

pub fn is_poison(crop: &Crop) -> bool {
    crop.pixels()[0] == POISON
}
