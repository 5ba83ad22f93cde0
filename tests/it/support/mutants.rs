//! Images damaged at random. The same seed makes the same mutants.

use std::cell::Cell;
use std::fmt::Display;

use super::images;

/// Endless mutants of every format, each with a name that tells where it comes from.
pub fn mutants(seed: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    mutants_of(images::one_of_each(), seed)
}

/// The same of these files only.
pub fn mutants_of<N: Display>(originals: Vec<(N, Vec<u8>)>, seed: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    let rng = Rng(Cell::new(seed));
    (0..).map(move |number| {
        let (name, original) = &originals[number % originals.len()];
        let mut bytes = original.clone();
        let mut history = String::new();
        for _ in 0..1 + rng.below(3) {
            let (_, other) = &originals[rng.below(originals.len())];
            history += mutate(&mut bytes, other, &rng);
        }
        // A wrong checksum is found at once: most mutants shall be decoded further.
        if rng.below(4) > 0 {
            fix_png_checksums(&mut bytes);
        }
        (format!("{number}{history}-{name}"), bytes)
    })
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &Rng) -> &'static str {
    if bytes.is_empty() {
        bytes.extend(other);
    }
    let length = bytes.len();
    // Headers are where most is decided.
    let at = if rng.below(2) == 0 { rng.below(length.min(64)) } else { rng.below(length) };
    let end = at + rng.below((length - at).min(1 + rng.below(2000))) + 1;
    match rng.below(9) {
        0 => {
            for _ in 0..1 + rng.below(10) {
                let place = rng.below(length);
                bytes[place] ^= 1 << rng.below(8);
            }
            "-flipped"
        }
        1 => {
            bytes.truncate(at);
            "-cut"
        }
        2 => {
            bytes.drain(at..end);
            "-gap"
        }
        3 => {
            let part = bytes[at..end].to_vec();
            for _ in 0..1 + rng.below(20) {
                bytes.splice(end..end, part.iter().copied());
            }
            "-repeated"
        }
        4 => {
            let value = [0, 0xff, rng.next() as u8][rng.below(3)];
            bytes[at..end].fill(value);
            "-blotted"
        }
        5 => {
            bytes.truncate(at);
            bytes.extend(&other[rng.below(other.len())..]);
            "-spliced"
        }
        6 => {
            let from = rng.below(other.len());
            let part = &other[from..(from + end - at).min(other.len())];
            bytes.splice(at..at, part.iter().copied());
            "-inserted"
        }
        _ => {
            let numbers = numbers_of(bytes);
            let number = match rng.below(4) {
                0 => Number { at, bytes: 1 << rng.below(3), is_big_endian: rng.below(2) == 0 },
                _ => numbers[rng.below(numbers.len())],
            };
            number.set(bytes, rng);
            "-misnumbered"
        }
    }
}

/// A number that means a length, a side, a count or an offset.
#[derive(Clone, Copy)]
struct Number {
    at: usize,
    bytes: usize,
    is_big_endian: bool,
}

impl Number {
    /// Makes it something absurd, or slightly wrong.
    fn set(self, bytes: &mut [u8], rng: &Rng) {
        let Some(place) = bytes.get_mut(self.at..self.at + self.bytes) else { return };
        let mut eight = [0; 8];
        eight[..self.bytes].copy_from_slice(place);
        let old = if self.is_big_endian {
            eight[..self.bytes].reverse();
            u64::from_le_bytes(eight)
        } else {
            u64::from_le_bytes(eight)
        };
        let most = u64::MAX >> (64 - 8 * self.bytes);
        let absurd =
            [0, 1, most, most / 2, most / 2 + 1, old.wrapping_add(1), old.wrapping_sub(1), old * 2, old / 2, 65_535];
        let mut new = (absurd[rng.below(absurd.len())] & most).to_le_bytes();
        if self.is_big_endian {
            new[..self.bytes].reverse();
        }
        place.copy_from_slice(&new[..self.bytes]);
    }
}

/// Where the format keeps its numbers; at least one.
fn numbers_of(bytes: &[u8]) -> Vec<Number> {
    let big = |at, bytes| Number { at, bytes, is_big_endian: true };
    let little = |at, bytes| Number { at, bytes, is_big_endian: false };
    let mut numbers = vec![little(0, 4)];
    match bytes {
        [0x89, b'P', ..] => {
            numbers.extend([big(16, 4), big(20, 4), big(24, 1), big(25, 1), big(28, 1)]);
            numbers.extend(png_chunks(bytes).map(|(at, _)| big(at, 4)));
        }
        [0xff, 0xd8, ..] => {
            let markers = (2..bytes.len().saturating_sub(12)).filter(|&at| bytes[at] == 0xff && bytes[at + 1] >= 0xc0);
            for at in markers {
                // The length; in frame and scan headers what follows; the marker itself.
                numbers.extend([
                    big(at + 2, 2),
                    big(at + 4, 1),
                    big(at + 5, 2),
                    big(at + 7, 2),
                    big(at + 9, 1),
                    big(at + 1, 1),
                ]);
            }
        }
        [b'R', b'I', b'F', b'F', ..] => {
            let mut at = 12;
            numbers.push(little(4, 4));
            while let Some([l0, l1, l2, l3]) = bytes.get(at + 4..at + 8) {
                numbers.extend([little(at + 4, 4), little(at + 8, 4), little(at + 12, 4), little(at + 14, 2)]);
                at = at.saturating_add(8).saturating_add(u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize);
            }
        }
        [b'G', ..] => {
            numbers.extend([little(6, 2), little(8, 2), little(10, 1)]);
            let frames = (13..bytes.len()).filter(|&at| bytes[at] == 0x2c);
            numbers.extend(frames.flat_map(|at| [1, 3, 5, 7].map(|offset| little(at + offset, 2))));
        }
        // Boxes: whatever lies at an even place of the headers may be a length, a count, an item or a side.
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            numbers.extend((0..bytes.len().min(600)).step_by(2).flat_map(|at| [big(at, 1), big(at, 2), big(at, 4)]));
        }
        [b'B', ..] => numbers.extend((2..54).step_by(2).flat_map(|at| [little(at, 2), little(at, 4)])),
        _ => {
            numbers.push(little(4, 4));
            let directory = bytes.get(4..8).map_or(8, |at| u32::from_le_bytes([at[0], at[1], at[2], at[3]]) as usize);
            for entry in 0..20 {
                let at = directory.saturating_add(2 + 12 * entry);
                numbers.extend([little(at, 2), little(at + 2, 2), little(at + 4, 4), little(at + 8, 4)]);
            }
        }
    }
    numbers.retain(|number| number.at < bytes.len());
    if numbers.is_empty() { vec![little(0, 1)] } else { numbers }
}

/// Start and length of the body of each chunk that is there as a whole.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 8;
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
        let start = at;
        at = at.checked_add(length)?.checked_add(12).filter(|&next| next <= bytes.len())?;
        Some((start, length))
    })
}

fn fix_png_checksums(bytes: &mut [u8]) {
    if !bytes.starts_with(b"\x89PNG") {
        return;
    }
    for (at, length) in png_chunks(bytes).collect::<Vec<_>>() {
        let sum = crc32fast::hash(&bytes[at + 4..at + 8 + length]);
        bytes[at + 8 + length..at + 12 + length].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Pseudo-random numbers (splitmix64).
struct Rng(Cell<u64>);

impl Rng {
    fn next(&self) -> u64 {
        let mut mixed = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(mixed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit` − 1; 0 for a limit of 0.
    fn below(&self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() % limit as u64) as usize }
    }
}
