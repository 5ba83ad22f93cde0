//! The body of an object as it comes: hashed, bounded, and unpacked where it was stored with gzip as its
//! `Content-Encoding`.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use sha2::{Digest, Sha256};

/// How gzip begins.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Takes a body chunk by chunk, and never holds more than the limit of what comes of it.
pub(super) struct Body {
    /// Bytes as they are stored, so far.
    pub stored: u64,
    /// Where they may differ from what is held.
    stored_digest: Option<Sha256>,
    state: State,
}

enum State {
    /// gzip is announced, and what has come is too short to tell whether it is true.
    Beginning(Vec<u8>, Held),
    Plain(Held),
    Packed(Box<MultiGzDecoder<Held>>),
    /// The packed stream has ended or is damaged from here on. What came before counts, as it does in browsers.
    Over(Held),
}

/// What became of a body.
#[derive(Debug)]
pub(super) struct Taken {
    pub bytes: Bytes,
    /// Of the bytes, hexadecimal.
    pub sha256: String,
    /// Of the bytes as they are stored; another one where they were packed.
    pub stored_sha256: String,
}

/// More bytes than the limit would be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany(pub u64);

impl Body {
    /// `packed`: whether the server says that it is gzip. `expected`: how long it will be, where that is known.
    pub(super) fn new(limit: u64, packed: bool, expected: Option<u64>) -> Body {
        // Room that is not written to costs address space only.
        let room = if packed { limit } else { expected.unwrap_or(limit).min(limit) };
        let held = Held { bytes: BytesMut::with_capacity(room as usize), digest: Sha256::new(), limit, too_many: None };
        let state = if packed { State::Beginning(Vec::new(), held) } else { State::Plain(held) };
        Body { stored: 0, stored_digest: packed.then(Sha256::new), state }
    }

    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<(), TooMany> {
        self.stored += chunk.len() as u64;
        if let Some(digest) = &mut self.stored_digest {
            digest.update(chunk);
        }
        let state = std::mem::replace(&mut self.state, State::Over(Held::default()));
        self.state = match state {
            State::Beginning(mut first, held) => {
                first.extend_from_slice(chunk);
                match first.len() {
                    0 | 1 => State::Beginning(first, held),
                    _ if first.starts_with(&MAGIC) => unpack(Box::new(MultiGzDecoder::new(held)), &first)?,
                    _ => plain(held, &first)?,
                }
            }
            State::Plain(held) => plain(held, chunk)?,
            State::Packed(decoder) => unpack(decoder, chunk)?,
            State::Over(held) => State::Over(held),
        };
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Taken, TooMany> {
        let held = match self.state {
            State::Beginning(first, held) => match plain(held, &first)? {
                State::Plain(held) => held,
                _ => Held::default(),
            },
            State::Plain(held) | State::Over(held) => held,
            State::Packed(decoder) => finished(decoder)?,
        };
        let sha256 = hex::encode(held.digest.finalize());
        let stored_sha256 = self.stored_digest.map_or_else(|| sha256.clone(), |digest| hex::encode(digest.finalize()));
        Ok(Taken { bytes: held.bytes.freeze(), sha256, stored_sha256 })
    }
}

fn plain(mut held: Held, chunk: &[u8]) -> Result<State, TooMany> {
    let _ = held.write_all(chunk);
    held.within().map(State::Plain)
}

fn unpack(mut decoder: Box<MultiGzDecoder<Held>>, chunk: &[u8]) -> Result<State, TooMany> {
    let written = decoder.write_all(chunk);
    match (decoder.get_ref().too_many, written) {
        (Some(too_many), _) => Err(too_many),
        (None, Ok(())) => Ok(State::Packed(decoder)),
        (None, Err(_)) => finished(decoder).map(State::Over),
    }
}

fn finished(mut decoder: Box<MultiGzDecoder<Held>>) -> Result<Held, TooMany> {
    // Its error says that the end is missing or the checksum is wrong; browsers show such a picture all the same.
    let _ = decoder.try_finish();
    std::mem::take(decoder.get_mut()).within()
}

#[derive(Default)]
struct Held {
    bytes: BytesMut,
    digest: Sha256,
    limit: u64,
    too_many: Option<TooMany>,
}

impl Held {
    fn within(self) -> Result<Held, TooMany> {
        match self.too_many {
            Some(too_many) => Err(too_many),
            None => Ok(self),
        }
    }
}

impl Write for Held {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        let held = (self.bytes.len() + chunk.len()) as u64;
        if held > self.limit {
            self.too_many = Some(TooMany(held));
            return Err(io::Error::other("over the limit"));
        }
        self.digest.update(chunk);
        self.bytes.extend_from_slice(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The body in chunks of so many bytes.
    fn taken(limit: u64, packed: bool, bytes: &[u8], chunk: usize) -> Result<Taken, TooMany> {
        let mut body = Body::new(limit, packed, None);
        bytes.chunks(chunk).try_for_each(|chunk| body.take(chunk))?;
        body.finish()
    }

    #[test]
    fn gzip_is_undone_however_it_is_cut_into_chunks() {
        let image: Vec<u8> = (0..100_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let packed = gzip(&image);
        for chunk in [1, 2, 1000, usize::MAX] {
            let taken = taken(1 << 20, true, &packed, chunk).unwrap();
            assert_eq!(taken.bytes, image);
            assert_eq!(taken.sha256, hex::encode(Sha256::digest(&image)));
            assert_eq!(taken.stored_sha256, hex::encode(Sha256::digest(&packed)));
        }
        let twice = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(taken(100, true, &twice, 3).unwrap().bytes.as_ref(), b"one two");
    }

    #[test]
    fn what_is_called_gzip_and_is_not_stays_as_it_is() {
        for plain in [&b"\xff\xd8\xff\xe0 a JPEG"[..], b"", b"\x1f"] {
            for chunk in [1, 5] {
                assert_eq!(taken(100, true, plain, chunk).unwrap().bytes, plain);
            }
        }
        // Packed, and not said to be: the image is looked for in what is stored.
        assert_eq!(taken(100, false, &gzip(b"x"), 3).unwrap().bytes, gzip(b"x"));
    }

    #[test]
    fn no_bomb_is_unpacked_beyond_the_limit() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        for chunk in [1, 100, usize::MAX] {
            let TooMany(held) = taken(10_000, true, &bomb, chunk).unwrap_err();
            assert!(held > 10_000 && held < 100_000, "{held}");
        }
        assert_eq!(taken(1 << 20, true, &bomb, 100).unwrap().bytes.len(), 1 << 20);
        assert_eq!(taken(3, false, b"four", 2).unwrap_err(), TooMany(4));
    }

    #[test]
    fn of_a_damaged_stream_what_came_before_the_damage_counts() {
        let image: Vec<u8> = (0..50_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut packed = gzip(&image);
        let trailed = [&packed[..], b"rubbish"].concat();
        assert_eq!(taken(1 << 20, true, &trailed, 777).unwrap().bytes, image);
        let last = packed.len() - 1;
        packed[last] ^= 1;
        assert_eq!(taken(1 << 20, true, &packed, 777).unwrap().bytes, image, "a wrong length at the end");
        packed.truncate(packed.len() / 2);
        let half = taken(1 << 20, true, &packed, 777).unwrap().bytes;
        assert!(half.len() > 1000 && image.starts_with(&half), "{}", half.len());
    }
}
