//! A file with some of its bytes read as others, without a copy: for headers that decoders are too strict about.

use std::io::{self, Read, Seek, SeekFrom};

pub(super) struct Overlay<'a> {
    bytes: &'a [u8],
    at: u64,
    /// Where other bytes lie, and which.
    patches: Vec<(usize, Vec<u8>)>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(bytes: &'a [u8], patches: Vec<(usize, Vec<u8>)>) -> Overlay<'a> {
        Overlay { bytes, at: 0, patches }
    }
}

impl Read for Overlay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(self.at).unwrap_or(usize::MAX).min(self.bytes.len());
        let read = buffer.len().min(self.bytes.len() - from);
        let buffer = &mut buffer[..read];
        buffer.copy_from_slice(&self.bytes[from..from + read]);
        for (place, patch) in &self.patches {
            for (place, &byte) in (*place..).zip(patch) {
                if let Some(target) = place.checked_sub(from).and_then(|place| buffer.get_mut(place)) {
                    *target = byte;
                }
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Overlay<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
            SeekFrom::End(step) => (self.bytes.len() as u64).checked_add_signed(step),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_read_in_place_of_what_lies_there() {
        let mut overlay = Overlay::new(b"0123456789", vec![(2, b"ab".to_vec()), (9, b"xyz".to_vec())]);
        let mut two_by_two: Vec<u8> = Vec::new();
        loop {
            let mut buffer = [0; 3];
            match overlay.read(&mut buffer).unwrap() {
                0 => break,
                read => two_by_two.extend(&buffer[..read]),
            }
        }
        assert_eq!(two_by_two, b"01ab45678x");
        assert_eq!(overlay.seek(SeekFrom::Start(3)).unwrap(), 3);
        let mut rest: Vec<u8> = Vec::new();
        overlay.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"b45678x");
        assert_eq!(overlay.seek(SeekFrom::End(90)).unwrap(), 100);
        assert_eq!(overlay.read(&mut [0; 4]).unwrap(), 0);
        assert!(overlay.seek(SeekFrom::Start(0)).is_ok() && overlay.seek(SeekFrom::Current(-1)).is_err());
    }
}
