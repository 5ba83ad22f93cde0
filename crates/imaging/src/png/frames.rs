//! The frames of an animated PNG (APNG).
//!
//! Each is decoded as a PNG of its own, made of its chunks: with the header and the palette of the whole, and its own sides.

use super::chunks::{Chunk, Chunks, SIGNATURE, append};
use super::{Order, Reading, decode_stored};
use crate::animation::{Animation, Disposal, Frame, MAX_FRAMES};
use crate::crop::Window;
use crate::{DecodeError, Limits, Quality};

pub(super) struct Frames<'a> {
    /// The data of IHDR.
    header: &'a [u8; 13],
    /// Chunks that concern every frame.
    palette: Option<&'a [u8]>,
    transparency: Option<&'a [u8]>,
    frames: Vec<Frame>,
    /// For each frame the chunks from the first with its data to the last.
    stored: Vec<&'a [u8]>,
    count: u32,
    /// The picture that stands in a still image's place is none of the frames.
    hides_default: bool,
    is_damaged: bool,
}

impl<'a> Frames<'a> {
    /// `None` for a still image: also if what it says of frames makes no sense.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Frames<'a>> {
        let mut chunks = Chunks::of(bytes);
        let first = chunks.next().filter(|chunk| &chunk.name == b"IHDR")?;
        let header = <&[u8; 13]>::try_from(first.data).ok()?;
        let mut listing = Listing { bytes, frames: Frames::none(header), declared: 0, open: None };
        let mut at = SIGNATURE + first.stored.len();
        for chunk in chunks {
            let end = at + chunk.stored.len();
            if listing.take(&chunk, at, end).is_none() || &chunk.name == b"IEND" {
                break;
            }
            listing.frames.is_damaged |= chunk.whole.is_none();
            at = end;
        }
        listing.close();
        let mut frames = listing.frames;
        let is_opaque = !frames.has_alpha();
        frames.frames.iter_mut().for_each(|frame| frame.is_opaque = is_opaque);
        (frames.count > 1 || (frames.count == 1 && frames.hides_default)).then_some(frames)
    }

    fn none(header: &[u8; 13]) -> Frames<'_> {
        Frames {
            header,
            palette: None,
            transparency: None,
            frames: Vec::new(),
            stored: Vec::new(),
            count: 0,
            hides_default: false,
            is_damaged: false,
        }
    }

    fn has_alpha(&self) -> bool {
        matches!(self.header[9], 4 | 6) || self.transparency.is_some()
    }
}

/// Frames as they are found.
struct Listing<'a> {
    bytes: &'a [u8],
    frames: Frames<'a>,
    /// How many frames the file says it has; 0 before it does.
    declared: u32,
    open: Option<Open>,
}

/// A frame whose data is not all found.
struct Open {
    frame: Frame,
    kind: Option<[u8; 4]>,
    /// Where its chunks of data begin and end in the file.
    from: usize,
    to: usize,
}

impl Open {
    fn is_whole(&self, header: &[u8; 13]) -> bool {
        let Window { left, top, width, height } = self.frame.place;
        (left, top) == (0, 0) && [(width as u32).to_be_bytes(), (height as u32).to_be_bytes()].concat() == header[..8]
    }
}

impl<'a> Listing<'a> {
    /// `None` where no more frames come.
    fn take(&mut self, chunk: &Chunk<'a>, at: usize, end: usize) -> Option<()> {
        match &chunk.name {
            b"PLTE" => self.frames.palette = self.frames.palette.or(Some(chunk.data)),
            b"tRNS" => self.frames.transparency = self.frames.transparency.or(Some(chunk.data)),
            b"acTL" if self.declared == 0 && chunk.data.len() == 8 => {
                self.declared = u32::from_be_bytes(*chunk.data.first_chunk()?);
            }
            // What says that there are frames comes before the first picture.
            b"IDAT" if self.declared == 0 => return None,
            b"fcTL" if self.declared > 0 => {
                self.close();
                if self.frames.count == self.declared {
                    return None;
                }
                let frame = frame(chunk.data, self.frames.header)?;
                self.open = Some(Open { frame, kind: None, from: 0, to: 0 });
            }
            b"IDAT" | b"fdAT" => match &mut self.open {
                // The default image has the sides of the whole, or it is no frame.
                Some(open) if &chunk.name == b"IDAT" && !open.is_whole(self.frames.header) => {
                    self.open = None;
                    return None;
                }
                Some(open) if open.kind.is_none() => {
                    (open.kind, open.from, open.to) = (Some(chunk.name), at, end);
                }
                Some(open) if open.kind == Some(chunk.name) => open.to = end,
                None if &chunk.name == b"IDAT" => self.frames.hides_default = true,
                _ => return None,
            },
            _ => {}
        }
        Some(())
    }

