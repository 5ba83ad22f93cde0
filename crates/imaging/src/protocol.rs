//! What the worker and its decoders say to each other, over a socket pair.
//!
//! A request is a kind (one byte), the side of a window (two, little-endian; 0 where none is asked for), a length (eight)
//! and the encoded image. An answer is a length (four bytes), a JSON document, and behind [`Answer::Decoded`] the crop's
//! pixels, behind [`Answer::Window`] the window's. Both sides are of one build, but the worker believes nothing: a decoder
//! may have been taken over by what it decoded.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use serde::{Deserialize, Serialize};

use crate::{Crop, DecodeError, Decoded, DecodedWindow, Format, Picture, Quality};

/// The longest document that is read.
const MAX_DOCUMENT: usize = 64 << 10;

/// The largest side of a window: 7 MB of pixels, as much as evaluation looks at (resizing by 2/12).
pub const MAX_WINDOW: u16 = 1536;

/// With this a decoder ends that was refused memory.
pub const EXIT_OUT_OF_MEMORY: u8 = 77;

/// What is asked of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Decode,
    /// The middle, with at most so many pixels a side: 1 to [`MAX_WINDOW`].
    Window {
        side: u16,
    },
    /// Try what a decoder must not be able to do, and tell how it went.
    Probe,
}

/// What a decoder says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The first word, once the sandbox is closed.
    Ready {
        version: String,
        protections: Protections,
    },
    Decoded {
        format: Format,
        width: u32,
        height: u32,
        quality: Vec<Quality>,
    },
    Window {
        format: Format,
        width: u32,
        height: u32,
        quality: Vec<Quality>,
    },
    Refused(DecodeError),
    Probed(Vec<Attempt>),
}

/// What the kernel keeps a decoder from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protections {
    /// Only the system calls of decoding, and those only on its own memory and socket.
    pub seccomp: bool,
    /// The version of Landlock's interface in force; `None` where the kernel has none.
    pub landlock: Option<i32>,
    /// Bytes of address space.
    pub memory: u64,
    /// Why protections are missing, in words.
    pub missing: Vec<String>,
}

/// One forbidden thing tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub act: String,
    pub refused: bool,
    /// In the system's words.
    pub result: String,
}

/// Sends a request.
pub fn ask(to: impl Write, ask: Ask, bytes: &[u8]) -> io::Result<()> {
    let (kind, side) = match ask {
        Ask::Decode => (0, 0),
        Ask::Probe => (1, 0),
        Ask::Window { side } => (2, side),
    };
    let mut head = [0; 11];
    head[0] = kind;
    head[1..3].copy_from_slice(&side.to_le_bytes());
    head[3..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    write_both(to, &head, bytes)
}

/// Reads a request into the front of `buffer`, which grows as needed and is kept; gives the length.
/// `None` when no more requests come.
pub fn next_request(mut from: impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<(Ask, usize)>> {
    let mut head = [0; 11];
    match from.read(&mut head)? {
        0 => return Ok(None),
        read => from.read_exact(&mut head[read..])?,
    }
    let [kind, low, high, length @ ..] = head;
    let ask = match (kind, u16::from_le_bytes([low, high])) {
        (0, 0) => Ask::Decode,
        (1, 0) => Ask::Probe,
        (2, side @ 1..=MAX_WINDOW) => Ask::Window { side },
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| ErrorKind::OutOfMemory)?;
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    from.read_exact(&mut buffer[..length])?;
    Ok(Some((ask, length)))
}

/// Sends an answer.
pub fn answer(to: impl Write, answer: &Answer, pixels: &[u8]) -> io::Result<()> {
    let mut document = vec![0; 4];
    serde_json::to_writer(&mut document, answer)?;
    let length = (document.len() - 4) as u32;
    document[..4].copy_from_slice(&length.to_le_bytes());
    write_both(to, &document, pixels)
}

/// Sends what decoding gave.
pub fn answer_decoded(to: impl Write, decoded: Result<Decoded, DecodeError>) -> io::Result<()> {
    match decoded {
        Ok(Decoded { crop, format, width, height, quality }) => {
            answer(to, &Answer::Decoded { format, width, height, quality }, crop.pixels())
        }
        Err(error) => answer(to, &Answer::Refused(error), &[]),
    }
}

/// Sends what decoding a window gave.
pub fn answer_window(to: impl Write, decoded: Result<DecodedWindow, DecodeError>) -> io::Result<()> {
    match decoded {
        Ok(DecodedWindow { picture, format, width, height, quality }) => {
            answer(to, &Answer::Window { format, width, height, quality }, picture.rgb())
        }
        Err(error) => answer(to, &Answer::Refused(error), &[]),
    }
}

/// Reads an answer without its pixels.
pub fn read_answer(mut from: impl Read) -> io::Result<Answer> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_DOCUMENT {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("an answer of {length} bytes")));
    }
    let mut document = vec![0; length];
    from.read_exact(&mut document)?;
    Ok(serde_json::from_slice(&document)?)
}

/// Reads the pixels behind [`Answer::Decoded`].
pub fn read_crop(mut from: impl Read) -> io::Result<Crop> {
    let mut pixels = vec![0; Crop::BYTES];
    from.read_exact(&mut pixels)?;
    Ok(Crop::from_pixels(pixels).expect("the length is a crop's"))
}

