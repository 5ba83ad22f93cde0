//! ISO's boxes (ISO/IEC 14496-12): each has a length, a name of four letters and a body, which may be boxes again.

/// Why a file can't be read.
pub(super) type Fault = &'static str;

/// What is left of a body, read from the front. Numbers are big-endian.
#[derive(Clone, Copy)]
pub(super) struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("a box is shorter than what it should hold")?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of 0 to 8 bytes.
    pub(crate) fn number(&mut self, bytes: usize) -> Result<u64, Fault> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.number(1)? as u8)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(self.number(2)? as u16)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(self.number(4)? as u32)
    }

    /// An item's number: 16 bits in the first versions of a box, then 32.
    pub(crate) fn id(&mut self, is_long: bool) -> Result<u32, Fault> {
        if is_long { self.u32() } else { Ok(self.u16()?.into()) }
    }

    /// Version and flags, which some boxes begin with.
    pub(crate) fn version_and_flags(&mut self) -> Result<(u8, u32), Fault> {
        Ok((self.u8()?, self.number(3)? as u32))
    }

    /// The next box within this body: its name and its body.
    pub(crate) fn next_box(&mut self) -> Result<([u8; 4], Body<'a>), Fault> {
        let whole = self.0.len();
        let length = self.u32()?;
        let name = *self.take(4)?.first_chunk().expect("four bytes");
        let length = match length {
            // To the end of what is around it.
            0 => whole as u64,
            1 => self.number(8)?,
            length => length.into(),
        };
        let head = (whole - self.0.len()) as u64;
        let body = length.checked_sub(head).ok_or("a box is shorter than its own head")?;
        let body = usize::try_from(body).ok().filter(|&body| body <= self.0.len());
        Ok((name, Body(self.take(body.ok_or("a box reaches over the end of the one around it")?)?)))
    }
}

/// The first box of this name at the outermost level of a file. What follows it may be cut off.
pub(super) fn find<'a>(file: &'a [u8], wanted: [u8; 4]) -> Result<Option<Body<'a>>, Fault> {
    let mut file = Body(file);
    while !file.is_empty() {
        match file.next_box() {
            Ok((name, body)) if name == wanted => return Ok(Some(body)),
            Ok(_) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_may_have_long_lengths_or_none() {
        let file = b"\0\0\0\x01free\0\0\0\0\0\0\0\x12ab\0\0\0\x0askipcd\0\0\0\0metarest";
        let mut body = Body(file);
        let names: Vec<_> = std::iter::from_fn(|| (!body.is_empty()).then(|| body.next_box().unwrap())).collect();
        assert_eq!(
            names.iter().map(|(name, body)| (name, body.0)).collect::<Vec<_>>(),
            [(b"free", &b"ab"[..]), (b"skip", b"cd"), (b"meta", b"rest")]
        );
        assert_eq!(find(file, *b"meta").unwrap().unwrap().0, b"rest");
        assert!(find(file, *b"moov").unwrap().is_none());
    }

    #[test]
    fn a_length_that_can_not_be_is_a_fault() {
        for file in [
            &b"\0\0\0\x07free"[..],
            b"\0\0\0\x09free",
            b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f",
            b"\0\0\0\x01free\xff",
            b"\0\0",
        ] {
            assert!(Body(file).next_box().is_err(), "{file:?}");
            assert!(find(file, *b"meta").is_err(), "{file:?}");
        }
        let endless = [&b"\0\0\0\x01free"[..], &[0xff; 8], b"x"].concat();
        assert!(Body(&endless).next_box().is_err());
    }
}
