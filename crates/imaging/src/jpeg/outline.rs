//! The skeleton of a JPEG: its markers, without its entropy-coded data.
//!
//! Walking the markers first, at the speed of memory, tells what decoding will take, and where the image ends in a file that
//! is cut off.

#[derive(Debug)]
pub(super) struct Outline {
    pub width: u32,
    pub height: u32,
    pub bits: u8,
    pub components: Vec<Component>,
    pub scans: usize,
    coding: Coding,
    /// Whether an end-of-image marker follows.
    pub has_end: bool,
    /// Where the image ends.
    pub end: usize,
}

/// What a marker leads to.
enum Step {
    Further,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Baseline and extended, with Huffman codes.
    Sequential,
    Progressive,
    ArithmeticProgressive,
    /// Sequential by arithmetic codes, or lossless.
    Other,
}

#[derive(Debug)]
pub(super) struct Component {
    pub id: u8,
    /// Samples of one MCU across and down, in blocks.
    pub horizontal: u64,
    pub vertical: u64,
    /// For the first ten coefficients: how many low bits are still missing; `None` where no scan held it yet.
    missing_bits: [Option<u8>; 10],
}

impl Component {
    pub(crate) fn is_present(&self) -> bool {
        self.missing_bits[0].is_some()
    }
}

impl Outline {
    /// Walks the markers up to the end of the first image. Once each component has a scan, what can't be read ends the image
    /// there, as a file that is cut off does. The error is for a person.
    pub(crate) fn read(bytes: &[u8]) -> Result<Outline, String> {
        let mut walk = Walk::new(bytes);
        let mut outline: Option<Outline> = None;
        let mut trouble = (bytes.len(), "it is cut off".to_owned());
        while let Some(marker) = walk.next_marker() {
            // The marker is 0xff and its code.
            let start = walk.at - 2;
            match Outline::step(&mut outline, marker, &mut walk) {
                Ok(Step::Further) => {}
                Ok(Step::End) => {
                    let outline = outline.ok_or("it ends before its frame header")?;
                    return Ok(Outline { has_end: true, end: start, ..outline });
                }
                Err(words) => {
                    trouble = (start, words);
                    break;
                }
            }
        }
        let (end, words) = trouble;
        match outline {
            Some(outline) if outline.components.iter().all(Component::is_present) => Ok(Outline { end, ..outline }),
            Some(_) => Err(format!("{words}, before each component has a scan")),
            None => Err(format!("{words}, before its frame header")),
        }
    }

