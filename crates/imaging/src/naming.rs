//! What bytes are that are no image of a supported format, in a person's words: so that an error says what to convert.

use super::brands;

/// The kind of file that bytes begin; `None` where it is not a known one.
pub(super) fn of(bytes: &[u8]) -> Option<&'static str> {
    if let Some(name) = of_box_file(bytes) {
        return Some(name);
    }
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let at = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(magic));
    let known: [(bool, &'static str); 31] = [
        (begins(b"\0\0\0\x0cjP  \r\n\x87\n") || begins(b"\xff\x4f\xff\x51"), "a JPEG 2000 image"),
        (begins(b"8BPS"), "a Photoshop document (PSD)"),
        (begins(b"gimp xcf"), "a GIMP picture (XCF)"),
        (begins(b"\0\0\x01\0"), "a Windows icon (ICO)"),
        (begins(b"\0\0\x02\0"), "a Windows cursor (CUR)"),
        (begins(b"icns"), "a macOS icon (ICNS)"),
        (begins(b"\x76\x2f\x31\x01"), "an OpenEXR image"),
        (begins(b"#?RADIANCE") || begins(b"#?RGBE"), "a Radiance HDR image"),
        (begins(b"DDS "), "a DirectDraw texture (DDS)"),
        (begins(b"qoif"), "a QOI image"),
        (begins(b"IIRO") || begins(b"IIRS") || begins(b"MMOR"), "an Olympus camera's raw file (ORF)"),
        (begins(b"IIU\0"), "a Panasonic camera's raw file (RW2)"),
        (begins(b"FUJIFILMCCD-RAW"), "a Fujifilm camera's raw file (RAF)"),
        (begins(b"FOVb"), "a Sigma camera's raw file (X3F)"),
        (begins(b"II\xbc\x01"), "a JPEG XR image"),
        (begins(b"\xd7\xcd\xc6\x9a") || at(40, b" EMF"), "a Windows metafile"),
        (begins(b"%PDF"), "a PDF document"),
        (begins(b"%!PS") || begins(b"\xc5\xd0\xd3\xc6"), "a PostScript document"),
        (begins(b"\x1f\x8b"), "gzip data: what it holds was compressed once more"),
        (begins(b"PK\x03\x04"), "a ZIP archive"),
        (begins(b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
        (begins(b"Rar!"), "a RAR archive"),
        (begins(b"\x1a\x45\xdf\xa3"), "a Matroska or WebM video"),
        (begins(b"RIFF") && at(8, b"AVI "), "an AVI video"),
        (begins(b"RIFF"), "a RIFF file without an image in it"),
        (begins(b"OggS"), "an Ogg file"),
        (begins(b"ID3"), "an MP3 file"),
        (begins(b"SIMPLE  ="), "a FITS image"),
        (begins(b"AT&TFORM"), "a DjVu document"),
        (begins(b"\0\x05\x16\x07"), "a macOS companion file without the picture itself (AppleDouble)"),
        (begins(b"version https://git-lfs"), "a pointer of Git LFS, not the file itself"),
    ];
    known.iter().find_map(|&(is_it, name)| is_it.then_some(name)).or_else(|| of_text(bytes))
}

/// ISO's boxes, the container of camera files and MP4, by their major brand and, where that is a general one, by the others.
fn of_box_file(bytes: &[u8]) -> Option<&'static str> {
    let named = |brand: &[u8]| match brand {
        b"crx " => Some("a Canon camera's raw file (CR3)"),
        b"qt  " => Some("a QuickTime video (MOV)"),
        b"jp2 " | b"jpx " => Some("a JPEG 2000 image"),
        _ => None,
    };
    let (mut all, mut is_picture) = (brands::of(bytes)?, false);
    let found = all.find_map(|brand| {
        is_picture |= brands::is_of_pictures(brand);
        named(brand)
    });
    Some(found.unwrap_or(if is_picture { "a HEIF image" } else { "an MP4 video" }))
}

fn of_text(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head: Vec<u8> = text.iter().take(256).map(u8::to_ascii_lowercase).collect();
    let head = head.trim_ascii_start();
    let holds = |word: &[u8]| memchr::memmem::find(head, word).is_some();
    if head.starts_with(b"<svg") || head.starts_with(b"<?xml") && holds(b"<svg") {
        Some("an SVG drawing")
    } else if head.starts_with(b"<!doctype html") || head.starts_with(b"<html") {
        Some("a web page (HTML), perhaps an error page that was saved in place of the image")
    } else if head.starts_with(b"<?xml") {
        Some("an XML document, perhaps an error message that was saved in place of the image")
    } else if head.starts_with(b"{") || head.starts_with(b"[") {
        Some("JSON text")
    } else if head.starts_with(b"data:image/") {
        Some("a data: URL, not the bytes that it holds")
    } else if matches!(head.first_chunk(), Some(b"/9j/" | b"ivbo" | b"r0lg" | b"uklg")) {
        Some("an image written as Base64 text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::{DecodeError, Limits, decode};

    #[test]
    fn what_is_not_supported_is_named_in_a_persons_words() {
        for (bytes, name) in [
            (&b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf"[..], "a HEIF image"),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "a Canon camera's raw file (CR3)"),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "an MP4 video"),
            (b"8BPS\0\x01", "a Photoshop document (PSD)"),
            (b"\x1f\x8b\x08\0", "gzip data: what it holds was compressed once more"),
            (b"\xef\xbb\xbf<svg xmlns=", "an SVG drawing"),
            (
                b"\n<!DOCTYPE html><title>404",
                "a web page (HTML), perhaps an error page that was saved in place of the image",
            ),
            (b"/9j/4AAQSkZJRg", "an image written as Base64 text"),
            (b"RIFF\0\0\0\0WAVE", "a RIFF file without an image in it"),
        ] {
            assert_eq!(of(bytes), Some(name), "{}", bytes.escape_ascii());
            let limits = Limits { max_pixels: 100, max_decoded_bytes: 100 };
            let error = decode(bytes, &limits).unwrap_err();
            assert!(matches!(error, DecodeError::UnsupportedFormat { .. }), "{error}");
            assert!(error.to_string().contains(&format!("it is {name}; they begin")), "{error}");
        }
        for bytes in [&b"hello"[..], b"", b"\0", b"\0\0\0\x18ftyp"] {
            assert!(of(bytes).is_none_or(|name| name == "an MP4 video"), "{bytes:?}");
        }
    }
}
