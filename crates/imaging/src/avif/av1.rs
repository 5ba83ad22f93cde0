//! AV1 by rav1d, the Rust port of dav1d: one frame, on this thread alone.

use std::ffi::c_int;
use std::ptr::NonNull;

use rav1d::include::dav1d::data::Dav1dData;
use rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dLogger, Dav1dSettings};
use rav1d::include::dav1d::headers::{
    DAV1D_PIXEL_LAYOUT_I400, DAV1D_PIXEL_LAYOUT_I420, DAV1D_PIXEL_LAYOUT_I422, Dav1dSequenceHeader,
};
use rav1d::include::dav1d::picture::Dav1dPicture;
use rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_get_picture, dav1d_open,
    dav1d_parse_sequence_header, dav1d_picture_unref, dav1d_send_data,
};

use super::super::planes::{Chroma, Cicp, Samples};

/// Bytes for each pixel that decoding a coded image takes at most, by the header of its sequence: its planes, once more where it may
/// be scaled up and where grain is laid over it, and what is noted of each block.
pub(super) fn bytes_per_pixel(bytes: &[u8]) -> Result<f64, Fault> {
    let mut header = std::mem::MaybeUninit::<Dav1dSequenceHeader>::zeroed();
    // SAFETY: there is room for the header, of which all zeros is a value; pointer and length are those of one slice.
    let header = unsafe {
        let read = dav1d_parse_sequence_header(
            NonNull::new(header.as_mut_ptr()),
            NonNull::new(bytes.as_ptr().cast_mut()),
            bytes.len(),
        );
        if read.0 != 0 {
            return Err(if read.0 == NO_ENTRY { Fault::NoFrame } else { Fault::of(read.0) });
        }
        header.assume_init()
    };
    let samples = match header.layout {
        DAV1D_PIXEL_LAYOUT_I400 => 1.0,
        DAV1D_PIXEL_LAYOUT_I420 => 1.5,
        DAV1D_PIXEL_LAYOUT_I422 => 2.0,
        _ => 3.0,
    };
    let of_planes = samples * if header.hbd > 0 { 2.0 } else { 1.0 };
    let pictures = 1 + u8::from(header.super_res != 0) + u8::from(header.film_grain_present != 0);
    Ok(f64::from(pictures) * of_planes + OF_BLOCKS)
}

/// For each pixel: of what rav1d notes of blocks, filters and motion.
const OF_BLOCKS: f64 = 2.0;

/// A decoded frame.
pub(super) struct Frame(Dav1dPicture);

pub(super) enum Fault {
    OutOfMemory,
    /// The frame has more pixels than were allowed.
    TooLarge,
    NoFrame,
    Corrupt,
}

