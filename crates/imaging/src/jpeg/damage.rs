//! How much of a window libjpeg-turbo makes up where data is missing or unreadable.
//!
//! It says that it did, but not where. So the scans are walked over once more, with what libjpeg does at a marker that comes
//! too early, a code that there is not, and a restart marker out of order (its `jdhuff.c` and `jdmarker.c`). Of a progressive
//! image only the scans of first coefficients are: a block that has one is there, if coarse.

use super::entropy::{Bits, Code, read_block};
use super::excerpt::{Tables, read_codes};
use super::outline::{Coding, Component, Outline, Walk, has_no_body};
use crate::crop::Window;

/// What of a window is not from the file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Damage {
    /// The share of its pixels that was made up, 0 to 1.
    pub made_up: f64,
    /// Whether pixels may be wrong.
    pub is_doubtful: bool,
}

/// `None` where the coding is one that is not walked over.
pub(super) fn of(bytes: &[u8], outline: &Outline, window: &Window) -> Option<Damage> {
    if !matches!(outline.coding(), Coding::Sequential | Coding::Progressive) {
        return None;
    }
    let is_progressive = outline.coding() == Coding::Progressive;
    let (mut tables, mut interval) = (Tables::default(), 0);
    let mut damage = Damage::default();
    let mut walk = Walk::new(bytes.get(..outline.end)?);
    while let Some(marker) = walk.next_marker() {
        if has_no_body(marker) {
            continue;
        }
        let Some(body) = walk.segment() else { break };
        match marker {
            // Codes that don't fit leave those before them: libjpeg-turbo has refused the image by then.
            0xc4 => drop(read_codes(body, &mut tables)),
            0xdd => interval = body.first_chunk().map_or(0, |&two| usize::from(u16::from_be_bytes(two))),
            0xda => {
                let Some(scan) = Scan::of_header(body, outline, &tables, interval) else { continue };
                // Codes for first coefficients: nothing else tells whether a block is there.
                if !is_progressive || scan.begins_blocks {
                    let found = scan.walk(walk.rest(), window);
                    damage.made_up = damage.made_up.max(found.made_up);
                    damage.is_doubtful |= found.is_doubtful;
                }
            }
            _ => {}
        }
    }
    Some(damage)
}

struct Scan<'t> {
    /// Of each block of an MCU.
    blocks: Vec<(&'t Code, Option<&'t Code>)>,
    mcu_width: usize,
    mcu_height: usize,
    across: usize,
    /// MCUs between restart markers; 0 for none.
    interval: usize,
    /// Whether a progressive scan holds the high bits of first coefficients.
    begins_blocks: bool,
}

impl<'t> Scan<'t> {
    fn of_header(body: &[u8], outline: &Outline, tables: &'t Tables, interval: usize) -> Option<Scan<'t>> {
        let (&count, rest) = body.split_first()?;
        let (entries, spectrum) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, _, approximation] = spectrum.first_chunk::<3>()?;
        let most = |side: fn(&Component) -> u64| outline.components.iter().map(side).max().unwrap_or(1) as usize;
        let (most_across, most_down) = (most(|component| component.horizontal), most(|component| component.vertical));
        let is_progressive = outline.coding() == Coding::Progressive;
        let (mut blocks, mut mcu_width, mut mcu_height) = (Vec::new(), 8 * most_across, 8 * most_down);
        for entry in entries.chunks_exact(2) {
            let component = outline.components.iter().find(|component| component.id == entry[0])?;
            let of_kind = |kind: usize, number: u8| tables[kind].get(usize::from(number))?.as_ref();
            let begin = of_kind(0, entry[1] >> 4)?;
            let others = if is_progressive { None } else { Some(of_kind(1, entry[1] & 15)?) };
            let mut of_mcu = (component.horizontal * component.vertical) as usize;
            if count == 1 {
                // A component alone comes block by block, each as wide as its sampling makes it.
                of_mcu = 1;
                mcu_width /= component.horizontal as usize;
                mcu_height /= component.vertical as usize;
            }
            blocks.extend((0..of_mcu).map(|_| (begin, others)));
        }
        let across = (outline.width as usize).div_ceil(mcu_width);
        let begins_blocks = first == 0 && approximation >> 4 == 0;
        Some(Scan { blocks, mcu_width, mcu_height, across, interval, begins_blocks })
    }

