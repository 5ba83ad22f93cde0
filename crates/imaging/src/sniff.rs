//! Whether a file is an image that somebody might expect a verdict on, by its first bytes: of a supported format or of another.

use super::format::Format;

/// So many bytes are enough to tell.
pub const SNIFFED_BYTES: usize = 32;

/// `head`: the first [`SNIFFED_BYTES`] of a file, or all of a shorter one. Formats that can't be decoded count: whoever looks
/// through a folder wants to hear that they were not judged.
pub fn is_image(head: &[u8]) -> bool {
    let is_other = match head {
        // HEIF files whose first bytes do not tell the codec.
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
            let brands: [&[u8]; 6] = [b"hei", b"hev", b"mif1", b"msf1", b"avif", b"avis"];
            brands.iter().any(|known| brand.starts_with(known))
        }
        // JPEG 2000, Photoshop, OpenEXR.
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [b'8', b'B', b'P', b'S', ..] | [0x76, 0x2f, 0x31, 0x01, ..] => true,
        _ => false,
    };
    is_other || Format::of(head).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_from_other_files_whatever_they_are_called() {
        for head in [
            &b"\xff\xd8\xff\xe0"[..],
            b"\0\0\0\x18ftypheic\0\0\0\0",
            b"\0\0\0\x1cftypavif",
            b"\xff\x0a\xf9",
            b"II\x2b\0\x08\0\0\0",
        ] {
            assert!(is_image(head), "{head:?}");
        }
        for head in [&b"%PDF-1.7"[..], b"#!/bin/sh\n", b"\0\0\0\x18ftypmp42", b"", b"BMW"] {
            assert!(!is_image(head), "{head:?}");
        }
    }
}