/// Reads the pixels behind [`Answer::Window`], of an image of these sides. Never more than were asked for.
pub fn read_window(mut from: impl Read, width: u32, height: u32, side: u16) -> io::Result<Picture> {
    let (width, height) = (width.min(side.into()) as usize, height.min(side.into()) as usize);
    let mut pixels = vec![0; width * height * 3];
    from.read_exact(&mut pixels)?;
    Picture::new(width, height, pixels).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// One system call for both, where the socket takes them.
fn write_both(mut to: impl Write, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices = &mut [IoSlice::new(first), IoSlice::new(second)][..];
    // Drops the second where it is empty.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match to.write_vectored(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes and gives at most three bytes at a time.
    struct Trickle<T>(T);

    impl<T: Read> Read for Trickle<T> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(3);
            self.0.read(&mut buffer[..most])
        }
    }

    impl<T: Write> Write for Trickle<T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(&bytes[..bytes.len().min(3)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn requests_arrive_whole_however_the_socket_cuts_them() {
        let mut sent = Vec::new();
        ask(Trickle(&mut sent), Ask::Decode, b"an image of some bytes").unwrap();
        ask(Trickle(&mut sent), Ask::Probe, b"").unwrap();
        ask(Trickle(&mut sent), Ask::Window { side: 1024 }, b"short").unwrap();
        let mut from = Trickle(sent.as_slice());
        let mut buffer = Vec::new();
        let mut next = || {
            let request = next_request(&mut from, &mut buffer).unwrap()?;
            Some((request.0, buffer[..request.1].to_vec()))
        };
        assert_eq!(next(), Some((Ask::Decode, b"an image of some bytes".to_vec())));
        assert_eq!(next(), Some((Ask::Probe, vec![])));
        assert_eq!(next(), Some((Ask::Window { side: 1024 }, b"short".to_vec())));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_request_that_is_cut_off_or_unknown_is_an_error() {
        let mut sent = Vec::new();
        ask(&mut sent, Ask::Decode, b"image").unwrap();
        for length in 1..sent.len() {
            assert!(next_request(&sent[..length], &mut Vec::new()).is_err(), "cut at {length}");
        }
        sent[0] = 9;
        assert!(next_request(sent.as_slice(), &mut Vec::new()).is_err());
        for side in [0, MAX_WINDOW + 1] {
            let mut sent = Vec::new();
            ask(&mut sent, Ask::Window { side }, b"image").unwrap();
            assert!(next_request(sent.as_slice(), &mut Vec::new()).is_err(), "a window of {side}");
        }
    }

    #[test]
    fn answers_arrive_as_they_were_sent() {
        let crop = Crop::from_pixels((0..Crop::BYTES).map(|n| n as u8).collect()).unwrap();
        let quality = vec![Quality::LowResolution, Quality::Greyscale];
        let decoded = Decoded { crop: crop.clone(), format: Format::Webp, width: 70_000, height: 3, quality };
        let mut sent = Vec::new();
        answer_decoded(Trickle(&mut sent), Ok(decoded)).unwrap();
        let mut from = Trickle(sent.as_slice());
        let quality = vec![Quality::LowResolution, Quality::Greyscale];
        let facts = Answer::Decoded { format: Format::Webp, width: 70_000, height: 3, quality };
        assert_eq!(read_answer(&mut from).unwrap(), facts);
        assert!(read_crop(&mut from).unwrap() == crop);
        assert!(from.0.is_empty());

        let errors = [
            DecodeError::Empty,
            DecodeError::UnsupportedFormat { magic: "\"\\xff\"".into() },
            DecodeError::UnsupportedKind { format: Format::Tiff, detail: "floating point".into() },
            DecodeError::TooManyPixels { width: u64::MAX, height: 2, limit: 3 },
            DecodeError::TooManyDecodedBytes { bytes: 5, limit: 4 },
            DecodeError::Damaged { format: Format::Jpeg, detail: "cut \"off\"\n".into() },
        ];
        for error in errors {
            let words = error.to_string();
            let mut sent = Vec::new();
            answer_decoded(&mut sent, Err(error)).unwrap();
            let Answer::Refused(error) = read_answer(sent.as_slice()).unwrap() else { panic!("{words}") };
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn a_window_arrives_as_it_was_sent_and_never_larger_than_was_asked_for() {
        let picture = Picture::new(40, 3, (0..360).map(|n| n as u8).collect()).unwrap();
        let window =
            DecodedWindow { picture: picture.clone(), format: Format::Png, width: 90, height: 3, quality: vec![] };
        let mut sent = Vec::new();
        answer_window(Trickle(&mut sent), Ok(window)).unwrap();
        let mut from = Trickle(sent.as_slice());
        let answer = read_answer(&mut from).unwrap();
        let Answer::Window { width, height, .. } = answer else { panic!("{answer:?}") };
        assert!(read_window(&mut from, width, height, 40).unwrap() == picture);
        assert!(from.0.is_empty());
        assert!(read_window(&[][..], 0, 7, 40).is_err());
        assert_eq!(read_window(io::repeat(7), u32::MAX, u32::MAX, 2).unwrap().rgb(), [7; 12]);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_an_error() {
        for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0{}", b"\x04\0\0\0nu", b"\x08\0\0\0\"decoded"] {
            assert!(read_answer(bytes).is_err(), "{bytes:?}");
        }
        assert!(read_crop(&[0; 9][..]).is_err());
    }
}
