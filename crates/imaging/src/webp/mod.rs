//! WebP by libwebp: the frame on its canvas, and of it only the middle; of an animation further frames.
//!
//! libwebp ends at the last row that is asked for. The region has a margin of two pixels, so that chroma upsampling
//! sees the neighbours that it would see in the whole image.

mod frames;

use std::mem::MaybeUninit;

use libwebp_sys as webp;

use frames::Frames;

use super::animation::Animation;
use super::crop::Window;
use super::{DecodeError, DecoderOutput, Format, Limits, Quality};

/// `None` for a still image.
pub(super) fn animation<'a>(bytes: &'a [u8], limits: &Limits) -> Option<Box<dyn Animation + 'a>> {
    Some(Box::new(Frames::of(bytes, limits)?))
}

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let canvas = features(bytes, limits)?;
    limits.admit(Format::Webp, canvas.width as u32, canvas.height as u32)?;
    let file = Container::open(bytes, false)?;
    let frame = file.frame(0, limits)?;
    limits.admit(Format::Webp, frame.width as u32, frame.height as u32)?;
    limits.afford(frame.decoding_bytes())?;

    let (width, height) = (file.canvas_width, file.canvas_height);
    limits.admit(Format::Webp, width, height)?;
    let window = Window::centre(width, height, side);
    // Where the frame does not cover the canvas, it is transparent black.
    let mut pixels = vec![0; window.bytes()];
    if let Some(overlap) = frame.place().overlap(&window) {
        let part = Window { left: overlap.left - frame.left, top: overlap.top - frame.top, ..overlap };
        let decoded = frame.decode(&part, Channels::Rgb, limits)?;
        let row_bytes = part.width * 3;
        for (y, row) in decoded.chunks_exact(row_bytes).enumerate() {
            let place = ((overlap.top + y - window.top) * window.width + overlap.left - window.left) * 3;
            pixels[place..place + row_bytes].copy_from_slice(row);
        }
    }

    let mut quality = Vec::new();
    if canvas.has_alpha != 0 || frame.has_alpha {
        quality.push(Quality::Transparent);
    }
    Ok(DecoderOutput { width, height, window: pixels, quality })
}

fn features(bytes: &[u8], limits: &Limits) -> Result<webp::WebPBitstreamFeatures, DecodeError> {
    let mut features = MaybeUninit::zeroed();
    // SAFETY: pointer and length are those of one slice; the answer has room, and all zeros is a value of it.
    let (status, features) = unsafe {
        let status = webp::WebPGetFeatures(bytes.as_ptr(), bytes.len(), features.as_mut_ptr());
        (status, features.assume_init())
    };
    accept(status, limits)?;
    Ok(features)
}

/// `limits` are those that libwebp could not keep to: it runs out of memory only where the process is held to them.
fn accept(status: webp::VP8StatusCode, limits: &Limits) -> Result<(), DecodeError> {
    use webp::VP8StatusCode::*;
    Err(Format::Webp.damaged(match status {
        VP8_STATUS_OK => return Ok(()),
        VP8_STATUS_OUT_OF_MEMORY => {
            // libwebp does not say how much it wanted.
            let limit = limits.max_decoded_bytes;
            return Err(DecodeError::TooManyDecodedBytes { bytes: limit.saturating_add(1), limit });
        }
        VP8_STATUS_UNSUPPORTED_FEATURE => return Err(Format::Webp.unsupported("libwebp does not know a feature of it")),
        VP8_STATUS_SUSPENDED | VP8_STATUS_NOT_ENOUGH_DATA => "it is cut off",
        VP8_STATUS_INVALID_PARAM | VP8_STATUS_BITSTREAM_ERROR | VP8_STATUS_USER_ABORT => "its bitstream is corrupt",
    }))
}

