//! HEIC by the system's libheif, which is opened at run time, and only in a process that does nothing else.
//!
//! The file is read here first, so limits hold before libheif sees a byte. libheif makes the RGB, as for everybody who shows
//! the file by it.

#[cfg(test)]
mod tests;

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use super::crop::Window;
use super::format::unsupported;
use super::heif::Still;
use super::libheif::{Answer, FILE, INTERLEAVED, INTERLEAVED_RGB, Opened, Owned, RGB, functions};
use super::{DecodeError, DecoderOutput, Format, Limits};

static LIBHEIF: OnceLock<Libheif> = OnceLock::new();

/// Opens libheif for all that follows in this process, and gives its version. Must come before the sandbox is closed: it reads
/// the library's file, and those of its plug-ins.
pub fn open() -> Result<String, String> {
    let library = match LIBHEIF.get() {
        Some(library) => library,
        None => {
            let opened = Libheif::open().map_err(|error| format!("{FILE} can't be used: {error}"))?;
            LIBHEIF.get_or_init(|| opened)
        }
    };
    Ok(library.opened.version())
}

/// Whether these bytes can be decoded only where [`open`] succeeds.
pub fn is_needed_for(bytes: &[u8]) -> bool {
    Format::of(bytes) == Ok(Format::Heic)
}

/// What a HEIC file gives where there is no libheif.
pub fn not_supported(bytes: &[u8]) -> DecodeError {
    let name =
        "an iPhone photograph (HEIC), which takes libheif to decode, and that is not installed where the worker runs";
    unsupported(bytes, Some(name))
}

pub(super) fn decode(bytes: &[u8], side: usize, limits: &Limits) -> Result<DecoderOutput, DecodeError> {
    let Some(library) = LIBHEIF.get() else { return Err(not_supported(bytes)) };
    let still = Still::admitted(bytes, Format::Heic, *b"hvc1", limits)?;
    let (width, height) = (still.width, still.height);
    limits.afford(decoding_bytes(&still))?;

    let image = library.decode(bytes)?;
    // An encoder that pads a side, or a tile, may leave more pixels than the header says, but never fewer.
    if image.width() < width as usize || image.height() < height as usize {
        return Err(Format::Heic.damaged("its picture has fewer pixels than its header says"));
    }
    let window = still.window(side);
    let pixels = image.rgb(&window).ok_or_else(|| Format::Heic.damaged("its picture has too few samples"))?;
    Ok(still.output(pixels, still.chroma_of_hevc() == 0))
}

/// What libheif and its decoder allocate, at most: the picture and its RGB, a tile on its way into it and its references. Samples
/// of more than eight bits, and transparency, take further pictures on the way to RGB.
fn decoding_bytes(still: &Still) -> u64 {
    let pixels = u64::from(still.width) * u64::from(still.height);
    let tile = u64::from(still.tile_width) * u64::from(still.tile_height);
    let is_plain = still.depth_of_hevc() == 8 && still.chroma_of_hevc() < 2 && !still.has_alpha();
    pixels * if is_plain { 8 } else { 20 } + tile * 18
}

/// The first fields of libheif's; what follows them is left as it is.
#[repr(C)]
struct Options {
    version: u8,
    ignore_transformations: u8,
    progress: [*const c_void; 4],
    convert_hdr_to_8bit: u8,
}

functions! {
    has_decoder = heif_have_decoder_for_format(c_int) -> c_int;
    new_context = heif_context_alloc() -> *mut c_void;
    free_context = heif_context_free(*mut c_void);
    set_threads = heif_context_set_max_decoding_threads(*mut c_void, c_int);
    read = heif_context_read_from_memory_without_copy(*mut c_void, *const u8, usize, *const c_void) -> Answer;
    primary = heif_context_get_primary_image_handle(*mut c_void, *mut *mut c_void) -> Answer;
    release_handle = heif_image_handle_release(*mut c_void);
    new_options = heif_decoding_options_alloc() -> *mut Options;
    free_options = heif_decoding_options_free(*mut Options);
    decode = heif_decode_image(*mut c_void, *mut *mut c_void, c_int, c_int, *const Options) -> Answer;
    release_image = heif_image_release(*mut c_void);
    width = heif_image_get_width(*const c_void, c_int) -> c_int;
    height = heif_image_get_height(*const c_void, c_int) -> c_int;
    plane = heif_image_get_plane_readonly(*const c_void, c_int, *mut c_int) -> *const u8;
}

/// As libheif numbers it.
const HEVC: c_int = 1;
/// A plane for each colour.
const WHOLE: c_int = 3;
const PLANES: &[c_int] = &[3, 4, 5];
const UNSUPPORTED_FEATURE: c_int = 4;