impl Frame {
    /// The first frame of a coded image, if it has no more than this many pixels.
    pub(crate) fn decode(bytes: &[u8], most_pixels: u64) -> Result<Frame, Fault> {
        let decoder = Decoder::open(most_pixels)?;
        let mut input = Input::of(bytes)?;
        loop {
            // SAFETY: context and data are alive, and owned here.
            let sent = unsafe { dav1d_send_data(decoder.0, Some(NonNull::from(&mut input.0))) }.0;
            if sent != 0 && sent != AGAIN {
                return Err(Fault::of(sent));
            }
            let mut picture = Dav1dPicture::default();
            // SAFETY: as above; the picture has room, and is empty.
            let got = unsafe { dav1d_get_picture(decoder.0, Some(NonNull::from(&mut picture))) }.0;
            match got {
                0 => return Ok(Frame(picture)),
                // All was taken, and nothing came of it; or nothing is taken any more.
                AGAIN if input.0.sz == 0 || sent == AGAIN => return Err(Fault::NoFrame),
                AGAIN => {}
                error => return Err(Fault::of(error)),
            }
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.0.p.w as usize
    }

    pub(crate) fn height(&self) -> usize {
        self.0.p.h as usize
    }

    pub(crate) fn depth(&self) -> u8 {
        self.0.p.bpc as u8
    }

    pub(crate) fn chroma(&self) -> Chroma {
        match self.0.p.layout {
            DAV1D_PIXEL_LAYOUT_I400 => Chroma::None,
            DAV1D_PIXEL_LAYOUT_I420 => Chroma::HalfBoth,
            DAV1D_PIXEL_LAYOUT_I422 => Chroma::HalfWide,
            _ => Chroma::Whole,
        }
    }

    /// What the frame itself says of its colours.
    pub(crate) fn colour(&self) -> Option<Cicp> {
        // SAFETY: the header lives as long as the picture.
        let header = unsafe { self.0.seq_hdr?.as_ref() };
        Some(Cicp { primaries: header.pri as u16, matrix: header.mtrx as u16, is_full_range: header.color_range != 0 })
    }

    pub(crate) fn planes(&self) -> Vec<Samples<'_>> {
        let is_wide = self.depth() > 8;
        let (halved_rows, count) = match self.chroma() {
            Chroma::None => (false, 1),
            Chroma::HalfBoth => (true, 3),
            Chroma::Whole | Chroma::HalfWide => (false, 3),
        };
        let plane = |number: usize| {
            let stride = usize::try_from(self.0.stride[number.min(1)]).ok()?;
            let rows = if halved_rows && number > 0 { self.height().div_ceil(2) } else { self.height() };
            let start = self.0.data[number]?.cast::<u8>();
            // SAFETY: rav1d allocates `stride` bytes for each row of a plane, and keeps them while the picture lives.
            let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), stride * rows) };
            Some(Samples { bytes, stride, is_wide })
        };
        (0..count).map_while(plane).collect()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: it came from rav1d, and is released once.
        unsafe { dav1d_picture_unref(Some(NonNull::from(&mut self.0))) };
    }
}

struct Decoder(Option<Dav1dContext>);

impl Decoder {
    fn open(most_pixels: u64) -> Result<Decoder, Fault> {
        let mut settings = std::mem::MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: there is room for the settings, which are then filled in.
        let mut settings = unsafe {
            dav1d_default_settings(NonNull::new_unchecked(settings.as_mut_ptr()));
            settings.assume_init()
        };
        // A decoder may start no threads.
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        // Of layers, the last and best.
        settings.all_layers = 0;
        settings.frame_size_limit = u32::try_from(most_pixels).unwrap_or(u32::MAX).max(1);
        // SAFETY: there is nothing to call.
        settings.logger = unsafe { Dav1dLogger::new(None, None) };
        let mut context = None;
        // SAFETY: both pointers are to values on this stack.
        let opened = unsafe { dav1d_open(Some(NonNull::from(&mut context)), Some(NonNull::from(&mut settings))) };
        if opened.0 == 0 { Ok(Decoder(context)) } else { Err(Fault::of(opened.0)) }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it came from rav1d, and is closed once.
        unsafe { dav1d_close(Some(NonNull::from(&mut self.0))) };
    }
}

/// Bytes that rav1d owns.
struct Input(Dav1dData);

impl Input {
    fn of(bytes: &[u8]) -> Result<Input, Fault> {
        if bytes.is_empty() {
            return Err(Fault::NoFrame);
        }
        let mut data = Dav1dData::default();
        // SAFETY: rav1d allocates as many bytes as are asked for, or says null.
        unsafe {
            let target = dav1d_data_create(Some(NonNull::from(&mut data)), bytes.len());
            let target = NonNull::new(target).ok_or(Fault::OutOfMemory)?;
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target.as_ptr(), bytes.len());
        }
        Ok(Input(data))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: it came from rav1d; what was sent is empty by now.
        unsafe { dav1d_data_unref(Some(NonNull::from(&mut self.0))) };
    }
}

// Errors are system codes below zero; these are Linux's.
const NO_ENTRY: c_int = -2;
const AGAIN: c_int = -11;
const NO_MEMORY: c_int = -12;
const RANGE: c_int = -34;

impl Fault {
    fn of(error: c_int) -> Fault {
        match error {
            NO_MEMORY => Fault::OutOfMemory,
            RANGE => Fault::TooLarge,
            _ => Fault::Corrupt,
        }
    }
}