    /// The frame is at its end.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.frames.count += 1;
        if self.frames.frames.len() < MAX_FRAMES {
            self.frames.frames.push(open.frame);
            self.frames.stored.push(&self.bytes[open.from..open.to]);
        }
    }
}

/// From the data of fcTL; `None` where it makes no sense.
fn frame(data: &[u8], header: &[u8; 13]) -> Option<Frame> {
    let data = <&[u8; 26]>::try_from(data).ok()?;
    let number = |bytes: &[u8], n: usize| bytes[n..].first_chunk().map(|&four| u32::from_be_bytes(four));
    let [width, height, left, top] = [number(data, 4)?, number(data, 8)?, number(data, 12)?, number(data, 16)?];
    let fits = |side: u32, from: u32, whole: u32| side > 0 && from.checked_add(side).is_some_and(|end| end <= whole);
    if !fits(width, left, number(header, 0)?) || !fits(height, top, number(header, 4)?) {
        return None;
    }
    let disposal = match data[24] {
        0 => Disposal::Keep,
        1 => Disposal::Background,
        2 => Disposal::Previous,
        _ => return None,
    };
    let [left, top, width, height] = [left, top, width, height].map(|number| number as usize);
    let place = Window { left, top, width, height };
    Some(Frame { place, disposal, is_opaque: false, replaces: data[25] == 0 })
}

impl Animation for Frames<'_> {
    fn canvas(&self) -> (u32, u32) {
        let side = |n: usize| self.header[n..].first_chunk().map_or(0, |&four| u32::from_be_bytes(four));
        (side(0), side(4))
    }

    fn background(&self) -> [u8; 3] {
        [0; 3]
    }

    fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn decode(&self, frame: usize, part: &Window, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        let stored = self.stored[frame];
        limits.afford(stored.len() as u64)?;
        let place = self.frames[frame].place;
        let mut header = *self.header;
        header[..4].copy_from_slice(&(place.width as u32).to_be_bytes());
        header[4..8].copy_from_slice(&(place.height as u32).to_be_bytes());
        let mut file = self.before_data(&header, stored.len());
        for chunk in Chunks::within(stored) {
            match &chunk.name {
                b"IDAT" => append(&mut file, b"IDAT", &[chunk.data]),
                // Its number comes first.
                b"fdAT" => append(&mut file, b"IDAT", &[chunk.data.get(4..).unwrap_or_default()]),
                _ => {}
            }
        }
        append(&mut file, b"IEND", &[]);
        let reading = Reading { order: Order::Usual, is_made_here: true, has_alpha: true };
        let decoded = decode_stored(&file, reading, |_, _| *part, limits)?;
        Ok(decoded.window)
    }

    fn quality(&self) -> Vec<Quality> {
        let transparent = self.has_alpha().then_some(Quality::Transparent);
        let greyscale = matches!(self.header[9], 0 | 4).then_some(Quality::Greyscale);
        transparent.into_iter().chain(greyscale).collect()
    }

    fn is_damaged(&self) -> bool {
        self.is_damaged
    }
}

impl Frames<'_> {
    /// What comes before a frame's data.
    fn before_data(&self, header: &[u8; 13], length: usize) -> Vec<u8> {
        let mut file = Vec::with_capacity(length + 1200);
        file.extend(b"\x89PNG\r\n\x1a\n");
        append(&mut file, b"IHDR", &[header]);
        if let Some(palette) = self.palette {
            append(&mut file, b"PLTE", &[palette]);
        }
        if let Some(transparency) = self.transparency {
            append(&mut file, b"tRNS", &[transparency]);
        }
        file
    }
}
