//! How strongly a JPEG was compressed, by what stands in its file.

/// Of a file and of one of the other class; `None` where it is no JPEG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qualities {
    pub own: Option<u8>,
    pub others: Option<u8>,
}

/// Qualities that are nearer to each other are the same.
const NEAR: u8 = 2;

impl Qualities {
    /// Of files about which nothing is known.
    pub const UNKNOWN: Qualities = Qualities { own: None, others: None };

    /// The other's, if it is lower than the own.
    pub(super) fn lower(self) -> Option<u8> {
        self.others.filter(|&others| self.own.is_none_or(|own| others.saturating_add(NEAR) < own))
    }
}

/// The quality, 10 to 98, at which the encoders of the Independent JPEG Group have such a first entry in their table for
/// luminance; `None` for what is no JPEG. Other programs number their qualities otherwise, but a coarse table is coarse.
pub fn of_jpeg(file: &[u8]) -> Option<u8> {
    let first = f64::from(first_quantiser(file)?.max(1));
    // Their table begins with 16, which is scaled by 200 − 2q percent, and below 50 by 5000 / q.
    let quality = if first <= 16.0 { 100.0 - first * 100.0 / 32.0 } else { 800.0 / first };
    Some(quality.clamp(10.0, 98.0) as u8)
}

fn first_quantiser(file: &[u8]) -> Option<u16> {
    const QUANTISERS: u8 = 0xdb;
    let mut rest = file.strip_prefix(&[0xff, 0xd8])?;
    loop {
        // Any number of fill bytes may stand before a marker.
        let [0xff, marker, after @ ..] = rest else { return None };
        match marker {
            0xff => rest = &rest[1..],
            // The scan begins, or the file ends.
            0xd9 | 0xda => return None,
            _ => {
                let [high, low, ..] = after else { return None };
                let segment = after.get(2..usize::from(u16::from_be_bytes([*high, *low])))?;
                if *marker == QUANTISERS {
                    return match segment {
                        [kind, first, ..] if kind >> 4 == 0 => Some(u16::from(*first)),
                        [_, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
                        _ => None,
                    };
                }
                rest = &after[segment.len() + 2..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Picture, codecs};

    #[test]
    fn the_quality_of_a_jpeg_is_read_from_its_file() {
        let picture = Picture::new(16, 16, vec![90; 16 * 16 * 3]).unwrap();
        for quality in [20, 50, 60, 75, 90] {
            let file = codecs::to_jpeg(&picture, quality, codecs::Chroma::Quarter);
            let found = of_jpeg(&file).unwrap();
            assert!(found.abs_diff(quality) <= 2, "{found} {quality}");
        }
    }

    #[test]
    fn what_is_no_jpeg_or_torn_has_no_quality() {
        let picture = Picture::new(16, 16, vec![90; 16 * 16 * 3]).unwrap();
        let file = codecs::to_jpeg(&picture, 75, codecs::Chroma::Quarter);
        assert_eq!(of_jpeg(b"\x89PNG\r\n\x1a\n"), None);
        let found: Vec<Option<u8>> = (0..file.len()).map(|end| of_jpeg(&file[..end])).collect();
        assert_eq!(found[..20], [None; 20]);
        assert!(found.iter().flatten().all(|quality| quality.abs_diff(75) <= 2));
    }
}
