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

/// A baseline JPEG of coloured noise over a gradient, as large as a photograph of that size.
pub fn jpeg(width: i32, height: i32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width * 3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            pixels.push(((x + y) / 24) as u8 ^ (state >> 27) as u8);
        }
    }
    let mut bytes = std::ptr::null_mut();
    let mut length = 0;
    // SAFETY: the pixels are width × height × 3 bytes as announced; the library allocates the result, which is
    // copied and freed here.
    unsafe {
        let handle = turbojpeg_sys::tj3Init(turbojpeg_sys::TJINIT_TJINIT_COMPRESS as i32);
        turbojpeg_sys::tj3Set(handle, turbojpeg_sys::TJPARAM_TJPARAM_QUALITY as i32, 85);
        turbojpeg_sys::tj3Set(handle, turbojpeg_sys::TJPARAM_TJPARAM_SUBSAMP as i32, turbojpeg_sys::TJSAMP_TJSAMP_420);
        let (format, pixels) = (turbojpeg_sys::TJPF_TJPF_RGB, pixels.as_ptr());
        let result = turbojpeg_sys::tj3Compress8(handle, pixels, width, 0, height, format, &raw mut bytes, &raw mut length);
        assert_eq!(result, 0);
        let jpeg = std::slice::from_raw_parts(bytes, length as usize).to_vec();
        turbojpeg_sys::tj3Free(bytes.cast());
        turbojpeg_sys::tj3Destroy(handle);
        jpeg
    }
}
