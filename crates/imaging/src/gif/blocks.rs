//! The blocks of a GIF, without what they hold: where its frames are, and what is written beside them.

/// So many bytes come before the global palette.
const HEADER: usize = 13;

/// The blocks in order, up to the trailer or to what is none, where viewers stop too.
pub(crate) struct Blocks<'a> {
    bytes: &'a [u8],
    at: usize,
}

pub(crate) enum Block<'a> {
    /// With what its sub-blocks begin with.
    Extension {
        label: u8,
        data: SubBlocks<'a>,
    },
    Image(Image<'a>),
}

pub(crate) struct Image<'a> {
    pub left: u16,
    pub top: u16,
    pub width: u16,
    pub height: u16,
    /// With its descriptor and palette, as far as it is there.
    pub stored: &'a [u8],
    pub is_whole: bool,
}

/// Pieces of at most 255 bytes.
pub(crate) struct SubBlocks<'a> {
    bytes: &'a [u8],
    at: usize,
    /// An empty one has come.
    is_at_end: bool,
}

/// The header with the screen and the global palette; `None` if it is cut off.
pub(crate) fn header(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..HEADER + palette_bytes(*bytes.get(10)?))
}

fn palette_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

impl<'a> Blocks<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Blocks<'a> {
        Blocks { bytes, at: header(bytes).map_or(bytes.len(), <[u8]>::len) }
    }

    /// And whether their end is there.
    fn sub_blocks(&mut self) -> (SubBlocks<'a>, bool) {
        let start = self.at;
        let mut walk = SubBlocks { bytes: self.bytes, at: start, is_at_end: false };
        walk.by_ref().for_each(drop);
        self.at = walk.at;
        (SubBlocks { bytes: &self.bytes[..walk.at], at: start, is_at_end: false }, walk.is_at_end)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let start = self.at;
        match self.bytes.get(start)? {
            0x21 => {
                let label = *self.bytes.get(start + 1)?;
                self.at = start + 2;
                Some(Block::Extension { label, data: self.sub_blocks().0 })
            }
            0x2c => {
                let descriptor: &[u8; 9] = self.bytes.get(start + 1..)?.first_chunk()?;
                let [left, top, width, height] =
                    [0, 2, 4, 6].map(|n| u16::from_le_bytes([descriptor[n], descriptor[n + 1]]));
                // Behind the palette stands how long codes are.
                self.at = (start + 10 + palette_bytes(descriptor[8]) + 1).min(self.bytes.len());
                let (_, is_whole) = self.sub_blocks();
                let stored = &self.bytes[start..self.at];
                Some(Block::Image(Image { left, top, width, height, stored, is_whole }))
            }
            _ => None,
        }
    }
}

impl<'a> SubBlocks<'a> {
    /// What was not walked over, the lengths of the pieces included.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

impl<'a> Iterator for SubBlocks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.is_at_end {
            return None;
        }
        let length = usize::from(*self.bytes.get(self.at)?);
        self.at += 1;
        if length == 0 {
            self.is_at_end = true;
            return None;
        }
        let piece = &self.bytes[self.at..(self.at + length).min(self.bytes.len())];
        self.at += piece.len();
        Some(piece)
    }
}
