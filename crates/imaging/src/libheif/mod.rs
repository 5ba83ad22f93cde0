//! The system's libheif, which is opened at run time: what its callers share.
//!
//! Of its functions those are declared that every version since 1.15 has.

pub mod encode;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use libloading::Library;

/// The library's file: its name has been this since version 1.0.
pub(crate) const FILE: &str = "libheif.so.1";

/// As libheif numbers them.
pub(crate) const RGB: c_int = 1;
/// Three bytes a pixel, in one plane.
pub(crate) const INTERLEAVED_RGB: c_int = 10;
pub(crate) const INTERLEAVED: c_int = 10;

/// What each function answers: 0, or what went wrong.
#[repr(C)]
pub(crate) struct Answer {
    pub code: c_int,
    pub subcode: c_int,
    pub message: *const c_char,
}

impl Answer {
    pub(crate) fn result(self) -> Result<(), String> {
        if self.code == 0 { Ok(()) } else { Err(self.words()) }
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
pub(crate) struct Owned<T>(pub *mut T, pub unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from libheif and is given back once.
            unsafe { (self.1)(self.0) };
        }
    }
}

/// Declares a struct of libheif's functions, and finds each in the library by its name.
macro_rules! functions {
    ($($name:ident = $symbol:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Functions {
            /// # Safety
            /// The library must be libheif, and outlive what comes of this.
            unsafe fn find(library: &libloading::Library) -> Result<Functions, libloading::Error> {
                Ok(Functions { $($name: *unsafe { library.get(stringify!($symbol).as_bytes()) }?,)* })
            }
        }
    };
}

pub(crate) use functions;

functions! {
    version = heif_get_version() -> *const c_char;
    initialise = heif_init(*mut c_void) -> Answer;
}

/// Opened and initialised.
pub(crate) struct Opened {
    library: Library,
    functions: Functions,
}

impl Opened {
    pub(crate) fn new() -> Result<Opened, String> {
        // SAFETY: the system's libheif runs what its authors have run on loading; the functions are those of its public header.
        unsafe {
            let library = Library::new(FILE).map_err(|error| error.to_string())?;
            let functions = Functions::find(&library).map_err(|error| error.to_string())?;
            (functions.initialise)(null_mut()).result()?;
            Ok(Opened { library, functions })
        }
    }

    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    pub(crate) fn version(&self) -> String {
        // SAFETY: a string that lies in the library.
        unsafe { CStr::from_ptr((self.functions.version)()) }.to_string_lossy().into_owned()
    }
}