    /// Walks over the scan down to the window's end.
    fn walk(&self, data: &[u8], window: &Window) -> Damage {
        let mut intervals = Intervals { bits: Bits::new(data), expected: 0, is_lost: false, is_out_of_order: false };
        // Whether there is data for the next MCU; whether something before it in its interval was unreadable.
        let (mut has_data, mut is_off) = (true, false);
        let (mut until_restart, mut pixels) = (self.interval, 0);
        let mut is_doubtful = false;
        for row in 0..window.bottom().div_ceil(self.mcu_height) {
            let down = overlap(row * self.mcu_height, self.mcu_height, window.top, window.bottom());
            for column in 0..self.across {
                if self.interval > 0 {
                    if until_restart == 0 {
                        has_data = intervals.next();
                        is_off = false;
                        until_restart = self.interval;
                    }
                    until_restart -= 1;
                }
                let mut is_sound = has_data;
                if has_data {
                    for &(first, others) in &self.blocks {
                        is_sound &= read_block(&mut intervals.bits, first, others);
                    }
                    // libjpeg fills this MCU up with zero bits, and gives those behind it no data.
                    has_data = !intervals.bits.has_overrun();
                    is_sound &= has_data;
                    is_off |= !is_sound;
                }
                let across = overlap(column * self.mcu_width, self.mcu_width, window.left, window.right());
                if across * down > 0 {
                    pixels += if is_sound { 0 } else { across * down };
                    is_doubtful |= !is_sound || is_off || intervals.is_lost || intervals.is_out_of_order;
                }
            }
        }
        Damage { made_up: pixels as f64 / (window.width * window.height) as f64, is_doubtful }
    }
}

/// How many of `length` places from `start` on lie between two others.
fn overlap(start: usize, length: usize, from: usize, to: usize) -> usize {
    (start + length).min(to).saturating_sub(start.max(from))
}

/// Bytes of a marker.
const MARKER: usize = 2;

/// From restart marker to restart marker.
struct Intervals<'a> {
    bits: Bits<'a>,
    /// The number of the next marker.
    expected: u8,
    /// Whether a marker was passed over that belongs elsewhere: all behind it may be out of place.
    is_lost: bool,
    /// The same for this interval alone.
    is_out_of_order: bool,
}

impl Intervals<'_> {
    /// Goes on to the next interval as libjpeg does; false where it has no data for it.
    fn next(&mut self) -> bool {
        let expected = self.expected;
        self.expected = (expected + 1) % 8;
        self.is_out_of_order = false;
        loop {
            let rest = self.bits.up_to_marker();
            let mut walk = Walk::within(rest);
            let Some(marker) = walk.next_marker() else {
                self.bits = Bits::new(&[]);
                return false;
            };
            let behind = walk.rest();
            let ahead = marker.wrapping_sub(0xd0).wrapping_sub(expected) % 8;
            match (marker, ahead) {
                (0xd0..=0xd7, 0) => {}
                // One of the next two: the data of this interval is lost.
                (0xd0..=0xd7, 1 | 2) => {
                    self.bits = Bits::new(&rest[rest.len() - behind.len() - MARKER..]);
                    return false;
                }
                // No marker, or one of the last two: it is passed over.
                (0xd0..=0xd7, 6 | 7) | (..0xc0, _) => {
                    self.is_out_of_order = true;
                    self.bits = Bits::new(behind);
                    continue;
                }
                // Too far away to be believed.
                (0xd0..=0xd7, _) => self.is_lost = true,
                // The scan ends.
                _ => {
                    self.bits = Bits::new(&rest[rest.len() - behind.len() - MARKER..]);
                    return false;
                }
            }
            self.bits = Bits::new(behind);
            return true;
        }
    }
}

#[cfg(test)]
mod tests;
