//! Files made of boxes: AVIF and HEIC, JPEG XL in its container.

use super::exif;
use super::finder::Finder;

const C2PA: &[u8; 16] = b"\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81";
const XMP: &[u8; 16] = b"\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac";
/// Boxes that are looked at, at each level, and items.
const MAX_BOXES: usize = 1024;

/// Looks through the boxes of a whole file.
pub(super) fn look(bytes: &[u8], finder: &mut Finder) {
    for (name, body) in Boxes(bytes).take(MAX_BOXES) {
        match (&name, body) {
            (b"uuid", body) if body.starts_with(C2PA) => finder.c2pa(&body[C2PA.len()..]),
            (b"uuid", body) if body.starts_with(XMP) => finder.xmp(&body[XMP.len()..]),
            (b"jumb", body) if is_c2pa(body) => finder.c2pa(body),
            (b"xml ", body) => finder.xmp(body),
            (b"Exif", body) => exif_item(body, finder),
            // Its version and flags come first.
            (b"meta", [_, _, _, _, body @ ..]) => items(bytes, body, finder),
            _ => {}
        }
        if finder.is_spent() {
            return;
        }
    }
}

/// Whether a JUMBF box describes itself as Content Credentials, at its beginning.
pub(super) fn is_c2pa(body: &[u8]) -> bool {
    memchr::memmem::find(&body[..body.len().min(64)], b"c2pa").is_some()
}

/// Names and bodies; the last one may be cut off.
struct Boxes<'a>(&'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let (&[l0, l1, l2, l3, name @ ..], body) = self.0.split_first_chunk::<8>()?;
        let (head, length) = match u32::from_be_bytes([l0, l1, l2, l3]) {
            // Up to the end.
            0 => (8, self.0.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*body.first_chunk()?)).ok()?),
            length => (8, length as usize),
        };
        let all = &self.0[..length.min(self.0.len())];
        self.0 = &self.0[all.len()..];
        Some((name, all.get(head..)?))
    }
}

/// EXIF and XMP among the items of HEIF.
fn items(file: &[u8], meta: &[u8], finder: &mut Finder) {
    let child = |wanted: &[u8; 4]| Boxes(meta).take(MAX_BOXES).find(|(name, _)| name == wanted).map(|(_, body)| body);
    let (Some(infos), Some(places)) = (child(b"iinf"), child(b"iloc")) else { return };
    let Some(named) = kinds(infos) else { return };
    for (item, kind) in named {
        let Some(data) = place(places, item).and_then(|(at, length)| file.get(at..at.checked_add(length)?)) else {
            continue;
        };
        match &kind {
            b"Exif" => exif_item(data, finder),
            _ => finder.xmp(data),
        }
        if finder.is_spent() {
            return;
        }
    }
}

/// How far the TIFF lies behind these four bytes, then the TIFF.
fn exif_item(data: &[u8], finder: &mut Finder) {
    let Some((&offset, rest)) = data.split_first_chunk::<4>() else { return };
    if let Some(block) = rest.get(u32::from_be_bytes(offset) as usize..) {
        exif::look(block.strip_prefix(b"Exif\0\0").unwrap_or(block), finder);
    }
}

/// The items that are texts, with their kinds.
fn kinds(infos: &[u8]) -> Option<Vec<(u32, [u8; 4])>> {
    let mut at = Reader(infos);
    let version = at.number(1)?;
    at.number(3)?;
    at.number(if version == 0 { 2 } else { 4 })?;
    let mut found = Vec::new();
    for (name, body) in Boxes(at.0).take(MAX_BOXES) {
        if &name != b"infe" {
            continue;
        }
        let mut at = Reader(body);
        let version = at.number(1)?;
        at.number(3)?;
        let item = at.number(if version < 3 { 2 } else { 4 })? as u32;
        at.number(2)?;
        let kind = *at.0.first_chunk::<4>()?;
        if version >= 2 && [*b"Exif", *b"mime"].contains(&kind) {
            found.push((item, kind));
        }
    }
    Some(found)
}

/// Where in the file an item lies that is in one piece.
fn place(places: &[u8], wanted: u32) -> Option<(usize, usize)> {
    let mut at = Reader(places);
    let version = at.number(1)?;
    at.number(3)?;
    let sizes = at.number(2)?;
    let [offset_bytes, length_bytes, base_bytes, index_bytes] =
        [12, 8, 4, 0].map(|shift| (sizes >> shift & 15) as usize);
    let wide = if version < 2 { 2 } else { 4 };
    let count = at.number(wide)?;
    for _ in 0..count.min(MAX_BOXES as u64) {
        let item = at.number(wide)? as u32;
        let method = if version > 0 { at.number(2)? & 15 } else { 0 };
        at.number(2)?;
        let base = at.number(base_bytes)?;
        let extents = at.number(2)?;
        for extent in 0..extents.min(MAX_BOXES as u64) {
            if version > 0 {
                at.number(index_bytes)?;
            }
            let (offset, length) = (at.number(offset_bytes)?, at.number(length_bytes)?);
            if item == wanted && extent == 0 && method == 0 {
                let from = usize::try_from(base.checked_add(offset)?).ok()?;
                return Some((from, usize::try_from(length).ok()?));
            }
        }
    }
    None
}

/// Numbers one after the other, the high bytes first.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Of at most eight bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes).filter(|_| bytes <= 8)?;
        self.0 = rest;
        Some(number.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }
}
