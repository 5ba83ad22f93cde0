//! A safe interface to TurboJPEG: one decompressor for each image.
//!
//! Keeping one would save some microseconds, but libjpeg keeps the Huffman and quantisation tables of an image for those
//! after it: a damaged table would spoil the next images, and an image without tables would be decoded by another's.

use std::ffi::{CStr, c_int};

use turbojpeg_sys as tj;

/// Pixels as they leave libjpeg-turbo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Rgb,
    Cmyk,
}

impl Layout {
    pub(crate) fn bytes_per_pixel(self) -> usize {
        match self {
            Layout::Rgb => 3,
            Layout::Cmyk => 4,
        }
    }
}

/// What a decompressor may use.
pub(super) struct Bounds {
    pub megabytes: i32,
    pub scans: i32,
}

/// A rectangle of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Region {
    pub(crate) fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// What the header says, in libjpeg-turbo's reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub width: usize,
    pub height: usize,
    pub layout: Layout,
    /// Pixels across one iMCU; `None` where the sampling is so unusual that no region can be decoded.
    pub imcu_width: Option<usize>,
}

impl Header {
    pub(crate) fn whole(&self) -> Region {
        Region { left: 0, top: 0, width: self.width, height: self.height }
    }
}

pub(super) struct Decompressor(tj::tjhandle);

impl Decompressor {
    pub(crate) fn new() -> Result<Decompressor, String> {
        // SAFETY: no precondition; null is checked.
        let handle = unsafe { tj::tj3Init(tj::TJINIT_TJINIT_DECOMPRESS as c_int) };
        if handle.is_null() {
            Err("libjpeg-turbo could not start: out of memory".into())
        } else {
            Ok(Decompressor(handle))
        }
    }

    pub(crate) fn bound(&mut self, bounds: &Bounds) {
        self.set(tj::TJPARAM_TJPARAM_MAXMEMORY, bounds.megabytes);
        self.set(tj::TJPARAM_TJPARAM_SCANLIMIT, bounds.scans);
        // No colour profile is looked at, so its pieces may be missing or doubled.
        self.set(tj::TJPARAM_TJPARAM_SAVEMARKERS, 0);
        // What Pillow decodes with; the handle's defaults, and yet this is what bit-exactness hangs on.
        self.set(tj::TJPARAM_TJPARAM_FASTDCT, 0);
        self.set(tj::TJPARAM_TJPARAM_FASTUPSAMPLE, 0);
    }

    pub(crate) fn read_header(&mut self, bytes: &[u8]) -> Result<Header, String> {
        // SAFETY: the pointer and the length are those of one slice, and nothing keeps them after the call.
        let status = unsafe { tj::tj3DecompressHeader(self.0, bytes.as_ptr(), bytes.len() as tj::size_t) };
        // What it warns of here tells nothing about pixels, and decoding reads the header again.
        self.warning(status)?;
        let (width, height) = (self.get(tj::TJPARAM_TJPARAM_JPEGWIDTH), self.get(tj::TJPARAM_TJPARAM_JPEGHEIGHT));
        let layout = match self.get(tj::TJPARAM_TJPARAM_COLORSPACE) as tj::TJCS {
            tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK => Layout::Cmyk,
            _ => Layout::Rgb,
        };
        let lossless = self.get(tj::TJPARAM_TJPARAM_LOSSLESS) != 0;
        let imcu_width = match self.get(tj::TJPARAM_TJPARAM_SUBSAMP) as tj::TJSAMP {
            _ if lossless => None,
            tj::TJSAMP_TJSAMP_444 | tj::TJSAMP_TJSAMP_GRAY | tj::TJSAMP_TJSAMP_440 | tj::TJSAMP_TJSAMP_441 => Some(8),
            tj::TJSAMP_TJSAMP_422 | tj::TJSAMP_TJSAMP_420 => Some(16),
            tj::TJSAMP_TJSAMP_411 => Some(32),
            _ => None,
        };
        match (usize::try_from(width), usize::try_from(height)) {
            (Ok(width), Ok(height)) => Ok(Header { width, height, layout, imcu_width }),
            _ => Err("the header gives no size".into()),
        }
    }

