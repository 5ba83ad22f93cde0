//! Images made by hand to break or exhaust a decoder.

/// A BMP whose header claims more pixels than are admitted.
pub fn bmp_that_claims_too_many_pixels() -> Vec<u8> {
    bmp_header(65_535, 65_535)
}

/// A BMP of 192 MB by its header, within the default limits, and of no pixels.
pub fn wide_bmp() -> Vec<u8> {
    bmp_header(8000, 8000)
}

fn bmp_header(width: i32, height: i32) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend(b"\x01\0\x18\0");
    bytes.extend([0; 24]);
    bytes
}

/// A progressive JPEG whose last scan comes again and again, up to as many as are admitted: small, and long in decoding.
pub fn slow_jpeg() -> Vec<u8> {
    with_scans(&super::images::progressive_jpeg(2000, 1500), 100)
}

/// A progressive JPEG with its last scan repeated until there are so many.
pub fn with_scans(jpeg: &[u8], scans: usize) -> Vec<u8> {
    let begins: Vec<_> = (0..jpeg.len() - 1).filter(|&at| jpeg[at..at + 2] == [0xff, 0xda]).collect();
    let last = &jpeg[begins[begins.len() - 1]..jpeg.len() - 2];
    let mut bytes = jpeg[..jpeg.len() - 2].to_vec();
    for _ in begins.len()..scans {
        bytes.extend(last);
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// A lossless WebP of 1024×1024 pixels and 300 kB for which libwebp wants 1.3 GB: it has 65,536 sets of prefix codes, one
/// for each square of four pixels by four, and the largest colour cache.
pub fn webp_of_many_codes() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0x2f, 8);
    bits.put(1023, 14);
    bits.put(1023, 14);
    bits.put(0, 1 + 3); // no alpha, version 0
    bits.put(0, 1); // no transform
    bits.put(1, 1);
    bits.put(11, 4); // bits of the colour cache
    bits.put(1, 1); // several sets of codes, by squares of
    bits.put(0, 3); // 2^(0 + 2) pixels
    // Which square uses which set: an image of its own, whose red and green are the set's number.
    bits.put(0, 1); // no colour cache
    bits.put_code_of_256();
    bits.put_code_of_256();
    for _ in ["blue", "alpha", "distance"] {
        bits.put_code_of_one();
    }
    for set in 0..65_536_u32 {
        bits.put((set as u8).reverse_bits().into(), 8);
        bits.put(((set >> 8) as u8).reverse_bits().into(), 8);
    }
    for _ in 0..65_536 {
        for _ in ["green", "red", "blue", "alpha", "distance"] {
            bits.put_code_of_one();
        }
    }
    // The pixels take no bits.
    let mut data = bits.bytes;
    data.extend([0; 16]);
    data.resize(data.len().next_multiple_of(2), 0);
    let length = data.len() as u32;
    [b"RIFF", &(length + 12).to_le_bytes()[..], b"WEBPVP8L", &length.to_le_bytes(), &data].concat()
}

/// A PNG of black pixels: a thousand times as large as its file.
pub fn png_bomb(side: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header().unwrap().write_image_data(&vec![0; (side * side) as usize]).unwrap();
    bytes
}

pub fn gif_of_many_frames(frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 40, 30, &[0, 0, 0, 9, 9, 9]).unwrap();
    for _ in 0..frames {
        encoder.write_frame(&gif::Frame::from_indexed_pixels(40, 30, vec![1; 1200], None)).unwrap();
    }
    drop(encoder);
    bytes
}

/// A TIFF whose directory says that the next directory is itself.
pub fn tiff_that_points_at_itself() -> Vec<u8> {
    let mut bytes = super::images::tiff(20, 20);
    let directory = u32::from_le_bytes(*bytes[4..].first_chunk().unwrap());
    let entries = u16::from_le_bytes(*bytes[directory as usize..].first_chunk().unwrap());
    let next = directory as usize + 2 + 12 * usize::from(entries);
    bytes[next..next + 4].copy_from_slice(&directory.to_le_bytes());
    bytes
}

/// Bits from the lowest of each byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn put(&mut self, value: u32, bits: usize) {
        for bit in 0..bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// The code of a single symbol, which takes no bits.
    fn put_code_of_one(&mut self) {
        self.put(0b0001, 4);
    }

    /// Symbols 0 to 255, with eight bits each.
    fn put_code_of_256(&mut self) {
        self.put(0, 1); // by code lengths
        // Code lengths of the code lengths, in their order 17 18 0 1 2 3 4 5 16 6 7 8: only 8 occurs.
        self.put(12 - 4, 4);
        for _ in 0..11 {
            self.put(0, 3);
        }
        self.put(1, 3);
        self.put(1, 1); // only so many lengths follow:
        self.put(3, 3); // a number of 2 + 2 × 3 bits
        self.put(254, 8); // and 2 more
    }
}
