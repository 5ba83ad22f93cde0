//! Which format it is: by the first bytes, never by a name.

use serde::{Deserialize, Serialize};

use super::brands::{self, Codec};
use super::{DecodeError, heif, naming};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
    Bmp,
    Tiff,
    Avif,
    Jxl,
    Heic,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Jpeg => "jpeg",
            Format::Png => "png",
            Format::Webp => "webp",
            Format::Gif => "gif",
            Format::Bmp => "bmp",
            Format::Tiff => "tiff",
            Format::Avif => "avif",
            Format::Jxl => "jxl",
            Format::Heic => "heic",
        }
    }

    /// As people write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::Webp => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
            Format::Tiff => "TIFF",
            Format::Avif => "AVIF",
            Format::Jxl => "JPEG XL",
            Format::Heic => "HEIC",
        }
    }

    pub(super) fn of(bytes: &[u8]) -> Result<Format, DecodeError> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Ok(Format::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Format::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Format::Gif),
            // "BM" alone begins many a text; the header's own size follows 12 bytes later.
            [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0, ..] => {
                Ok(Format::Bmp)
            }
            // 43 is BigTIFF.
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Format::Tiff),
            // A bare code stream, or one in boxes.
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', b'\r', b'\n', 0x87, b'\n', ..] => Ok(Format::Jxl),
            _ => match brands::codec(bytes).or_else(|| heif::codec(bytes)) {
                Some(Codec::Av1) => Ok(Format::Avif),
                Some(Codec::Hevc) => Ok(Format::Heic),
                None => Err(unsupported(bytes, naming::of(bytes))),
            },
        }
    }
}

/// What is said of bytes that can't be decoded; `name` is what they are, in a person's words.
pub(super) fn unsupported(bytes: &[u8], name: Option<&str>) -> DecodeError {
    // Printable bytes as they are, others as \xNN.
    let magic = format!("\"{}\"", bytes[..bytes.len().min(12)].escape_ascii());
    DecodeError::UnsupportedFormat { magic, name: name.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        for (bytes, format) in [
            (&b"\xff\xd8\xff\xe0"[..], Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Format::Webp),
            (b"GIF89a", Format::Gif),
            (b"GIF87a", Format::Gif),
            (b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0", Format::Bmp),
            (b"II\x2a\0", Format::Tiff),
            (b"MM\0\x2a", Format::Tiff),
            (b"II\x2b\0\x08\0\0\0", Format::Tiff),
            (b"MM\0\x2b\0\x08\0\0", Format::Tiff),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", Format::Avif),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Format::Avif),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Format::Heic),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", Format::Heic),
            (b"\xff\x0a\xfa\x1f\x01", Format::Jxl),
            (b"\0\0\0\x0cJXL \r\n\x87\n", Format::Jxl),
        ] {
            assert_eq!(Format::of(bytes).unwrap(), format);
        }
    }

    #[test]
    fn what_is_no_image_is_named_by_its_first_bytes() {
        for bytes in [&b"BMW is a car maker"[..], b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"GIF88a", b"%PDF-1.7", b"\0"] {
            let Err(DecodeError::UnsupportedFormat { magic, .. }) = Format::of(bytes) else {
                panic!("{bytes:?} was taken for an image");
            };
            assert!(magic.starts_with('"') && magic.len() > 2, "{magic}");
        }
        let error = Format::of(b"\xff\xd8 text").unwrap_err();
        assert!(error.to_string().ends_with(r#"they begin with "\xff\xd8 text""#), "{error}");
    }
}
