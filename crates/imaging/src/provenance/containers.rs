//! Where in a file the texts are.

use super::finder::Finder;
use super::{boxes, exif};
use crate::gif::blocks::{Block, Blocks};
use crate::jpeg::outline::{Walk, has_no_body};
use crate::png::chunks::Chunks;

/// Looks through a file of any format, told by its first bytes.
pub(super) fn look(bytes: &[u8], finder: &mut Finder) {
    match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes, finder),
        [0x89, b'P', b'N', b'G', ..] => png(bytes, finder),
        [b'R', b'I', b'F', b'F', ..] => riff(bytes, finder),
        [b'G', b'I', b'F', b'8', ..] => gif(bytes, finder),
        [b'I', b'I', ..] | [b'M', b'M', ..] => exif::look(bytes, finder),
        // ISO base media files (AVIF, HEIC), and JPEG XL in a container.
        [_, _, _, _, b'f', b't', b'y', b'p', ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => {
            boxes::look(bytes, finder);
        }
        _ => {}
    }
}

fn jpeg(bytes: &[u8], finder: &mut Finder) {
    const SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut walk = Walk::new(bytes);
    while let Some(marker) = walk.next_marker().filter(|&marker| marker != SCAN && marker != END) {
        if has_no_body(marker) {
            continue;
        }
        let Some(body) = walk.segment() else { return };
        match marker {
            0xe1 => {
                if let Some(block) = body.strip_prefix(b"Exif\0\0") {
                    exif::look(block, finder);
                } else if let Some(text) = body.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    finder.xmp(text);
                }
            }
            // JUMBF, perhaps in several segments, each with the head of the first.
            0xeb if body.starts_with(b"JP") && (finder.found.has_c2pa || boxes::is_c2pa(body)) => finder.c2pa(body),
            0xfe => finder.comment(body),
            _ => {}
        }
        if finder.is_spent() {
            return;
        }
    }
}

fn png(bytes: &[u8], finder: &mut Finder) {
    for chunk in Chunks::of(bytes) {
        match &chunk.name {
            b"tEXt" => {
                if let Some((key, text)) = split(chunk.data) {
                    finder.keyed(key, text);
                }
            }
            b"zTXt" => {
                // A byte says how it is packed; there is one way.
                if let Some((key, [0, packed @ ..])) = split(chunk.data) {
                    finder.packed(key, packed);
                }
            }
            b"iTXt" => {
                international(chunk.data, finder);
            }
            b"eXIf" => exif::look(chunk.data, finder),
            b"caBX" => finder.c2pa(chunk.data),
            _ => {}
        }
        if finder.is_spent() {
            return;
        }
    }
}

/// Its key, whether it is packed and how, its language, its key in that, the text.
fn international(data: &[u8], finder: &mut Finder) -> Option<()> {
    let (key, rest) = split(data)?;
    let (&[is_packed, _], rest) = rest.split_first_chunk::<2>()?;
    let (_, rest) = split(rest)?;
    let (_, text) = split(rest)?;
    match is_packed {
        0 => finder.keyed(key, text),
        _ => finder.packed(key, text),
    }
    Some(())
}

/// What lies before the first zero and behind it.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, data)?;
    Some((&data[..at], &data[at + 1..]))
}

/// WebP.
fn riff(bytes: &[u8], finder: &mut Finder) {
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((&[n0, n1, n2, n3, l0, l1, l2, l3], body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let data = &body[..length.min(body.len())];
        match &[n0, n1, n2, n3] {
            b"EXIF" => exif::look(data.strip_prefix(b"Exif\0\0").unwrap_or(data), finder),
            b"XMP " => finder.xmp(data),
            b"C2PA" => finder.c2pa(data),
            _ => {}
        }
        if finder.is_spent() {
            return;
        }
        // An odd length is filled up.
        rest = body.get(length.saturating_add(length & 1)..).unwrap_or_default();
    }
}

fn gif(bytes: &[u8], finder: &mut Finder) {
    const COMMENT: u8 = 0xfe;
    const APPLICATION: u8 = 0xff;
    for block in Blocks::of(bytes) {
        match block {
            Block::Extension { label: COMMENT, mut data } => {
                if let Some(text) = data.next() {
                    finder.comment(text);
                }
            }
            Block::Extension { label: APPLICATION, mut data } => match data.next() {
                // Its text stands there as it is: what looks like the lengths of pieces are letters of it.
                Some(b"XMP DataXMP") => finder.xmp(data.rest()),
                Some(name) if name.starts_with(b"C2PA_GIF") => finder.c2pa(data.rest()),
                _ => {}
            },
            _ => {}
        }
        if finder.is_spent() {
            return;
        }
    }
}
