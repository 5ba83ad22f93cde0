//! The frames of an animated WebP.

use super::{Channels, Container};
use crate::animation::{self, Animation, Disposal, MAX_FRAMES};
use crate::crop::Window;
use crate::{DecodeError, Limits, Quality};

pub(super) struct Frames<'a> {
    canvas: (u32, u32),
    frames: Vec<animation::Frame>,
    stored: Vec<super::Frame<'a>>,
    count: u32,
    has_alpha: bool,
    is_damaged: bool,
}

impl<'a> Frames<'a> {
    /// `None` unless there are several.
    pub(crate) fn of(bytes: &'a [u8], limits: &Limits) -> Option<Frames<'a>> {
        let flags = *bytes.get(20)?;
        if bytes.get(12..16) != Some(b"VP8X") || flags & 2 == 0 {
            return None;
        }
        let whole = Container::open(bytes, false).ok();
        let is_damaged = whole.is_none();
        let file = whole.or_else(|| Container::open(bytes, true).ok())?;
        let (mut frames, mut stored) = (Vec::new(), Vec::new());
        for number in 0..file.frames.min(MAX_FRAMES as u32) {
            // Of the last one there may be too little to tell what it is.
            let Ok(frame) = file.frame(number, limits) else { break };
            frames.push(animation::Frame {
                place: frame.place(),
                disposal: if frame.is_cleared { Disposal::Background } else { Disposal::Keep },
                is_opaque: !frame.has_alpha,
                replaces: frame.replaces,
            });
            stored.push(frame);
        }
        let has_alpha = flags & 0x10 != 0 || stored.first().is_some_and(|frame: &super::Frame<'_>| frame.has_alpha);
        let is_several = file.frames > 1 && !frames.is_empty();
        let canvas = (file.canvas_width, file.canvas_height);
        is_several.then_some(Frames { canvas, frames, stored, count: file.frames, has_alpha, is_damaged })
    }
}

impl Animation for Frames<'_> {
    fn canvas(&self) -> (u32, u32) {
        self.canvas
    }

    fn background(&self) -> [u8; 3] {
        [0; 3]
    }

    fn frames(&self) -> &[animation::Frame] {
        &self.frames
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn decode(&self, frame: usize, part: &Window, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        let frame = &self.stored[frame];
        limits.afford(frame.decoding_bytes())?;
        frame.decode(part, Channels::Rgba, limits)
    }

    fn quality(&self) -> Vec<Quality> {
        self.has_alpha.then_some(Quality::Transparent).into_iter().collect()
    }

    fn is_damaged(&self) -> bool {
        self.is_damaged
    }
}
