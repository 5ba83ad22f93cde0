//! What was judged of an image, and where that lies in the image as it is shown.

use imaging::{Decoded, Place};

use crate::encode::{self, Picture};
use crate::trouble::Trouble;

/// An image as it is shown: turned as viewers turn it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Pixels at [`crate::Kind::Actual`].
    pub width: u32,
    pub height: u32,
    /// In the order of [`crate::Kind::Crop`].
    pub crops: Vec<CropPlace>,
    /// Of the object's bytes, lower-case hexadecimal.
    pub sha256: String,
}

/// Where a crop lies, in pixels of the image as it is shown. Where a side is shorter than the crop, it is all of that side: the rest of the
/// crop was filled up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CropPlace {
    /// Of an animation, the number of its frame; the first is 1.
    pub frame: Option<u32>,
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

pub(crate) struct View {
    pub(crate) outline: Outline,
    /// As they were judged.
    pub(crate) crops: Vec<Picture>,
}

impl View {
    pub(crate) fn of(decoded: &Decoded, sha256: String) -> Result<View, Trouble> {
        let crops = [&decoded.crop].into_iter().chain(&decoded.later);
        let pictures = crops.map(|crop| encode::picture(&crop.clone().into())).collect::<Result<Vec<_>, _>>()?;
        let (stored_width, stored_height) = (decoded.width, decoded.height);
        let place = Place::of_crop(stored_width, stored_height);
        let place = decoded.orientation.shown(place, stored_width, stored_height);
        let shown = decoded.orientation.sides(stored_width, stored_height);
        let (width, height) = imaging::fit(shown.0, shown.1, u32::MAX);
        let (x, across) = scaled(place.x, place.width, shown.0, width);
        let (y, down) = scaled(place.y, place.height, shown.1, height);
        let crop =
            |number: usize| CropPlace { frame: decoded.judged.get(number).copied(), x, y, width: across, height: down };
        let crops = (0..pictures.len()).map(crop).collect();
        Ok(View { outline: Outline { width, height, crops, sha256 }, crops: pictures })
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn cost(&self) -> usize {
        self.crops.iter().map(|picture| picture.bytes.len()).sum()
    }
}

/// Where a stretch of a side lies once the side is scaled: every pixel that it touches.
fn scaled(from: u32, length: u32, side: u32, to: u32) -> (u32, u32) {
    let (from, length, side, to) = (u64::from(from), u64::from(length), u64::from(side), u64::from(to));
    let start = from * to / side;
    let end = ((from + length) * to).div_ceil(side);
    (start as u32, (end - start) as u32)
}