struct Libheif {
    functions: Functions,
    /// Keeps the functions where they are.
    opened: Opened,
}

impl Libheif {
    fn open() -> Result<Libheif, String> {
        let opened = Opened::new()?;
        // SAFETY: it is libheif, and lives as long as its functions.
        unsafe {
            let functions = Functions::find(opened.library()).map_err(|error| error.to_string())?;
            if (functions.has_decoder)(HEVC) == 0 {
                return Err("it has no decoder for HEVC (Debian's package libheif-plugin-libde265)".into());
            }
            Ok(Libheif { functions, opened })
        }
    }

    /// The file's own picture, neither turned nor cut, as RGB.
    fn decode(&self, bytes: &[u8]) -> Result<Image<'_>, DecodeError> {
        let functions = &self.functions;
        // SAFETY: the context, which points into `bytes`, ends with this function; what is decoded does not need it. Every
        // pointer is checked or comes with an answer that is.
        unsafe {
            let context = Owned((functions.new_context)(), functions.free_context);
            if context.0.is_null() {
                return Err(Format::Heic.damaged("libheif could not begin"));
            }
            // On this thread: a decoder may start no others.
            (functions.set_threads)(context.0, 0);
            (functions.read)(context.0, bytes.as_ptr(), bytes.len(), null()).result().map_err(damaged)?;
            let mut handle = Owned(null_mut(), functions.release_handle);
            (functions.primary)(context.0, &mut handle.0).result().map_err(damaged)?;
            let options = Owned((functions.new_options)(), functions.free_options);
            if !options.0.is_null() {
                (*options.0).ignore_transformations = 1;
                (*options.0).convert_hdr_to_8bit = 1;
            }
            let mut image = Image { functions, pointer: null_mut(), planes: &[INTERLEAVED] };
            let mut answer = (functions.decode)(handle.0, &mut image.pointer, RGB, INTERLEAVED_RGB, options.0);
            if answer.code == UNSUPPORTED_FEATURE {
                // Some kinds of transparency; in planes everything can be had.
                image.planes = PLANES;
                answer = (functions.decode)(handle.0, &mut image.pointer, RGB, WHOLE, options.0);
            }
            answer.result().map_err(damaged)?;
            if image.pointer.is_null() { Err(Format::Heic.damaged("libheif gave no picture")) } else { Ok(image) }
        }
    }
}

struct Image<'a> {
    functions: &'a Functions,
    pointer: *mut c_void,
    /// The numbers of those that it has: one of all colours, or one for each.
    planes: &'static [c_int],
}

impl Image<'_> {
    fn width(&self) -> usize {
        // SAFETY: the image is alive.
        usize::try_from(unsafe { (self.functions.width)(self.pointer, self.planes[0]) }).unwrap_or_default()
    }

    fn height(&self) -> usize {
        // SAFETY: as `width`.
        usize::try_from(unsafe { (self.functions.height)(self.pointer, self.planes[0]) }).unwrap_or_default()
    }

    /// Of a window. `None` where a plane is smaller than that.
    fn rgb(&self, window: &Window) -> Option<Vec<u8>> {
        let planes: Vec<(&[u8], usize)> =
            self.planes.iter().map(|&number| self.plane(number)).collect::<Option<_>>()?;
        let pixel = 3 / planes.len();
        let mut pixels = Vec::with_capacity(window.bytes());
        for row in window.top..window.bottom() {
            let rows = planes.iter().map(|(plane, stride)| {
                plane.get(row * stride..(row + 1) * stride)?.get(window.left * pixel..window.right() * pixel)
            });
            match rows.collect::<Option<Vec<_>>>()?.as_slice() {
                [red, green, blue] => (0..red.len()).for_each(|x| pixels.extend([red[x], green[x], blue[x]])),
                rows => rows.iter().for_each(|row| pixels.extend_from_slice(row)),
            }
        }
        Some(pixels)
    }

    /// A plane and the bytes of its rows.
    fn plane(&self, number: c_int) -> Option<(&[u8], usize)> {
        let mut stride = 0;
        // SAFETY: the image is alive, and so is the variable.
        let start = unsafe { (self.functions.plane)(self.pointer, number, &mut stride) };
        let stride = usize::try_from(stride).ok().filter(|_| !start.is_null())?;
        // SAFETY: libheif keeps `stride` bytes for each row of a plane while the image lives.
        Some((unsafe { std::slice::from_raw_parts(start, stride * self.height()) }, stride))
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        if !self.pointer.is_null() {
            // SAFETY: it came from libheif and is given back once.
            unsafe { (self.functions.release_image)(self.pointer) };
        }
    }
}

fn damaged(words: String) -> DecodeError {
    Format::Heic.damaged(words)
}
