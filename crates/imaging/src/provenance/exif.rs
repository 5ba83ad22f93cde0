//! EXIF: a TIFF without a picture. Also what a TIFF says beside its picture.

use super::finder::Finder;
use crate::tiff::directory::{File, tag};

/// What reading its directories costs.
const DIRECTORIES: usize = 1 << 10;

/// What a TIFF or an EXIF block says, from its byte order mark on.
pub(super) fn look(bytes: &[u8], finder: &mut Finder) {
    if finder.is_spent() || !(bytes.starts_with(b"II") || bytes.starts_with(b"MM")) {
        return;
    }
    finder.spend(DIRECTORIES);
    let pages = File::new(bytes).pages();
    let Some(first) = pages.first() else { return };
    if let Some(make) = first.bytes(tag::MAKE) {
        finder.make(make);
        finder.comment(make);
    }
    if let Some(software) = first.bytes(tag::SOFTWARE) {
        finder.software(software);
    }
    // ComfyUI keeps its prompt in the make, the model or the description of files without text of their own.
    for text in [tag::MODEL, tag::DESCRIPTION].into_iter().filter_map(|tag| first.bytes(tag)) {
        finder.comment(text);
    }
    if let Some(comment) = first.directory(tag::EXIF).and_then(|exif| exif.bytes(tag::USER_COMMENT)) {
        finder.user_comment(comment);
    }
    if let Some(xmp) = first.bytes(tag::XMP) {
        finder.xmp(xmp);
    }
    if let Some(manifest) = first.bytes(tag::C2PA) {
        finder.c2pa(manifest);
    }
}