/// The file, taken apart into frames.
struct Container<'a> {
    demuxer: *mut webp::WebPDemuxer,
    canvas_width: u32,
    canvas_height: u32,
    frames: u32,
    bytes: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Container<'a> {
    /// Refuses a file that is cut off anywhere, unless `as_far_as_it_goes`.
    fn open(bytes: &'a [u8], as_far_as_it_goes: bool) -> Result<Container<'a>, DecodeError> {
        let data = webp::WebPData { bytes: bytes.as_ptr(), size: bytes.len() };
        // libwebp wants to tell how far it came where it may come less far.
        let mut state = webp::WebPDemuxState::WEBP_DEMUX_PARSE_ERROR;
        // SAFETY: the demuxer points into `bytes`, which the lifetime keeps alive; null is checked; the state has room.
        let demuxer = unsafe {
            webp::WebPDemuxInternal(&data, as_far_as_it_goes.into(), &mut state, webp::WebPGetDemuxABIVersion())
        };
        if demuxer.is_null() {
            return Err(Format::Webp.damaged("it is cut off, or its chunks contradict one another"));
        }
        // SAFETY: the demuxer is alive.
        let get = |feature| unsafe { webp::WebPDemuxGetI(demuxer, feature) };
        Ok(Container {
            demuxer,
            canvas_width: get(webp::WebPFormatFeature::WEBP_FF_CANVAS_WIDTH),
            canvas_height: get(webp::WebPFormatFeature::WEBP_FF_CANVAS_HEIGHT),
            frames: get(webp::WebPFormatFeature::WEBP_FF_FRAME_COUNT),
            bytes: std::marker::PhantomData,
        })
    }

    fn frame(&self, number: u32, limits: &Limits) -> Result<Frame<'a>, DecodeError> {
        let mut iterator = MaybeUninit::<webp::WebPIterator>::zeroed();
        // SAFETY: the demuxer is alive, and the iterator has room; if libwebp answers 1, it is filled in, and its
        // fragment is a part of the bytes that the container was opened with. Releasing it frees nothing of those.
        let (iterator, data) = unsafe {
            // 0 would be the last one.
            if webp::WebPDemuxGetFrame(self.demuxer, number as i32 + 1, iterator.as_mut_ptr()) == 0 {
                return Err(Format::Webp.damaged("it has no frame"));
            }
            let mut iterator = iterator.assume_init();
            let data = std::slice::from_raw_parts(iterator.fragment.bytes, iterator.fragment.size);
            webp::WebPDemuxReleaseIterator(&mut iterator);
            (iterator, data)
        };
        let features = features(data, limits)?;
        Ok(Frame {
            data,
            left: iterator.x_offset as usize,
            top: iterator.y_offset as usize,
            width: features.width as usize,
            height: features.height as usize,
            has_alpha: iterator.has_alpha != 0 || features.has_alpha != 0,
            is_lossless: features.format == 2,
            is_cleared: iterator.dispose_method == webp::WebPMuxAnimDispose::WEBP_MUX_DISPOSE_BACKGROUND,
            replaces: iterator.blend_method == webp::WebPMuxAnimBlend::WEBP_MUX_NO_BLEND,
        })
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from WebPDemux and is deleted once.
        unsafe { webp::WebPDemuxDelete(self.demuxer) };
    }
}

struct Frame<'a> {
    data: &'a [u8],
    /// Its corner on the canvas.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    has_alpha: bool,
    is_lossless: bool,
    /// Before the next one is drawn.
    is_cleared: bool,
    /// It is not drawn over what was there, but in its place.
    replaces: bool,
}

#[derive(Clone, Copy)]
enum Channels {
    Rgb,
    Rgba,
}

impl Frame<'_> {
    /// What libwebp allocates for what encoders write: lossless images as a whole, lossy ones by rows, their alpha as a
    /// whole. A lossless file made for it can have 65,536 sets of codes, some 1.3 GB, which no header
    /// announces: only a limit of the process stops it (see the package `decoder`).
    fn decoding_bytes(&self) -> u64 {
        let pixels = (self.width * self.height) as u64;
        let rows = self.width as u64 * 256;
        match (self.is_lossless, self.has_alpha) {
            (true, _) => pixels * 5 + rows,
            (false, true) => pixels * 6 + rows,
            (false, false) => rows,
        }
    }

    /// On the canvas.
    fn place(&self) -> Window {
        Window { left: self.left, top: self.top, width: self.width, height: self.height }
    }

    fn decode(&self, part: &Window, channels: Channels, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        let (pixel_bytes, mode) = match channels {
            Channels::Rgb => (3, webp::WEBP_CSP_MODE::MODE_RGB),
            Channels::Rgba => (4, webp::WEBP_CSP_MODE::MODE_RGBA),
        };
        // libwebp rounds the corner down to even numbers; beginning on one keeps the arithmetic here.
        let (left, top) = (part.left.saturating_sub(2) & !1, part.top.saturating_sub(2) & !1);
        let (right, bottom) = ((part.right() + 2).min(self.width), (part.bottom() + 2).min(self.height));
        let (width, height) = (right - left, bottom - top);
        let stride = width * pixel_bytes;
        let mut pixels = vec![0; stride * height];
        let mut config = webp::WebPDecoderConfig::new()
            .map_err(|()| Format::Webp.damaged("libwebp's header and library are of different versions"))?;
        config.options.use_cropping = 1;
        config.options.crop_left = left as i32;
        config.options.crop_top = top as i32;
        config.options.crop_width = width as i32;
        config.options.crop_height = height as i32;
        config.output.colorspace = mode;
        config.output.is_external_memory = 1;
        config.output.u.RGBA =
            webp::WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride: stride as i32, size: pixels.len() };
        // SAFETY: libwebp writes `height` rows of `stride` bytes and is told the buffer's size, which it checks.
        // It keeps neither pointer. External memory needs no release.
        let status = unsafe { webp::WebPDecode(self.data.as_ptr(), self.data.len(), &mut config) };
        accept(status, limits)?;
        Ok(part.cut_of(pixel_bytes, &pixels, left, top, stride))
    }
}
