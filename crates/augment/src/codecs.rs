//! There and back through a lossy format.

use std::ffi::c_int;

use libwebp_sys as webp;
use turbojpeg_sys as tj;

use imaging::{Limits, Picture, libheif};

/// What we wrote ourselves needs no limits.
const ANY: Limits = Limits { max_pixels: u64::MAX, max_decoded_bytes: u64::MAX };

/// How a JPEG keeps colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// 4:2:0, a quarter of the samples.
    Quarter,
    /// 4:4:4, all of them.
    Full,
}

/// What lossy formats leave of a picture.
///
/// Sides are at most 16,383 pixels, which is all that WebP holds; pictures that decoders give here are far below.
pub trait Codecs {
    /// What is left of it after JPEG at a quality of 1 to 100: baseline, 4:2:0, as libjpeg-turbo writes it by default,
    /// and so OpenCV and Pillow.
    fn through_jpeg(&self, quality: u8) -> Picture;

    /// The same with the colour as it is said.
    fn through_jpeg_with(&self, quality: u8, chroma: Chroma) -> Picture;

    /// What is left of it after AVIF, 4:2:0, at a quality of 0 to 100 as the system's libheif counts it. The same bytes only by the
    /// same libheif; callers have made sure that there is one ([`libheif::encode::avif`]).
    fn through_avif(&self, quality: u8) -> Picture;

    /// What is left of it after lossy WebP at a quality of 0 to 100, as libwebp's simple encoder writes it, and so OpenCV.
    fn through_webp(&self, quality: u8) -> Picture;
}

impl Codecs for Picture {
    fn through_jpeg(&self, quality: u8) -> Picture {
        self.through_jpeg_with(quality, Chroma::Quarter)
    }

    fn through_jpeg_with(&self, quality: u8, chroma: Chroma) -> Picture {
        decoded(&to_jpeg(self, quality, chroma))
    }

    fn through_avif(&self, quality: u8) -> Picture {
        let encoder = libheif::encode::avif().expect("whoever asks for AVIF has made sure of an encoder");
        decoded(
            &encoder.encode(self, quality).expect("libheif writes any picture of such sides unless memory runs out"),
        )
    }

    fn through_webp(&self, quality: u8) -> Picture {
        decoded(&to_webp(self, quality))
    }
}

pub(super) fn to_jpeg(picture: &Picture, quality: u8, chroma: Chroma) -> Vec<u8> {
    let subsampling = match chroma {
        Chroma::Quarter => tj::TJSAMP_TJSAMP_420,
        Chroma::Full => tj::TJSAMP_TJSAMP_444,
    };
    let settings = [
        (tj::TJPARAM_TJPARAM_QUALITY, c_int::from(quality.clamp(1, 100))),
        (tj::TJPARAM_TJPARAM_SUBSAMP, subsampling as c_int),
    ];
    let (width, height) = (picture.width() as c_int, picture.height() as c_int);
    let (mut bytes, mut length) = (std::ptr::null_mut(), 0);
    // SAFETY: the handle is checked, and destroyed once. The pixels are as many as the sides say. libjpeg-turbo
    // allocates the output, which is copied before it is freed, and only where the call says that it is there.
    unsafe {
        let handle = tj::tj3Init(tj::TJINIT_TJINIT_COMPRESS as c_int);
        assert!(!handle.is_null(), "libjpeg-turbo has no memory to begin with");
        for (parameter, value) in settings {
            tj::tj3Set(handle, parameter as c_int, value);
        }
        let format = tj::TJPF_TJPF_RGB as c_int;
        let status =
            tj::tj3Compress8(handle, picture.rgb().as_ptr(), width, 0, height, format, &mut bytes, &mut length);
        let jpeg = (status == 0).then(|| std::slice::from_raw_parts(bytes, length as usize).to_vec());
        tj::tj3Free(bytes.cast());
        tj::tj3Destroy(handle);
        jpeg.expect("libjpeg-turbo writes any picture of such sides unless memory runs out")
    }
}

fn to_webp(picture: &Picture, quality: u8) -> Vec<u8> {
    let (width, height) = (picture.width() as c_int, picture.height() as c_int);
    let mut bytes = std::ptr::null_mut();
    // SAFETY: the pixels are as many as the sides and the stride say. libwebp allocates the output, which is copied
    // before it is freed.
    unsafe {
        let quality = f32::from(quality.min(100));
        let length = webp::WebPEncodeRGB(picture.rgb().as_ptr(), width, height, width * 3, quality, &mut bytes);
        assert!(length > 0, "libwebp writes any picture of such sides unless memory runs out");
        let encoded = std::slice::from_raw_parts(bytes, length).to_vec();
        webp::WebPFree(bytes.cast());
        encoded
    }
}

fn decoded(bytes: &[u8]) -> Picture {
    imaging::window(bytes, usize::MAX, &ANY).expect("what was just encoded can be decoded").picture
}
