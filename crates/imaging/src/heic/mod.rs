//! HEIC by the system's libheif, which is opened at run time, and only in a process that does nothing else.
//!
//! The file is read here first, so limits hold before libheif sees a byte. libheif gives the planes as they are coded; what
//! becomes of them is the same as for AVIF. (Asked for none in particular, it makes them RGB.) Of its functions those are declared that every version since 1.15 has.

#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use libloading::Library;

use super::format::unsupported;
use super::heif::Still;
use super::planes::{Chroma, Cicp, Planes, Samples, Upsampling};
use super::{DecodeError, DecoderOutput, Format, Limits};

/// The library's file: its name has been this since version 1.0.
const FILE: &str = "libheif.so.1";

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
    Ok(library.version())
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

    let image = library.decode(bytes, still.chroma_of_hevc().into())?;
    let chroma = image.chroma()?;
    // An encoder that pads a side, or a tile, may leave more pixels than the header says, but never fewer.
    if image.side(Libheif::width, image.first) < width as usize
        || image.side(Libheif::height, image.first) < height as usize
    {
        return Err(Format::Heic.damaged("its picture has fewer pixels than its header says"));
    }
    let window = still.window(side);
    let mut planes = Planes::around(&window, width, height, (image.depth()?, chroma), Upsampling::Nearest);
    planes
        .put(&image.planes(), 0, 0, width as usize, height as usize)
        .ok_or_else(|| Format::Heic.damaged("its picture has too few samples"))?;
    let colour = match image.first {
        FIRST_OF_RGB => Cicp { matrix: 0, ..UNSAID },
        _ => still.colour.or_else(|| image.colour()).unwrap_or(UNSAID),
    };
    still.output(Format::Heic, &window, &planes, colour)
}

/// What a file means that says nothing of its colours.
const UNSAID: Cicp = Cicp { primaries: 2, matrix: 2, is_full_range: true };

/// What libheif and its decoder allocate, at most: the picture, a tile on its way into it and its references, in samples of two
/// bytes.
fn decoding_bytes(still: &Still) -> u64 {
    let pixels = u64::from(still.width) * u64::from(still.height);
    let tile = u64::from(still.tile_width) * u64::from(still.tile_height);
    pixels * 6 + tile * 18
}

/// What each function answers: 0, or what went wrong.
#[repr(C)]
struct Answer {
    code: c_int,
    subcode: c_int,
    message: *const c_char,
}

/// The first fields of libheif's; what follows them is left as it is.
#[repr(C)]
struct Options {
    version: u8,
    ignore_transformations: u8,
}

#[repr(C)]
struct Nclx {
    version: u8,
    primaries: c_int,
    transfer: c_int,
    matrix: c_int,
    is_full_range: u8,
}

/// Declares libheif's functions, and finds each in it by its name.
macro_rules! functions {
    ($($name:ident = $symbol:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Functions {
            /// # Safety
            /// The library must be libheif, and outlive what comes of this.
            unsafe fn find(library: &Library) -> Result<Functions, libloading::Error> {
                Ok(Functions { $($name: *unsafe { library.get(stringify!($symbol).as_bytes()) }?,)* })
            }
        }
    };
}

functions! {
    version = heif_get_version() -> *const c_char;
    initialise = heif_init(*mut c_void) -> Answer;
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
    chroma = heif_image_get_chroma_format(*const c_void) -> c_int;
    width = heif_image_get_width(*const c_void, c_int) -> c_int;
    height = heif_image_get_height(*const c_void, c_int) -> c_int;
    depth = heif_image_get_bits_per_pixel_range(*const c_void, c_int) -> c_int;
    plane = heif_image_get_plane_readonly(*const c_void, c_int, *mut c_int) -> *const u8;
    colour = heif_image_get_nclx_color_profile(*const c_void, *mut *mut Nclx) -> Answer;
    free_colour = heif_nclx_color_profile_free(*mut Nclx);
}

/// As libheif numbers them.
const HEVC: c_int = 1;
const YCBCR: c_int = 0;
const RGB: c_int = 1;
const MONOCHROME: c_int = 2;
const WHOLE: c_int = 3;
const FIRST_OF_RGB: c_int = 3;
const UNSUPPORTED_FEATURE: c_int = 4;

struct Libheif {
    functions: Functions,
    /// Keeps the functions where they are.
    _library: Library,
}

impl Libheif {
    fn open() -> Result<Libheif, String> {
        // SAFETY: the system's libheif runs what its authors have run on loading; the functions are those of its public header,
        // and live as long as the library, which is never closed.
        unsafe {
            let library = Library::new(FILE).map_err(|error| error.to_string())?;
            let functions = Functions::find(&library).map_err(|error| error.to_string())?;
            let begun = (functions.initialise)(null_mut());
            if begun.code != 0 {
                return Err(begun.words());
            }
            if (functions.has_decoder)(HEVC) == 0 {
                return Err("it has no decoder for HEVC (Debian's package libheif-plugin-libde265)".into());
            }
            Ok(Libheif { functions, _library: library })
        }
    }

    fn version(&self) -> String {
        // SAFETY: a string that lies in the library.
        unsafe { CStr::from_ptr((self.functions.version)()) }.to_string_lossy().into_owned()
    }

    /// The file's own picture, neither turned nor cut, in planes of luma and so much chroma.
    fn decode(&self, bytes: &[u8], chroma: c_int) -> Result<Image<'_>, DecodeError> {
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
            (functions.read)(context.0, bytes.as_ptr(), bytes.len(), null()).check()?;
            let mut handle = Owned(null_mut(), functions.release_handle);
            (functions.primary)(context.0, &mut handle.0).check()?;
            let options = Owned((functions.new_options)(), functions.free_options);
            if !options.0.is_null() {
                (*options.0).ignore_transformations = 1;
            }
            let space = if chroma == 0 { MONOCHROME } else { YCBCR };
            let mut image = Image { library: self, pointer: null_mut(), first: 0 };
            let mut answer = (functions.decode)(handle.0, &mut image.pointer, space, chroma, options.0);
            if answer.code == UNSUPPORTED_FEATURE {
                // Some kinds of transparency; but everything can be made RGB.
                image.first = FIRST_OF_RGB;
                answer = (functions.decode)(handle.0, &mut image.pointer, RGB, WHOLE, options.0);
            }
            answer.check()?;
            if image.pointer.is_null() { Err(Format::Heic.damaged("libheif gave no picture")) } else { Ok(image) }
        }
    }

    fn width(&self, image: *const c_void, channel: c_int) -> c_int {
        // SAFETY: only `Image::side` calls it, with an image that is alive.
        unsafe { (self.functions.width)(image, channel) }
    }

    fn height(&self, image: *const c_void, channel: c_int) -> c_int {
        // SAFETY: as `width`.
        unsafe { (self.functions.height)(image, channel) }
    }
}

