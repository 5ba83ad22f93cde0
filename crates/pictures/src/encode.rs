//! Pixels, written anew: nothing but the sides and the pixels.

use std::ffi::c_int;

use bytes::Bytes;
use turbojpeg_sys as tj;

use crate::trouble::Trouble;

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub bytes: Bytes,
    pub content_type: &'static str,
    pub width: u32,
    pub height: u32,
}

/// Pixels up to which a picture is written without loss.
const LOSSLESS: usize = 1 << 20;
/// The longest side that JPEG has room for in libjpeg.
const LONGEST_OF_JPEG: usize = 65_500;
/// Chroma keeps its resolution beside it.
const QUALITY: c_int = 94;

pub(crate) fn picture(picture: &imaging::Picture) -> Result<Picture, Trouble> {
    let (width, height) = (picture.width(), picture.height());
    let is_png = width * height <= LOSSLESS || width.max(height) > LONGEST_OF_JPEG;
    let written = if is_png { png(picture) } else { jpeg(picture) };
    let bytes = written.map_err(|problem| Trouble::Unreadable(format!("its pixels can't be written: {problem}")))?;
    let content_type = if is_png { "image/png" } else { "image/jpeg" };
    Ok(Picture { bytes: Bytes::from(bytes), content_type, width: width as u32, height: height as u32 })
}

fn png(picture: &imaging::Picture) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width() as u32, picture.height() as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let words = |error: png::EncodingError| error.to_string();
    let mut writer = encoder.write_header().map_err(words)?;
    writer.write_image_data(picture.rgb()).map_err(words)?;
    writer.finish().map_err(words)?;
    Ok(bytes)
}

fn jpeg(picture: &imaging::Picture) -> Result<Vec<u8>, String> {
    let side = |side: usize| c_int::try_from(side).map_err(|error| error.to_string());
    let (width, height) = (side(picture.width())?, side(picture.height())?);
    let settings =
        [(tj::TJPARAM_TJPARAM_QUALITY, QUALITY), (tj::TJPARAM_TJPARAM_SUBSAMP, tj::TJSAMP_TJSAMP_444 as c_int)];
    let (mut bytes, mut length) = (std::ptr::null_mut(), 0);
    // SAFETY: the handle is checked, and destroyed once. The pixels are as many as the sides say. libjpeg-turbo allocates the output,
    // which is copied before it is freed, and only where the call says that it is there.
    unsafe {
        let handle = tj::tj3Init(tj::TJINIT_TJINIT_COMPRESS as c_int);
        if handle.is_null() {
            return Err("libjpeg-turbo has no memory to begin with".into());
        }
        for (parameter, value) in settings {
            tj::tj3Set(handle, parameter as c_int, value);
        }
        let format = tj::TJPF_TJPF_RGB as c_int;
        let status =
            tj::tj3Compress8(handle, picture.rgb().as_ptr(), width, 0, height, format, &mut bytes, &mut length);
        let jpeg = (status == 0).then(|| std::slice::from_raw_parts(bytes, length as usize).to_vec());
        tj::tj3Free(bytes.cast());
        tj::tj3Destroy(handle);
        jpeg.ok_or_else(|| "libjpeg-turbo ran out of memory".into())
    }
}