    /// Decodes a region of the image whose header was read last; its left edge must be a multiple of the iMCU's
    /// width. All of the entropy-coded data is read, whatever the region. Where data is missing or unreadable
    /// libjpeg-turbo makes pixels up, and warns.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        header: &Header,
        region: Region,
    ) -> Result<(Vec<u8>, Option<Warning>), String> {
        let asked = if region == header.whole() {
            tj::tjregion { x: 0, y: 0, w: 0, h: 0 }
        } else {
            let side = |side: usize| c_int::try_from(side).map_err(|_| "the region is too large".to_owned());
            tj::tjregion {
                x: side(region.left)?,
                y: side(region.top)?,
                w: side(region.width)?,
                h: side(region.height)?,
            }
        };
        // SAFETY: takes the rectangle by value and checks it against the header.
        let status = unsafe { tj::tj3SetCroppingRegion(self.0, asked) };
        self.warning(status)?;

        let stride = region.width * header.layout.bytes_per_pixel();
        let mut pixels = vec![0; stride * region.height];
        let format = match header.layout {
            Layout::Rgb => tj::TJPF_TJPF_RGB,
            Layout::Cmyk => tj::TJPF_TJPF_CMYK,
        };
        // SAFETY: libjpeg-turbo writes region.height rows of region.width pixels, `stride` bytes apart, and `pixels`
        // holds just those: the size of the region comes from the header of these same bytes, and
        // tj3SetCroppingRegion has accepted it. Nothing keeps the pointers after the call.
        let status = unsafe {
            tj::tj3Decompress8(
                self.0,
                bytes.as_ptr(),
                bytes.len() as tj::size_t,
                pixels.as_mut_ptr(),
                stride as c_int,
                format as c_int,
            )
        };
        let warning = self.warning(status)?;
        Ok((pixels, warning))
    }

    fn set(&mut self, parameter: tj::TJPARAM, value: i32) {
        // SAFETY: the handle is alive. A value out of range changes nothing.
        unsafe { tj::tj3Set(self.0, parameter as c_int, value) };
    }

    fn get(&self, parameter: tj::TJPARAM) -> i32 {
        // SAFETY: the handle is alive.
        unsafe { tj::tj3Get(self.0, parameter as c_int) }
    }

    /// Of several warnings libjpeg-turbo tells the first only.
    fn warning(&self, status: c_int) -> Result<Option<Warning>, String> {
        if status == 0 {
            return Ok(None);
        }
        // SAFETY: libjpeg-turbo gives a pointer to a string that ends in a zero byte, good until the next call.
        let message = unsafe { CStr::from_ptr(tj::tj3GetErrorStr(self.0)) }.to_string_lossy().into_owned();
        // SAFETY: the handle is alive.
        let is_warning = unsafe { tj::tj3GetErrorCode(self.0) } == tj::TJERR_TJERR_WARNING as c_int;
        if is_warning { Ok(Some(Warning(message))) } else { Err(message) }
    }
}

/// What libjpeg-turbo says of an image that it decoded all the same.
#[derive(Debug)]
pub(super) struct Warning(pub String);

impl Warning {
    /// Whether it says nothing about the pixels: cameras and phones write such files. The others say that data is missing or
    /// unreadable.
    pub(crate) fn is_about_no_pixels(&self) -> bool {
        self.0.contains("extraneous bytes before marker")
            || self.0.starts_with("Warning: unknown JFIF revision")
            || self.0.starts_with("Unknown Adobe color transform")
            || self.0.starts_with("Inconsistent progression sequence")
            || self.0.starts_with("Invalid SOS parameters for sequential JPEG")
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the handle came from tj3Init and is dropped once.
        unsafe { tj::tj3Destroy(self.0) };
    }
}