    fn step(outline: &mut Option<Outline>, marker: u8, walk: &mut Walk<'_>) -> Result<Step, String> {
        const CUT_OFF: &str = "it is cut off";
        match marker {
            0xd9 => return Ok(Step::End),
            0xd8 => return Err("another image begins inside it".into()),
            marker if has_no_body(marker) => {}
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                if outline.is_some() {
                    return Err("it has two frame headers".into());
                }
                let body = walk.segment().ok_or(CUT_OFF)?;
                *outline = Some(Outline::of_frame(marker, body).ok_or("its frame header is malformed")?);
            }
            0xda => {
                let body = walk.segment().ok_or(CUT_OFF)?;
                let outline = outline.as_mut().ok_or("a scan comes before the frame header")?;
                outline.add_scan(body).ok_or("a scan header is malformed")?;
            }
            _ => {
                walk.segment().ok_or(CUT_OFF)?;
            }
        }
        Ok(Step::Further)
    }

    /// From the body of a frame header.
    fn of_frame(marker: u8, body: &[u8]) -> Option<Outline> {
        let (&[bits, h1, h0, w1, w0, count], rest) = body.split_first_chunk::<6>()?;
        let mut components = Vec::with_capacity(usize::from(count));
        for component in rest.chunks_exact(3).take(usize::from(count)) {
            let (horizontal, vertical) = (u64::from(component[1] >> 4), u64::from(component[1] & 15));
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) {
                return None;
            }
            components.push(Component { id: component[0], horizontal, vertical, missing_bits: [None; 10] });
        }
        let coding = match marker {
            0xc0 | 0xc1 => Coding::Sequential,
            0xc2 | 0xc6 => Coding::Progressive,
            0xca | 0xce => Coding::ArithmeticProgressive,
            _ => Coding::Other,
        };
        (components.len() == usize::from(count)).then_some(Outline {
            width: u32::from(u16::from_be_bytes([w1, w0])),
            height: u32::from(u16::from_be_bytes([h1, h0])),
            bits,
            components,
            scans: 0,
            coding,
            has_end: false,
            end: 0,
        })
    }

    fn add_scan(&mut self, body: &[u8]) -> Option<()> {
        let (&count, rest) = body.split_first()?;
        let (ids, rest) = rest.split_at_checked(usize::from(count) * 2)?;
        let (&[first, last, approximation], _) = rest.split_first_chunk::<3>()?;
        self.scans += 1;
        let is_progressive = self.is_progressive();
        for id in ids.chunks_exact(2).map(|pair| pair[0]) {
            let component = self.components.iter_mut().find(|component| component.id == id)?;
            if is_progressive {
                let (first, last) = (usize::from(first).min(10), usize::from(last).min(9) + 1);
                component.missing_bits.get_mut(first..last)?.fill(Some(approximation & 15));
            } else {
                component.missing_bits.fill(Some(0));
            }
        }
        Some(())
    }

    pub(crate) fn coding(&self) -> Coding {
        self.coding
    }

    fn is_progressive(&self) -> bool {
        matches!(self.coding, Coding::Progressive | Coding::ArithmeticProgressive)
    }

    fn is_one_scan(&self) -> bool {
        !self.is_progressive() && self.scans == 1 && self.components.iter().all(Component::is_present)
    }

    /// Whether libjpeg-turbo smooths over coefficients that no scan has told: each block then depends on its
    /// neighbours, and a region is not what it would be in the whole image.
    pub(crate) fn is_smoothed(&self) -> bool {
        let is_vague = |component: &Component| component.missing_bits[1..].iter().any(|&bits| bits != Some(0));
        self.is_progressive() && self.components.iter().any(is_vague)
    }

    /// Baseline or extended, with Huffman codes and all components together.
    pub(crate) fn is_one_sequential_scan(&self) -> bool {
        self.coding == Coding::Sequential && self.is_one_scan()
    }

    /// What decoding allocates at most, without the pixels: the coefficients of all components where they come in
    /// several scans, and some rows otherwise.
    pub(crate) fn decoding_bytes(&self, encoded: usize) -> u64 {
        let widest = |side: fn(&Component) -> u64| self.components.iter().map(side).max().unwrap_or(1);
        let (across, down) = (widest(|component| component.horizontal), widest(|component| component.vertical));
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        let (columns, rows) = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        let blocks_per_imcu: u64 =
            self.components.iter().map(|component| component.horizontal * component.vertical).sum();
        let row_buffers = columns * blocks_per_imcu * 64 * 6;
        let copy = encoded as u64;
        if self.is_one_scan() { row_buffers + copy } else { columns * rows * blocks_per_imcu * 128 + row_buffers }
    }
}

/// Restart markers, and those that are none: a damaged byte of a scan looks like one, and libjpeg passes over it.
pub(crate) fn has_no_body(marker: u8) -> bool {
    matches!(marker, 0x01..=0xbf | 0xd0..=0xd7)
}

/// From marker to marker.
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Begins behind the start-of-image marker.
    pub(crate) fn new(bytes: &'a [u8]) -> Walk<'a> {
        Walk { bytes, at: 2 }
    }

    /// Begins at the first byte: the bytes are of the middle of an image.
    pub(crate) fn within(bytes: &'a [u8]) -> Walk<'a> {
        Walk { bytes, at: 0 }
    }

    /// The next marker, past whatever lies before it; `None` at the end of the bytes.
    pub(crate) fn next_marker(&mut self) -> Option<u8> {
        loop {
            self.at += memchr::memchr(0xff, &self.bytes[self.at..])? + 1;
            // Any number of fill bytes, then the code; a zero makes it data.
            loop {
                let code = *self.bytes.get(self.at)?;
                self.at += 1;
                match code {
                    0xff => {}
                    0 => break,
                    code => return Some(code),
                }
            }
        }
    }

    /// The body of a marker segment, without its length; `None` if it is not all there.
    pub(crate) fn segment(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let body = rest.get(2..length)?;
        self.at += length;
        Some(body)
    }

    /// All that comes behind what was walked over.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}
