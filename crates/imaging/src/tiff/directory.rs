//! The tags of a TIFF's directories, classic and BigTIFF, read only as far as decoding needs them.

/// Pages that are looked at, and directories within one.
const MAX_DIRECTORIES: usize = 8;
/// Entries that are read of one directory.
const MAX_ENTRIES: usize = 512;
/// Numbers that are read of one entry: as many as there are tiles of a very large image.
const MAX_NUMBERS: usize = 1 << 20;

pub(crate) mod tag {
    pub(crate) const SUBFILE: u16 = 254;
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const DESCRIPTION: u16 = 270;
    pub(crate) const MAKE: u16 = 271;
    pub(crate) const MODEL: u16 = 272;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTES: u16 = 279;
    pub(crate) const PLANAR: u16 = 284;
    pub(crate) const SOFTWARE: u16 = 305;
    pub(crate) const COLOUR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTES: u16 = 325;
    pub(crate) const SUB_DIRECTORIES: u16 = 330;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const XMP: u16 = 700;
    pub(crate) const EXIF: u16 = 34665;
    pub(crate) const USER_COMMENT: u16 = 37510;
    pub(crate) const DNG_VERSION: u16 = 50706;
    pub(crate) const C2PA: u16 = 52545;
}

/// How numbers lie in the file.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    bytes: &'a [u8],
    is_little: bool,
    pub is_big: bool,
}

pub(crate) struct Directory<'a> {
    file: File<'a>,
    /// Where it begins.
    pub at: usize,
    entries: Vec<Entry>,
    next: u64,
    /// Where that is written.
    next_at: usize,
}

struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where its value is, or where it is told where the value is.
    at: usize,
}

impl<'a> File<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> File<'a> {
        let is_little = bytes.starts_with(b"II");
        let version = if is_little { bytes.get(2) } else { bytes.get(3) };
        File { bytes, is_little, is_big: version == Some(&43) }
    }

    /// The first pages.
    pub(crate) fn pages(self) -> Vec<Directory<'a>> {
        let mut pages: Vec<Directory<'_>> = Vec::new();
        let mut at = if self.is_big { self.number(8, 8) } else { self.number(4, 4) };
        while let Some(place) = at.filter(|&place| place != 0 && pages.len() < MAX_DIRECTORIES) {
            let Some(page) = self.directory(place).filter(|page| pages.iter().all(|earlier| earlier.at != page.at))
            else {
                break;
            };
            at = Some(page.next);
            pages.push(page);
        }
        pages
    }

    fn directory(self, at: u64) -> Option<Directory<'a>> {
        let at = usize::try_from(at).ok()?;
        let (count_bytes, entry_bytes, word) = if self.is_big { (8, 20, 8) } else { (2, 12, 4) };
        let count = usize::try_from(self.number(at, count_bytes)?).ok()?;
        let first = at.checked_add(count_bytes)?;
        let mut entries = Vec::new();
        for n in 0..count.min(MAX_ENTRIES) {
            let at = first.checked_add(n * entry_bytes)?;
            let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
            entries.push(Entry { tag, kind, count: self.number(at + 4, word)?, at: at + 4 + word });
        }
        let behind = count.checked_mul(entry_bytes).and_then(|bytes| first.checked_add(bytes))?;
        // The last one need not say that none follows.
        let next = self.number(behind, word).unwrap_or(0);
        Some(Directory { file: self, at, entries, next, next_at: behind })
    }

    fn number(self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(if self.is_little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    }

    /// A number of two bytes as it is written in the file.
    pub(crate) fn short(self, number: u16) -> Vec<u8> {
        if self.is_little { number.to_le_bytes().to_vec() } else { number.to_be_bytes().to_vec() }
    }

    /// What makes a directory the only one: places in the file, and what to read there.
    pub(crate) fn with_only(self, directory: &Directory<'_>) -> [(usize, Vec<u8>); 2] {
        let (place, length) = if self.is_big { (8, 8) } else { (4, 4) };
        let mut first = (directory.at as u64).to_le_bytes()[..length].to_vec();
        if !self.is_little {
            first.reverse();
        }
        [(place, first), (directory.next_at, vec![0; length])]
    }
}

impl<'a> Directory<'a> {
    pub(crate) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag)?.first().copied()
    }

    /// `None` where the tag is missing, or its value is not all there.
    pub(crate) fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        let entry = self.entry(tag)?;
        let length = match entry.kind {
            1 | 7 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => return None,
        };
        let count = usize::try_from(entry.count).ok().filter(|&count| count <= MAX_NUMBERS)?;
        let bytes = self.value(entry, length)?;
        (0..count).map(|n| File { bytes, ..self.file }.number(n * length, length)).collect()
    }

    /// Bytes as they lie there.
    pub(crate) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.value(self.entry(tag)?, 1)
    }

    pub(crate) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// Where the value of a tag lies that holds a single short number.
    pub(crate) fn place_of_short(&self, tag: u16) -> Option<usize> {
        self.entry(tag).filter(|entry| entry.kind == 3 && entry.count == 1).map(|entry| entry.at)
    }

    /// The directory that a tag of this one points to.
    pub(crate) fn directory(&self, tag: u16) -> Option<Directory<'a>> {
        self.file.directory(self.number(tag)?)
    }

    /// The directories that this one names as its own.
    pub(crate) fn within(&self) -> Vec<Directory<'a>> {
        let places = self.numbers(tag::SUB_DIRECTORIES).unwrap_or_default();
        places.into_iter().take(MAX_DIRECTORIES).filter_map(|at| self.file.directory(at)).collect()
    }

    fn entry(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    fn value(&self, entry: &Entry, length: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(entry.count).ok()?.checked_mul(length)?;
        let word = if self.file.is_big { 8 } else { 4 };
        let at = if length <= word { entry.at } else { usize::try_from(self.file.number(entry.at, word)?).ok()? };
        self.file.bytes.get(at..at.checked_add(length)?)
    }
}
