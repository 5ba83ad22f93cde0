//! The frames of an animated GIF. Each is decoded as a GIF of its own: with the header and the palette of the whole.

use std::io::Read;

use super::blocks::{Block, Blocks, header};
use super::picture::{Colours, Picture, canvas};
use super::quality;
use crate::animation::{Animation, Disposal, Frame, MAX_FRAMES};
use crate::crop::Window;
use crate::{DecodeError, Limits, Quality};

const CONTROL: u8 = 0xf9;
const TRAILER: u8 = 0x3b;

pub(super) struct Frames<'a> {
    header: &'a [u8],
    canvas: (u32, u32),
    background: [u8; 3],
    frames: Vec<Frame>,
    stored: Vec<Stored<'a>>,
    count: u32,
    is_grey: bool,
    is_damaged: bool,
}

#[derive(Clone, Copy)]
struct Stored<'a> {
    transparent: Option<u8>,
    /// From its descriptor on.
    image: &'a [u8],
}

/// What the extension before a frame says of it.
#[derive(Clone, Copy, Default)]
struct Control {
    disposal: u8,
    transparent: Option<u8>,
}

impl<'a> Frames<'a> {
    /// `None` unless there are several.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Frames<'a>> {
        let header = header(bytes)?;
        let (mut frames, mut stored, mut count, mut is_damaged) = (Vec::new(), Vec::new(), 0_u32, false);
        let mut control = Control::default();
        for block in Blocks::of(bytes) {
            match block {
                Block::Extension { label: CONTROL, mut data } => control = Control::of(data.next()),
                Block::Extension { .. } => {}
                Block::Image(image) => {
                    let Control { disposal, transparent } = std::mem::take(&mut control);
                    count += 1;
                    is_damaged |= !image.is_whole;
                    if frames.len() < MAX_FRAMES {
                        frames.push(Frame {
                            place: Window {
                                left: image.left.into(),
                                top: image.top.into(),
                                width: image.width.into(),
                                height: image.height.into(),
                            },
                            disposal: disposal_of(disposal),
                            is_opaque: transparent.is_none(),
                            replaces: false,
                        });
                        stored.push(Stored { transparent, image: image.stored });
                    }
                }
            }
        }
        if count < 2 {
            return None;
        }
        let screen = [6, 8].map(|n| u32::from(u16::from_le_bytes([header[n], header[n + 1]])));
        let first = frames[0].place;
        let colours = Colours::of(palette(header, stored[0].image));
        Some(Frames {
            header,
            canvas: canvas((screen[0], screen[1]), (first.right(), first.bottom())),
            background: colours.of_index(stored[0].transparent.unwrap_or(0)),
            frames,
            stored,
            count,
            is_grey: colours.are_grey,
            is_damaged,
        })
    }
}

/// That of the frame, or else the global one.
fn palette<'a>(header: &'a [u8], image: &'a [u8]) -> &'a [u8] {
    let local = image.get(9).filter(|flags| *flags & 0x80 != 0).and_then(|flags| {
        let length = 3 << ((flags & 7) + 1);
        image.get(10..10 + length)
    });
    local.unwrap_or(&header[13..])
}

impl Control {
    fn of(data: Option<&[u8]>) -> Control {
        let Some(&[flags, _, _, transparent, ..]) = data else { return Control::default() };
        Control { disposal: flags >> 2 & 7, transparent: (flags & 1 == 1).then_some(transparent) }
    }
}

/// As browsers take it: some encoders wrote 4 for 3.
fn disposal_of(number: u8) -> Disposal {
    match number {
        2 => Disposal::Background,
        3 | 4 => Disposal::Previous,
        _ => Disposal::Keep,
    }
}

impl Animation for Frames<'_> {
    fn canvas(&self) -> (u32, u32) {
        self.canvas
    }

    fn background(&self) -> [u8; 3] {
        self.background
    }

    fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn decode(&self, frame: usize, part: &Window, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        let Stored { transparent, image } = self.stored[frame];
        let picture = Picture::read(self.header.chain(image).chain(&[TRAILER][..]), limits)?;
        let mut pixels = Vec::with_capacity(part.width * part.height * 4);
        for y in part.top..part.bottom() {
            for x in part.left..part.right() {
                let index = picture.index(x, y);
                let [red, green, blue] = picture.colours.of_index(index);
                pixels.extend([red, green, blue, if Some(index) == transparent { 0 } else { 255 }]);
            }
        }
        Ok(pixels)
    }

    fn quality(&self) -> Vec<Quality> {
        quality(self.stored[0].transparent.is_some(), self.is_grey)
    }

    fn is_damaged(&self) -> bool {
        self.is_damaged
    }
}
