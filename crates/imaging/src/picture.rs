//! Pixels of any size, once they are decoded.

use super::crop::{CROP_SIDE, Crop, Window};

/// RGB, 8 bits a channel, rows from the top, channels interleaved; at least one pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// `None` unless there is a pixel, and these are as many bytes as the sides say.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Option<Picture> {
        let fits = width.checked_mul(height)?.checked_mul(3)? == rgb.len() && !rgb.is_empty();
        fits.then_some(Picture { width, height, rgb })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// What the detector sees of it: the very crop that decoding such an image gives.
    pub fn to_crop(&self) -> Crop {
        let window = Window::centre(self.width as u32, self.height as u32, CROP_SIDE);
        window.fill_up(&window.cut(&self.rgb, 0, 0, self.width * 3))
    }
}

impl From<Crop> for Picture {
    fn from(crop: Crop) -> Picture {
        Picture { width: CROP_SIDE, height: CROP_SIDE, rgb: crop.pixels().to_vec() }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_bytes_as_the_sides_say_make_a_picture() {
        assert!(Picture::new(2, 3, vec![0; 18]).is_some());
        assert!(Picture::new(2, 3, vec![0; 17]).is_none());
        assert!(Picture::new(0, 3, vec![]).is_none());
        assert!(Picture::new(usize::MAX, 3, vec![0; 9]).is_none());
    }
}
