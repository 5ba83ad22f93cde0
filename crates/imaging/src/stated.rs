//! What a file says of how its image is turned to be looked at, as browsers read it.

use super::format::Format;
use super::jpeg::outline::{Walk, has_no_body};
use super::orientation::Orientation;
use super::png::chunks::Chunks;
use super::tiff::directory::{File, tag};
use super::{Limits, contained, heif, jxl};

/// Of stored pixels as the decoders give them: a TIFF is turned already. What can't be read says nothing.
pub(super) fn orientation(format: Format, bytes: &[u8], limits: &Limits) -> Orientation {
    let read = || {
        Ok(match format {
            Format::Jpeg => of_jpeg(bytes).and_then(of_exif),
            Format::Png => of_png(bytes).and_then(of_exif),
            Format::Webp => of_webp(bytes).and_then(of_exif),
            // There the container's own word counts, and EXIF's does not.
            Format::Avif | Format::Heic => heif::orientation(bytes),
            Format::Jxl => jxl::orientation(bytes, limits),
            Format::Gif | Format::Bmp | Format::Tiff => None,
        })
    };
    contained(format, read).ok().flatten().unwrap_or(Orientation::STORED)
}

fn of_exif(block: &[u8]) -> Option<Orientation> {
    if !(block.starts_with(b"II") || block.starts_with(b"MM")) {
        return None;
    }
    Orientation::of(File::new(block).pages().first()?.number(tag::ORIENTATION)?)
}

fn of_jpeg(bytes: &[u8]) -> Option<&[u8]> {
    const SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut walk = Walk::new(bytes);
    while let Some(marker) = walk.next_marker().filter(|&marker| marker != SCAN && marker != END) {
        if has_no_body(marker) {
            continue;
        }
        let body = walk.segment()?;
        if let Some(block) = body.strip_prefix(b"Exif\0\0").filter(|_| marker == 0xe1) {
            return Some(block);
        }
    }
    None
}

fn of_png(bytes: &[u8]) -> Option<&[u8]> {
    Chunks::of(bytes).find(|chunk| &chunk.name == b"eXIf").map(|chunk| chunk.data)
}

fn of_webp(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(12..)?;
    loop {
        let (&[n0, n1, n2, n3, l0, l1, l2, l3], body) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if &[n0, n1, n2, n3] == b"EXIF" {
            let block = body.get(..length)?;
            return Some(block.strip_prefix(b"Exif\0\0").unwrap_or(block));
        }
        // An odd length is filled up.
        rest = body.get(length.saturating_add(length & 1)..)?;
    }
}
