//! The part of a JPEG that a window needs, as a smaller JPEG.
//!
//! Each block keeps its coefficients, so libjpeg-turbo makes the same pixels of them. It is spared the blocks around, which
//! are walked over (see [`super::entropy`]) instead of decoded, at about half the cost. A block's first coefficient is coded as
//! a difference to the block before, so only that is written anew.
//!
//! Only what is well formed is walked over: where anything else is found there is no excerpt, and libjpeg-turbo gets the
//! whole image.

use std::ops::Range;

use super::entropy::{Bits, Code, Runs};
use super::outline::{Outline, Walk};
use super::writer::{DIFFERENCE_COUNTS, DIFFERENCE_SYMBOLS, Writer, put_difference};
use crate::crop::Window;

/// Pixels around the window that decide about pixels within: upsampling looks at the neighbouring chroma sample, and
/// one is at most two pixels large where it does.
pub(super) const MARGIN: usize = 2;
/// libjpeg's limit.
const MAX_BLOCKS_IN_MCU: usize = 10;
/// More than any camera writes; a file may have millions, and each takes memory here.
const MAX_SEGMENTS: usize = 1000;

/// The end of a sequential scan's header.
const SPECTRUM: [u8; 3] = [0, 63, 0];

pub(super) struct Excerpt {
    pub bytes: Vec<u8>,
    /// Where its corner lies in the image.
    pub left: usize,
    pub top: usize,
}

/// `None` where there is none, or where it would not pay.
pub(super) fn excerpt(bytes: &[u8], outline: &Outline, window: &Window) -> Option<Excerpt> {
    let grid = Grid::new(outline, window)?;
    let head = Head::read(bytes, outline)?;
    let (left, top) = (grid.columns.start * grid.mcu_width, grid.rows.start * grid.mcu_height);
    let width = (grid.columns.end * grid.mcu_width).min(outline.width as usize) - left;
    let height = (grid.rows.end * grid.mcu_height).min(outline.height as usize) - top;
    let writer = Writer::behind(head.rewritten(u16::try_from(width).ok()?, u16::try_from(height).ok()?)?);
    let mut bytes = copy(&head, &grid, writer)?.finish();
    bytes.extend([0xff, 0xd9]);
    Some(Excerpt { bytes, left, top })
}

/// Which MCUs are kept.
struct Grid {
    mcu_width: usize,
    mcu_height: usize,
    /// MCUs of a row of the image.
    across: usize,
    columns: Range<usize>,
    rows: Range<usize>,
}

impl Grid {
    fn new(outline: &Outline, window: &Window) -> Option<Grid> {
        let is_alone = outline.components.len() == 1;
        // A single component comes block by block, whatever its sampling.
        let largest = |side: fn(&super::outline::Component) -> u64| {
            if is_alone { 1 } else { outline.components.iter().map(side).max().unwrap_or(1) as usize }
        };
        let (mcu_width, mcu_height) =
            (8 * largest(|component| component.horizontal), 8 * largest(|component| component.vertical));
        let (across, down) =
            ((outline.width as usize).div_ceil(mcu_width), (outline.height as usize).div_ceil(mcu_height));
        let kept = |from: usize, to: usize, mcu: usize, all: usize| {
            from.saturating_sub(MARGIN) / mcu..(to + MARGIN).div_ceil(mcu).min(all)
        };
        let columns = kept(window.left, window.right(), mcu_width, across);
        let rows = kept(window.top, window.bottom(), mcu_height, down);
        // Walking costs about half of decoding, and what is kept is decoded as well.
        let pays = across * rows.end / 2 + columns.len() * rows.len() < across * down;
        pays.then_some(Grid { mcu_width, mcu_height, across, columns, rows })
    }
}

/// What comes before the entropy-coded data of the only scan.
struct Head<'a> {
    /// Marker and body, up to the scan's own.
    segments: Vec<(u8, &'a [u8])>,
    /// Of each block of an MCU, in the order of the scan.
    blocks: Vec<Block>,
    differences: [Option<Code>; 4],
    others: [Option<Runs>; 4],
    /// MCUs between restart markers; 0 for none.
    interval: usize,
    data: &'a [u8],
}

