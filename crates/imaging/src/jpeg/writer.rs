//! Writes an entropy-coded scan, zeros stuffed in where they must be.

use super::entropy::has_ff;

/// Writes what [`super::entropy::Bits`] reads.
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// The last `pending` bits are not written yet.
    window: u64,
    pending: u32,
}

impl Writer {
    /// Goes on behind these bytes.
    pub(crate) fn behind(bytes: Vec<u8>) -> Writer {
        Writer { bytes, window: 0, pending: 0 }
    }

    /// Appends the low bits of `value`, at most 32; the others are zero.
    #[inline(always)]
    pub(crate) fn put(&mut self, length: u32, value: u32) {
        self.window = self.window << length | u64::from(value);
        self.pending += length;
        if self.pending >= 32 {
            self.pending -= 32;
            self.write(((self.window >> self.pending) as u32).to_be_bytes());
        }
    }

    fn write(&mut self, bytes: [u8; 4]) {
        if !has_ff(u32::from_be_bytes(bytes).into()) {
            self.bytes.extend(bytes);
            return;
        }
        bytes.into_iter().for_each(|byte| self.write_byte(byte));
    }

    fn write_byte(&mut self, byte: u8) {
        self.bytes.push(byte);
        if byte == 0xff {
            self.bytes.push(0);
        }
    }

    /// Fills up the last byte with ones.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let missing = (8 - self.pending % 8) % 8;
        self.put(missing, (1 << missing) - 1);
        while self.pending > 0 {
            self.pending -= 8;
            self.write_byte((self.window >> self.pending) as u8);
        }
        self.bytes
    }
}

/// The code that [`put_difference`] writes with: sixteen symbols of five bits each, in order.
pub(super) const DIFFERENCE_COUNTS: [u8; 16] = [0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const DIFFERENCE_SYMBOLS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// `None` where the difference is too large for any JPEG.
#[inline(always)]
pub(super) fn put_difference(writer: &mut Writer, difference: i32) -> Option<()> {
    let category = 32 - difference.unsigned_abs().leading_zeros();
    if category > 15 {
        return None;
    }
    let value = if difference < 0 { difference - 1 } else { difference };
    writer.put(5, category);
    writer.put(category, value as u32 & ((1 << category) - 1));
    Some(())
}