impl Answer {
    fn check(self) -> Result<(), DecodeError> {
        if self.code == 0 { Ok(()) } else { Err(Format::Heic.damaged(self.words())) }
    }

    fn words(&self) -> String {
        if self.message.is_null() {
            return format!("libheif's error {}.{}", self.code, self.subcode);
        }
        // SAFETY: libheif's messages are strings that end in a zero byte, and live at least until it is called again.
        unsafe { CStr::from_ptr(self.message) }.to_string_lossy().into_owned()
    }
}

/// Something of libheif's, and how it is given back.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from libheif and is given back once.
            unsafe { (self.1)(self.0) };
        }
    }
}

struct Image<'a> {
    library: &'a Libheif,
    pointer: *mut c_void,
    /// The number of its first plane: luma's, or red's.
    first: c_int,
}

impl Image<'_> {
    fn chroma(&self) -> Result<Chroma, DecodeError> {
        // SAFETY: the image is alive.
        match unsafe { (self.library.functions.chroma)(self.pointer) } {
            0 => Ok(Chroma::None),
            1 => Ok(Chroma::HalfBoth),
            2 => Ok(Chroma::HalfWide),
            3 => Ok(Chroma::Whole),
            other => Err(Format::Heic.unsupported(format_args!("samples in libheif's order {other}"))),
        }
    }

    fn side(&self, of: fn(&Libheif, *const c_void, c_int) -> c_int, channel: c_int) -> usize {
        usize::try_from(of(self.library, self.pointer, channel)).unwrap_or_default()
    }

    fn depth(&self) -> Result<u8, DecodeError> {
        // SAFETY: the image is alive.
        let depth = unsafe { (self.library.functions.depth)(self.pointer, self.first) };
        let known = u8::try_from(depth).ok().filter(|depth| (8..=16).contains(depth));
        known.ok_or_else(|| Format::Heic.unsupported(format_args!("{depth} bits a sample")))
    }

    /// Luma, and chroma where there is any.
    fn planes(&self) -> Vec<Samples<'_>> {
        let plane = |channel: c_int| {
            let mut stride = 0;
            // SAFETY: the image is alive, and so is the variable.
            let start = unsafe { (self.library.functions.plane)(self.pointer, channel, &mut stride) };
            let (stride, rows) = (usize::try_from(stride).ok()?, self.side(Libheif::height, channel));
            // SAFETY: the image is alive.
            let depth = unsafe { (self.library.functions.depth)(self.pointer, channel) };
            if start.is_null() {
                return None;
            }
            // SAFETY: libheif keeps `stride` bytes for each row of a plane while the image lives.
            let bytes = unsafe { std::slice::from_raw_parts(start, stride * rows) };
            Some(Samples { bytes, stride, is_wide: depth > 8 })
        };
        // Green, blue and red are luma and chroma of the identity.
        let order = if self.first == 0 { [0, 1, 2] } else { [4, 5, 3] };
        order.into_iter().map_while(plane).collect()
    }

    /// What the picture itself says of its colours.
    fn colour(&self) -> Option<Cicp> {
        let mut nclx = Owned(null_mut(), self.library.functions.free_colour);
        // SAFETY: image and variable are alive; if the answer is 0, it is filled in.
        let nclx = unsafe {
            let found = (self.library.functions.colour)(self.pointer, &mut nclx.0);
            if found.code != 0 { None } else { nclx.0.as_ref() }
        }?;
        let number = |number: c_int| u16::try_from(number).unwrap_or(2);
        Some(Cicp {
            primaries: number(nclx.primaries),
            matrix: number(nclx.matrix),
            is_full_range: nclx.is_full_range != 0,
        })
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        if !self.pointer.is_null() {
            // SAFETY: it came from libheif and is given back once.
            unsafe { (self.library.functions.release_image)(self.pointer) };
        }
    }
}