#[derive(Clone, Copy)]
struct Block {
    /// By its place in the scan.
    component: usize,
    difference: usize,
    others: usize,
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8], outline: &Outline) -> Option<Head<'a>> {
        if !outline.is_one_sequential_scan() {
            return None;
        }
        let (mut segments, mut interval) = (Vec::new(), 0);
        let mut tables = Tables::default();
        let mut walk = Walk::new(bytes);
        loop {
            let marker = walk.next_marker()?;
            if matches!(marker, 0x01 | 0xd0..=0xd7) {
                continue;
            }
            let body = walk.segment()?;
            match marker {
                0xc4 => read_codes(body, &mut tables)?,
                0xdd => interval = usize::from(u16::from_be_bytes(body.try_into().ok()?)),
                _ => {}
            }
            if segments.len() == MAX_SEGMENTS {
                return None;
            }
            segments.push((marker, body));
            if marker == 0xda {
                let blocks = blocks(body, outline)?;
                let [differences, others] = tables;
                let others = others.map(|code| code.map(Runs::new));
                return Some(Head { segments, blocks, differences, others, interval, data: walk.rest() });
            }
        }
    }

    /// The same for an image of this size, without restart markers and with a code of our own for first coefficients.
    fn rewritten(&self, width: u16, height: u16) -> Option<Vec<u8>> {
        let mut bytes = vec![0xff, 0xd8];
        for &(marker, body) in &self.segments {
            match marker {
                // Restarts, and what tells nothing about pixels: EXIF, profiles, comments.
                0xdd | 0xe1..=0xed | 0xef | 0xfe => continue,
                0xc0..=0xc1 => {
                    let (bits, rest) = (*body.first()?, body.get(5..)?);
                    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
                    append(&mut bytes, marker, &[&[bits], &size[..], rest].concat());
                }
                0xda => {
                    for id in 0..4 {
                        if self.blocks.iter().any(|block| block.difference == id) {
                            append(
                                &mut bytes,
                                0xc4,
                                &[&[id as u8], &DIFFERENCE_COUNTS[..], &DIFFERENCE_SYMBOLS].concat(),
                            );
                        }
                    }
                    let entries = body.len().checked_sub(SPECTRUM.len())?;
                    append(&mut bytes, marker, &[&body[..entries], &SPECTRUM].concat());
                }
                _ => append(&mut bytes, marker, body),
            }
        }
        Some(bytes)
    }
}

fn append(bytes: &mut Vec<u8>, marker: u8, body: &[u8]) {
    bytes.extend([0xff, marker]);
    // A body that was read has a length of 16 bits, and none grows.
    bytes.extend((body.len() as u16 + 2).to_be_bytes());
    bytes.extend(body);
}

/// Codes of first coefficients and of the others, each by its number.
pub(super) type Tables = [[Option<Code>; 4]; 2];

/// From the body of a segment that defines codes.
pub(super) fn read_codes(mut body: &[u8], tables: &mut Tables) -> Option<()> {
    while let Some((&kind, rest)) = body.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>()?;
        let symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(symbols)?;
        *tables.get_mut(usize::from(kind >> 4))?.get_mut(usize::from(kind & 15))? = Some(Code::new(counts, symbols)?);
        body = rest;
    }
    Some(())
}

/// From the body of the scan's header.
fn blocks(body: &[u8], outline: &Outline) -> Option<Vec<Block>> {
    let (&count, rest) = body.split_first()?;
    let (entries, spectrum) = rest.split_at_checked(2 * usize::from(count))?;
    // The spectrum of a sequential scan is always all of it, whatever three bytes say so: libjpeg-turbo too ignores them.
    if usize::from(count) != outline.components.len() || spectrum.len() != SPECTRUM.len() {
        return None;
    }
    let mut blocks = Vec::new();
    for (place, entry) in entries.chunks_exact(2).enumerate() {
        if entries[..2 * place].chunks_exact(2).any(|earlier| earlier[0] == entry[0]) {
            return None;
        }
        let component = outline.components.iter().find(|component| component.id == entry[0])?;
        let block =
            Block { component: place, difference: usize::from(entry[1] >> 4), others: usize::from(entry[1] & 15) };
        let of_mcu = if count == 1 { 1 } else { component.horizontal * component.vertical };
        blocks.extend((0..of_mcu).map(|_| block));
    }
    (blocks.len() <= MAX_BLOCKS_IN_MCU).then_some(blocks)
}

/// First coefficients, of each component.
type Firsts = [i32; 4];

/// Further from zero than any 8-bit image goes, and near enough for differences to be written.
const FARTHEST: i32 = 1 << 14;

/// Walks up to the last MCU that is kept, and writes those that are.
fn copy(head: &Head<'_>, grid: &Grid, mut writer: Writer) -> Option<Writer> {
    let blocks = head
        .blocks
        .iter()
        .map(|block| {
            let (difference, others) = (head.differences.get(block.difference)?, head.others.get(block.others)?);
            Some((block.component, difference.as_ref()?, others.as_ref()?))
        })
        .collect::<Option<Vec<_>>>()?;
    let mut bits = Bits::new(head.data);
    let (mut firsts, mut written) = (Firsts::default(), Firsts::default());
    let (mut until_restart, mut restarts) = (head.interval, 0);
    for row in 0..grid.rows.end {
        let is_last = row + 1 == grid.rows.end;
        for column in 0..if is_last { grid.columns.end } else { grid.across } {
            if head.interval > 0 {
                if until_restart == 0 {
                    bits.restart(restarts)?;
                    restarts = (restarts + 1) % 8;
                    until_restart = head.interval;
                    firsts = Firsts::default();
                }
                until_restart -= 1;
            }
            let is_kept = row >= grid.rows.start && grid.columns.contains(&column);
            for &(component, difference, others) in &blocks {
                let first = firsts[component] + difference.difference(&mut bits)?;
                if first.abs() > FARTHEST {
                    return None;
                }
                firsts[component] = first;
                if is_kept {
                    put_difference(&mut writer, first - written[component])?;
                    written[component] = first;
                    others.walk(&mut bits, |length, value| writer.put(length, value))?;
                } else {
                    others.walk(&mut bits, |_, _| {})?;
                }
            }
            if bits.has_overrun() {
                return None;
            }
        }
    }
    Some(writer)
}
