//! AVIF, as files that others have written meet it, by the system's libheif: for training and evaluation, which want such files
//! made. A worker encodes nothing.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use super::{Answer, FILE, INTERLEAVED, INTERLEAVED_RGB, Opened, Owned, RGB, functions};
use crate::Picture;

const AV1: c_int = 4;
/// Encoding is meant to be quick, and on the thread that asks: trainings have theirs. An encoder that has no such setting is
/// used as it is.
const SETTINGS: [(&CStr, &CStr); 2] = [(c"speed", c"9"), (c"threads", c"1")];

type Write = extern "C" fn(*mut c_void, *const u8, usize, *mut Vec<u8>) -> Answer;

/// How libheif gives what it has written.
#[repr(C)]
struct Writer {
    version: c_int,
    write: Write,
}

functions! {
    has_encoder = heif_have_encoder_for_format(c_int) -> c_int;
    new_context = heif_context_alloc() -> *mut c_void;
    free_context = heif_context_free(*mut c_void);
    encoder = heif_context_get_encoder_for_format(*mut c_void, c_int, *mut *mut c_void) -> Answer;
    release_encoder = heif_encoder_release(*mut c_void);
    set_quality = heif_encoder_set_lossy_quality(*mut c_void, c_int) -> Answer;
    set = heif_encoder_set_parameter(*mut c_void, *const c_char, *const c_char) -> Answer;
    new_image = heif_image_create(c_int, c_int, c_int, c_int, *mut *mut c_void) -> Answer;
    release_image = heif_image_release(*mut c_void);
    add_plane = heif_image_add_plane(*mut c_void, c_int, c_int, c_int, c_int) -> Answer;
    plane = heif_image_get_plane(*mut c_void, c_int, *mut c_int) -> *mut u8;
    encode = heif_context_encode_image(*mut c_void, *const c_void, *mut c_void, *const c_void, *mut *mut c_void) -> Answer;
    write = heif_context_write(*mut c_void, *const Writer, *mut Vec<u8>) -> Answer;
}

/// libheif with an encoder for AV1.
pub struct Encoder {
    functions: Functions,
    opened: Opened,
}

/// This process's. The error says what to install.
pub fn avif() -> Result<&'static Encoder, String> {
    static ENCODER: OnceLock<Result<Encoder, String>> = OnceLock::new();
    let found = ENCODER.get_or_init(|| {
        Encoder::open().map_err(|error| {
            format!(
                "AVIF files are made by the system's {FILE}, which can't be used: {error}. Install it (Debian 12: \
                 `apt-get install libheif1`; newer: libheif-plugin-aomenc too)"
            )
        })
    });
    found.as_ref().map_err(String::clone)
}

impl Encoder {
    fn open() -> Result<Encoder, String> {
        let opened = Opened::new()?;
        // SAFETY: it is libheif, and lives as long as its functions.
        unsafe {
            let functions = Functions::find(opened.library()).map_err(|error| error.to_string())?;
            if (functions.has_encoder)(AV1) == 0 {
                return Err("it has no encoder for AV1".into());
            }
            Ok(Encoder { functions, opened })
        }
    }

    /// libheif's version, on which the bytes depend.
    pub fn version(&self) -> String {
        self.opened.version()
    }

    /// A file of one picture, 4:2:0, at a quality of 0 to 100 as libheif counts it.
    pub fn encode(&self, picture: &Picture, quality: u8) -> Result<Vec<u8>, String> {
        let functions = &self.functions;
        let sides = (c_int::try_from(picture.width()), c_int::try_from(picture.height()));
        let (Ok(width), Ok(height)) = sides else { return Err(format!("{picture:?} is too large")) };
        // SAFETY: what is asked for is checked by its answer, and given back once. The plane has `stride` bytes for each of
        // `height` rows while the image lives. libheif writes into `file` before `write` returns.
        unsafe {
            let context = Owned((functions.new_context)(), functions.free_context);
            if context.0.is_null() {
                return Err("libheif has no memory to begin with".into());
            }
            let mut encoder = Owned(null_mut(), functions.release_encoder);
            (functions.encoder)(context.0, AV1, &mut encoder.0).result()?;
            (functions.set_quality)(encoder.0, c_int::from(quality.min(100))).result()?;
            for (name, value) in SETTINGS {
                let _ = (functions.set)(encoder.0, name.as_ptr(), value.as_ptr());
            }
            let mut image = Owned(null_mut(), functions.release_image);
            (functions.new_image)(width, height, RGB, INTERLEAVED_RGB, &mut image.0).result()?;
            (functions.add_plane)(image.0, INTERLEAVED, width, height, 8).result()?;
            let mut stride = 0;
            let plane = (functions.plane)(image.0, INTERLEAVED, &mut stride);
            let (stride, row) = (usize::try_from(stride).unwrap_or_default(), picture.width() * 3);
            if plane.is_null() || stride < row {
                return Err("libheif gave no room for the pixels".into());
            }
            for (number, pixels) in picture.rgb().chunks_exact(row).enumerate() {
                plane.add(number * stride).copy_from_nonoverlapping(pixels.as_ptr(), row);
            }
            (functions.encode)(context.0, image.0, encoder.0, null(), null_mut()).result()?;
            let mut file = Vec::new();
            (functions.write)(context.0, &Writer { version: 1, write: take }, &mut file).result()?;
            Ok(file)
        }
    }
}

extern "C" fn take(_: *mut c_void, bytes: *const u8, count: usize, file: *mut Vec<u8>) -> Answer {
    // SAFETY: libheif gives so many bytes, and the vector that `encode` has named.
    unsafe { (*file).extend_from_slice(std::slice::from_raw_parts(bytes, count)) };
    Answer { code: 0, subcode: 0, message: c"written".as_ptr() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Limits, window};

    #[test]
    fn an_avif_file_is_written_that_our_own_decoder_reads() {
        let encoder = avif().expect("`make toolchain` installs libheif");
        for (width, height) in [(64, 48), (257, 131), (16, 16)] {
            let level =
                |place: usize| [place % width * 255 / width, place / width * 255 / height, 90].map(|level| level as u8);
            let picture = Picture::new(width, height, (0..width * height).flat_map(level).collect()).unwrap();
            let files = [30, 95].map(|quality| encoder.encode(&picture, quality).unwrap());
            assert!(files[0].len() < files[1].len(), "{} {}", files[0].len(), files[1].len());
            let found = files.map(|file| {
                assert_eq!(Format::of(&file), Ok(Format::Avif));
                let read =
                    window(&file, 1024, &Limits { max_pixels: 1 << 20, max_decoded_bytes: 64 << 20 }).unwrap().picture;
                assert_eq!((read.width(), read.height()), (width, height));
                let apart = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
                read.rgb().iter().zip(picture.rgb()).map(apart).sum::<u64>() as f64 / read.rgb().len() as f64
            });
            assert!(found[1] < 4.0 && found[1] <= found[0] + 0.5 && found[0] < 12.0, "{found:?}");
        }
        assert!(encoder.version().starts_with("1."));
    }
}
