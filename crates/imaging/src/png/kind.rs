//! What the bytes of a row mean.

use std::io::Cursor;

use png::{BitDepth, ColorType, Reader};

use super::{Order, Reading};
use crate::crop::Window;

/// What the bytes of a row mean.
pub(super) struct Kind {
    color: ColorType,
    depth: BitDepth,
    palette: Vec<u8>,
    /// Of the palette's entries, or the one colour that is transparent.
    transparency: Vec<u8>,
    reading: Reading,
}

impl Kind {
    pub(crate) fn of(reader: &Reader<Cursor<&[u8]>>, reading: Reading) -> Kind {
        let info = reader.info();
        Kind {
            color: info.color_type,
            depth: info.bit_depth,
            palette: info.palette.as_deref().unwrap_or_default().to_vec(),
            transparency: info.trns.as_deref().unwrap_or_default().to_vec(),
            reading,
        }
    }

    /// Of a pixel that is appended.
    pub(crate) fn channels(&self) -> usize {
        if self.reading.has_alpha { 4 } else { 3 }
    }

    /// Appends the window's part of a row.
    pub(crate) fn append(&self, row: &[u8], window: &Window, pixels: &mut Vec<u8>) {
        if !self.reading.has_alpha {
            return self.append_rgb(row, window, pixels);
        }
        let mut colours = Vec::with_capacity(window.width * 3);
        self.append_rgb(row, window, &mut colours);
        for (x, colour) in (window.left..).zip(colours.as_chunks::<3>().0) {
            pixels.extend([colour[0], colour[1], colour[2], self.alpha(row, x)]);
        }
    }

    fn alpha(&self, row: &[u8], x: usize) -> u8 {
        match self.color {
            ColorType::GrayscaleAlpha => self.sample(row, x * 2 + 1),
            ColorType::Rgba => self.sample(row, x * 4 + 3),
            ColorType::Indexed => self.transparency.get(usize::from(self.sample(row, x))).copied().unwrap_or(255),
            ColorType::Grayscale => self.unless_keyed(row, x, 1),
            ColorType::Rgb => self.unless_keyed(row, x, 3),
        }
    }

    /// The alpha where one colour is transparent and all others are not.
    fn unless_keyed(&self, row: &[u8], x: usize, channels: usize) -> u8 {
        let stored = |channel: usize| match self.depth {
            BitDepth::Sixteen => {
                let place = (x * channels + channel) * 2;
                u16::from_be_bytes([row[place], row[place + 1]])
            }
            _ => u16::from(self.sample(row, x * channels + channel)),
        };
        let key = self.transparency.as_chunks::<2>().0;
        let is_key = key.len() >= channels && (0..channels).all(|n| u16::from_be_bytes(key[n]) == stored(n));
        if is_key { 0 } else { 255 }
    }

    fn append_rgb(&self, row: &[u8], window: &Window, pixels: &mut Vec<u8>) {
        for x in window.left..window.right() {
            let sample = |channels: usize, channel: usize| self.sample(row, x * channels + channel);
            match self.color {
                ColorType::Grayscale => {
                    let most = match self.depth {
                        BitDepth::One => 1,
                        BitDepth::Two => 3,
                        BitDepth::Four => 15,
                        BitDepth::Eight | BitDepth::Sixteen => 255,
                    };
                    pixels.extend([sample(1, 0) * (255 / most); 3]);
                }
                ColorType::GrayscaleAlpha => pixels.extend([sample(2, 0); 3]),
                ColorType::Rgb if self.reading.order == Order::Apples => {
                    pixels.extend([sample(3, 2), sample(3, 1), sample(3, 0)]);
                }
                ColorType::Rgba if self.reading.order == Order::Apples => {
                    let alpha = u32::from(sample(4, 3));
                    // What is transparent has no colour left.
                    let divided = |level: u8| match alpha {
                        0 => 0,
                        alpha => ((u32::from(level) * 255 + alpha / 2) / alpha).min(255) as u8,
                    };
                    pixels.extend([2, 1, 0].map(|channel| divided(sample(4, channel))));
                }
                ColorType::Rgb => pixels.extend([sample(3, 0), sample(3, 1), sample(3, 2)]),
                ColorType::Rgba => pixels.extend([sample(4, 0), sample(4, 1), sample(4, 2)]),
                ColorType::Indexed => {
                    let entry = usize::from(sample(1, 0)) * 3;
                    // Beyond the palette's end lies black.
                    pixels.extend(self.palette.get(entry..entry + 3).unwrap_or(&[0; 3]));
                }
            }
        }
    }

    /// The sample at a place of the row; of 16 bits the high ones.
    fn sample(&self, row: &[u8], place: usize) -> u8 {
        let bits = match self.depth {
            BitDepth::Eight => return row[place],
            BitDepth::Sixteen => return row[place * 2],
            BitDepth::One => 1,
            BitDepth::Two => 2,
            BitDepth::Four => 4,
        };
        let bit = place * bits;
        row[bit / 8] >> (8 - bits - bit % 8) & ((1 << bits) - 1)
    }
}
