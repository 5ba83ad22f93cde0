//! The chunks of a PNG: which of them tell the pixels, and what Apple's kind of PNG makes of them.

/// Bytes before the first chunk.
pub(super) const SIGNATURE: usize = 8;

/// The chunks in order, each with its name and data; of one that is cut off, what is there.
pub(crate) struct Chunks<'a>(&'a [u8]);

pub(crate) struct Chunk<'a> {
    pub name: [u8; 4],
    pub data: &'a [u8],
    /// With its length and its check sum; `None` where it is cut off.
    pub whole: Option<&'a [u8]>,
    /// As much of that as there is.
    pub stored: &'a [u8],
}

impl<'a> Chunks<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Chunks<'a> {
        Chunks(bytes.get(SIGNATURE..).unwrap_or_default())
    }

    /// Those of a part of a file that begins with one.
    pub(crate) fn within(bytes: &'a [u8]) -> Chunks<'a> {
        Chunks(bytes)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (&[l0, l1, l2, l3, name @ ..], body) = self.0.split_first_chunk::<8>()?;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        // The check sum takes 4 bytes.
        let whole = length.checked_add(12).and_then(|length| self.0.get(..length));
        let stored = whole.unwrap_or(self.0);
        self.0 = &self.0[stored.len()..];
        Some(Chunk { name, data: body.get(..length).unwrap_or(body), whole, stored })
    }
}

/// Whether the chunks follow one another up to IEND.
pub(super) fn runs_to_its_end(bytes: &[u8]) -> bool {
    Chunks::of(bytes).take_while(|chunk| chunk.whole.is_some()).any(|chunk| &chunk.name == b"IEND")
}

/// The file without those chunks that tell nothing about pixels; `None` if it has none of them.
pub(super) fn without_accessories(bytes: &[u8]) -> Option<Vec<u8>> {
    // The first letter is small.
    let is_accessory = |chunk: &Chunk<'_>| chunk.name[0] & 0x20 != 0 && &chunk.name != b"tRNS";
    if !Chunks::of(bytes).any(|chunk| is_accessory(&chunk)) {
        return None;
    }
    let mut kept = bytes[..SIGNATURE].to_vec();
    Chunks::of(bytes).filter(|chunk| !is_accessory(chunk)).for_each(|chunk| kept.extend(chunk.stored));
    Some(kept)
}

/// In place of one that nobody looks at.
const CHECK_SUM: [u8; 4] = [0; 4];

/// Appends a chunk of these parts to a file whose check sums are not looked at.
pub(super) fn append(file: &mut Vec<u8>, name: &[u8; 4], parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    file.extend((length as u32).to_be_bytes());
    file.extend(name);
    parts.iter().for_each(|part| file.extend(*part));
    file.extend(CHECK_SUM);
}

/// Whether it is of the kind that Xcode makes for iPhones: marked by a chunk that comes first.
pub(super) fn is_apples(bytes: &[u8]) -> bool {
    Chunks::of(bytes).next().is_some_and(|chunk| &chunk.name == b"CgBI")
}

/// A file of Apple's kind as a usual one, but for the order and the meaning of the channels: the compressed data has neither a
/// header nor a check sum there. The chunks' own check sums are not made anew.
pub(super) fn from_apples(bytes: &[u8]) -> Vec<u8> {
    /// Of zlib's header: 32 kB of window.
    const HEADER: [u8; 2] = [0x78, 0x01];
    let mut usual = bytes[..SIGNATURE].to_vec();
    let (mut is_first, mut is_open) = (true, false);
    for chunk in Chunks::of(bytes) {
        match &chunk.name {
            b"IDAT" => {
                append(&mut usual, b"IDAT", &[if is_first { &HEADER } else { b"" }, chunk.data]);
                (is_first, is_open) = (false, true);
            }
            b"IHDR" | b"PLTE" | b"tRNS" | b"IEND" => {
                if std::mem::take(&mut is_open) {
                    append(&mut usual, b"IDAT", &[&CHECK_SUM]);
                }
                append(&mut usual, &chunk.name, &[chunk.data]);
            }
            _ => {}
        }
    }
    usual
}
