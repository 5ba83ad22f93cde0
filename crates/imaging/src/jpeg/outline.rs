//! The skeleton of a JPEG: its markers, without its entropy-coded data.
//!
//! libjpeg-turbo makes up what is missing and only warns. Walking the markers first, at the speed of memory, tells a
//! file that is cut off from one that is whole, and what decoding it will take.

#[derive(Debug)]
pub(super) struct Outline {
    pub width: u32,
    pub height: u32,
    pub bits: u8,
    pub components: Vec<Component>,
    pub scans: usize,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Baseline and extended, with Huffman codes.
    Sequential,
    Progressive,
    /// Arithmetic or lossless.
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
    /// Walks the markers up to the end of the first image. The error is for a person.
    pub(crate) fn read(bytes: &[u8]) -> Result<Outline, String> {
        let mut walk = Walk::new(bytes);
        let mut outline: Option<Outline> = None;
        while let Some(marker) = walk.next_marker() {
            match marker {
                0xd9 => {
                    return outline.ok_or("it ends before its frame header".into());
                }
                0xd8 => return Err("another image begins inside it".into()),
                // Restart markers and TEM have no body.
                0xd0..=0xd7 | 0x01 => {}
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                    if outline.is_some() {
                        return Err("it has two frame headers".into());
                    }
                    let Some(body) = walk.segment() else { break };
                    outline = Some(Outline::of_frame(marker, body).ok_or("its frame header is malformed")?);
                }
                0xda => {
                    let Some(body) = walk.segment() else { break };
                    let outline = outline.as_mut().ok_or("a scan comes before the frame header")?;
                    outline.add_scan(body).ok_or("a scan header is malformed")?;
                }
                _ => {
                    if walk.segment().is_none() {
                        break;
                    }
                }
            }
        }
        // Pillow too refuses a file without an end, even if only the marker itself is missing.
        Err(match outline {
            None => "it is cut off before its frame header",
            Some(_) => "it is cut off: no end-of-image marker follows",
        }
        .into())
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
            0xc2 | 0xc6 | 0xca | 0xce => Coding::Progressive,
            _ => Coding::Other,
        };
        (components.len() == usize::from(count)).then_some(Outline {
            width: u32::from(u16::from_be_bytes([w1, w0])),
            height: u32::from(u16::from_be_bytes([h1, h0])),
            bits,
            components,
            scans: 0,
            coding,
        })
    }

    fn add_scan(&mut self, body: &[u8]) -> Option<()> {
        let (&count, rest) = body.split_first()?;
        let (ids, rest) = rest.split_at_checked(usize::from(count) * 2)?;
        let (&[first, last, approximation], _) = rest.split_first_chunk::<3>()?;
        self.scans += 1;
        for id in ids.chunks_exact(2).map(|pair| pair[0]) {
            let component = self.components.iter_mut().find(|component| component.id == id)?;
            if self.coding == Coding::Progressive {
                let (first, last) = (usize::from(first).min(10), usize::from(last).min(9) + 1);
                component.missing_bits.get_mut(first..last)?.fill(Some(approximation & 15));
            } else {
                component.missing_bits.fill(Some(0));
            }
        }
        Some(())
    }

    fn is_one_scan(&self) -> bool {
        self.coding != Coding::Progressive && self.scans == 1 && self.components.iter().all(Component::is_present)
    }

    /// Whether libjpeg-turbo smooths over coefficients that no scan has told: each block then depends on its
    /// neighbours, and a region is not what it would be in the whole image.
    pub(crate) fn is_smoothed(&self) -> bool {
        let is_vague = |component: &Component| component.missing_bits[1..].iter().any(|&bits| bits != Some(0));
        self.coding == Coding::Progressive && self.components.iter().any(is_vague)
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

/// From marker to marker.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Begins behind the start-of-image marker.
    pub(crate) fn new(bytes: &'a [u8]) -> Walk<'a> {
        Walk { bytes, at: 2 }
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
