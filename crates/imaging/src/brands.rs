//! The brands that a file of ISO's boxes begins with, and which codec's pictures they announce.

/// Codecs of pictures in HEIF files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Av1,
    Hevc,
}

/// The major brand and the others; `None` if it is no file of boxes.
pub(super) fn of(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (&[l0, l1, l2, l3, b'f', b't', b'y', b'p'], rest) = bytes.split_first_chunk::<8>()? else { return None };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    // Behind the major brand comes its version, and then the other brands.
    let brands = rest.get(..length.saturating_sub(8)).unwrap_or(rest).chunks_exact(4).take(32);
    Some(brands.enumerate().filter(|(number, _)| *number != 1).map(|(_, brand)| brand))
}

/// By the first brand that says so.
pub(super) fn codec(bytes: &[u8]) -> Option<Codec> {
    of(bytes)?.find_map(|brand| match brand {
        b"avif" | b"avis" => Some(Codec::Av1),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Some(Codec::Hevc),
        _ => None,
    })
}

/// Whether a brand says that there is a picture, of whatever codec.
pub(super) fn is_of_pictures(brand: &[u8]) -> bool {
    matches!(brand, b"mif1" | b"mif2" | b"msf1" | b"miaf")
}
