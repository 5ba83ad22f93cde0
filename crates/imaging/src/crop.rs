//! The geometry of the crop: the middle of the image, and what fills up an image that is too small.

/// Side of the crop, in pixels (ImagiNet, arXiv 2407.20020, section 4).
pub const CROP_SIDE: usize = 256;

/// 256×256 RGB, 8 bits a channel, rows from the top, channels interleaved.
#[derive(Clone, PartialEq, Eq)]
pub struct Crop(Box<[u8]>);

impl Crop {
    pub const BYTES: usize = CROP_SIDE * CROP_SIDE * 3;

    /// All black.
    pub fn blank() -> Crop {
        Crop(vec![0; Self::BYTES].into_boxed_slice())
    }

    /// `None` unless these are [`Crop::BYTES`] bytes.
    pub fn from_pixels(pixels: Vec<u8>) -> Option<Crop> {
        (pixels.len() == Self::BYTES).then(|| Crop(pixels.into_boxed_slice()))
    }

    pub fn pixels(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Crop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Crop")
    }
}

/// The middle of an image: at most so many pixels a side, in full where the image is smaller. The crop is made of that
/// of [`CROP_SIDE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Window {
    pub(crate) fn centre(image_width: u32, image_height: u32, side: usize) -> Window {
        let (width, height) = (image_width as usize, image_height as usize);
        Window {
            left: width.saturating_sub(side) / 2,
            top: height.saturating_sub(side) / 2,
            width: width.min(side),
            height: height.min(side),
        }
    }

    pub(crate) fn right(&self) -> usize {
        self.left + self.width
    }

    pub(crate) fn bottom(&self) -> usize {
        self.top + self.height
    }

    /// What lies in both.
    pub(crate) fn overlap(&self, other: &Window) -> Option<Window> {
        let (left, top) = (self.left.max(other.left), self.top.max(other.top));
        let (right, bottom) = (self.right().min(other.right()), self.bottom().min(other.bottom()));
        (left < right && top < bottom).then(|| Window { left, top, width: right - left, height: bottom - top })
    }

    /// Bytes of its pixels.
    pub(crate) fn bytes(&self) -> usize {
        self.width * self.height * 3
    }

    pub(crate) fn is_smaller_than_crop(&self) -> bool {
        self.width < CROP_SIDE || self.height < CROP_SIDE
    }

    /// Cuts the window out of the pixels of a larger region whose corner lies at (`left`, `top`) of the image and
    /// whose rows take `stride` bytes.
    pub(crate) fn cut(&self, region: &[u8], left: usize, top: usize, stride: usize) -> Vec<u8> {
        self.cut_of(3, region, left, top, stride)
    }

    /// Of pixels of so many bytes.
    pub(crate) fn cut_of(&self, pixel: usize, region: &[u8], left: usize, top: usize, stride: usize) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(self.width * self.height * pixel);
        for y in self.top - top..self.bottom() - top {
            let start = y * stride + (self.left - left) * pixel;
            pixels.extend_from_slice(&region[start..start + self.width * pixel]);
        }
        pixels
    }

    /// The crop: a short side is filled up by reflection about its border pixels, which are not repeated
    /// (…2 1 0 1 2…, OpenCV's reflect-101), half of it before and the odd pixel behind.
    pub(crate) fn fill_up(&self, pixels: &[u8]) -> Crop {
        if !self.is_smaller_than_crop() {
            return Crop(pixels.into());
        }
        let columns = sources(self.width);
        let mut wide = Vec::with_capacity(self.height * CROP_SIDE * 3);
        for row in pixels.chunks_exact(self.width * 3) {
            for column in columns {
                wide.extend_from_slice(&row[column * 3..column * 3 + 3]);
            }
        }
        let mut crop = Vec::with_capacity(Crop::BYTES);
        for row in sources(self.height) {
            crop.extend_from_slice(&wide[row * CROP_SIDE * 3..(row + 1) * CROP_SIDE * 3]);
        }
        Crop(crop.into_boxed_slice())
    }
}

/// For each place of the crop's side, the place of the image's side that fills it.
fn sources(side: usize) -> [usize; CROP_SIDE] {
    let before = (CROP_SIDE - side) / 2;
    // Reflection goes there and back: it repeats after this many pixels, a single pixel after one.
    let period = (2 * (side - 1)).max(1);
    std::array::from_fn(|place| {
        let step = (place + period * before - before) % period;
        step.min(period - step)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// OpenCV's definition: bounce off the borders until inside.
    fn bounced(mut place: isize, side: isize) -> usize {
        if side == 1 {
            return 0;
        }
        while !(0..side).contains(&place) {
            place = if place < 0 { -place } else { 2 * (side - 1) - place };
        }
        place as usize
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_crop_is_what_padding_the_whole_image_and_cutting_gives(width in 1u32..600, height in 1u32..600) {
            let at = |x: usize, y: usize| [x as u8, y as u8, (x >> 8) as u8 | ((y >> 8) as u8 * 16)];
            let window = Window::centre(width, height, CROP_SIDE);
            let mut pixels = Vec::new();
            for y in window.top..window.bottom() {
                for x in window.left..window.right() {
                    pixels.extend(at(x, y));
                }
            }
            let crop = window.fill_up(&pixels);

            let (width, height) = (width as isize, height as isize);
            let padded = |side: isize| (side.max(256), (256 - side).max(0) / 2);
            let ((padded_width, left), (padded_height, top)) = (padded(width), padded(height));
            let (x0, y0) = ((padded_width - 256) / 2, (padded_height - 256) / 2);
            for y in 0..256 {
                for x in 0..256 {
                    let want = at(bounced(x0 + x - left, width), bounced(y0 + y - top, height));
                    let place = (y as usize * 256 + x as usize) * 3;
                    prop_assert_eq!(&crop.pixels()[place..place + 3], &want);
                }
            }
        }
    }

    #[test]
    fn a_short_side_is_reflected_without_repeating_its_border() {
        // 3 pixels: 126 before, 127 behind.
        let places = sources(3);
        assert_eq!(places[122..133], [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(sources(1), [0; 256]);
        assert_eq!(sources(256), std::array::from_fn(|place| place));
        assert_eq!(sources(255)[255], 253);
    }

    #[test]
    fn only_pixels_for_a_whole_crop_make_one() {
        assert!(Crop::from_pixels(vec![7; Crop::BYTES]).is_some());
        assert!(Crop::from_pixels(vec![7; Crop::BYTES - 1]).is_none());
        assert_eq!(Crop::blank().pixels().len(), Crop::BYTES);
    }
}
