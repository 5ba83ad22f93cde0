//! The protocol between the worker and its decoders, over a socket pair.
//!
//! A request is a kind (one byte), the side of a window (two, little-endian; 0 where none is asked for), a length (eight)
//! and the encoded image. A response is a length (four bytes), a JSON document, and behind [`Response::Decoded`] the pixels of
//! one crop, or of an animation's up to three, behind [`Response::Window`] the window's. Both sides are of one build, but the worker checks everything that it
//! reads: an image may have taken its decoder over.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use serde::{Deserialize, Serialize};

use crate::{Crop, DecodeError, Decoded, DecodedWindow, Format, MAX_JUDGED, Picture, Provenance, Quality};

/// The longest document that is read.
const MAX_DOCUMENT: usize = 64 << 10;

/// The largest side of a window: 7 MB of pixels, as much as evaluation looks at (resizing by 2/12).
pub const MAX_WINDOW: u16 = 1536;

/// Exit code of a decoder that was refused memory.
pub const EXIT_OUT_OF_MEMORY: u8 = 77;

/// Exit code of a decoder whose library is not there.
pub const EXIT_NO_LIBRARY: u8 = 78;

/// A request to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Decode,
    /// The middle, with at most so many pixels a side: 1 to [`MAX_WINDOW`].
    Window {
        side: u16,
    },
    /// Try what a decoder must not be able to do, and report what came of it.
    Probe,
}

/// A response of a decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The first message, once the sandbox is closed. No request comes before it.
    Ready {
        version: String,
        protections: Protections,
        /// Name and version of the library that it opened at its start.
        library: Option<String>,
    },
    Decoded(Facts),
    Window {
        format: Format,
        width: u32,
        height: u32,
        quality: Vec<Quality>,
    },
    Refused(DecodeError),
    Probed(Vec<Attempt>),
}

/// What a decoder found, but for the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub format: Format,
    pub width: u32,
    pub height: u32,
    pub quality: Vec<Quality>,
    pub frames: Option<u32>,
    /// Crops that follow the first: less than [`MAX_JUDGED`].
    pub later: usize,
    pub provenance: Provenance,
}

/// What keeps a decoder from doing anything but decoding.
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

/// One forbidden action that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub action: String,
    pub refused: bool,
    /// The system's error message.
    pub result: String,
}

/// Sends a request.
pub fn send_request(to: impl Write, request: Request, bytes: &[u8]) -> io::Result<()> {
    let (kind, side) = match request {
        Request::Decode => (0, 0),
        Request::Probe => (1, 0),
        Request::Window { side } => (2, side),
    };
    let mut head = [0; 11];
    head[0] = kind;
    head[1..3].copy_from_slice(&side.to_le_bytes());
    head[3..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    write_both(to, &head, bytes)
}

/// Reads a request into the front of `buffer`, which grows as needed and is kept; gives the length.
/// `None` when no more requests come.
pub fn read_request(mut from: impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<(Request, usize)>> {
    let mut head = [0; 11];
    match from.read(&mut head)? {
        0 => return Ok(None),
        read => from.read_exact(&mut head[read..])?,
    }
    let [kind, low, high, length @ ..] = head;
    let request = match (kind, u16::from_le_bytes([low, high])) {
        (0, 0) => Request::Decode,
        (1, 0) => Request::Probe,
        (2, side @ 1..=MAX_WINDOW) => Request::Window { side },
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| ErrorKind::OutOfMemory)?;
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    from.read_exact(&mut buffer[..length])?;
    Ok(Some((request, length)))
}

/// Sends a response.
pub fn send_response(to: impl Write, response: &Response, pixels: &[u8]) -> io::Result<()> {
    let mut document = vec![0; 4];
    serde_json::to_writer(&mut document, response)?;
    let length = (document.len() - 4) as u32;
    document[..4].copy_from_slice(&length.to_le_bytes());
    write_both(to, &document, pixels)
}

/// Sends what decoding gave.
pub fn send_decoded(mut to: impl Write, decoded: Result<Decoded, DecodeError>) -> io::Result<()> {
    let Decoded { crop, later, frames, format, width, height, quality, provenance } = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return send_response(to, &Response::Refused(error), &[]),
    };
    let facts = Facts { format, width, height, quality, frames, later: later.len(), provenance };
    send_response(&mut to, &Response::Decoded(facts), crop.pixels())?;
    later.iter().try_for_each(|crop| to.write_all(crop.pixels()))
}

/// Sends what decoding a window gave.
pub fn send_window(to: impl Write, decoded: Result<DecodedWindow, DecodeError>) -> io::Result<()> {
    match decoded {
        Ok(DecodedWindow { picture, format, width, height, quality }) => {
            send_response(to, &Response::Window { format, width, height, quality }, picture.rgb())
        }
        Err(error) => send_response(to, &Response::Refused(error), &[]),
    }
}

/// Reads a response without its pixels.
pub fn read_response(mut from: impl Read) -> io::Result<Response> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_DOCUMENT {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a response of {length} bytes")));
    }
    let mut document = vec![0; length];
    from.read_exact(&mut document)?;
    Ok(serde_json::from_slice(&document)?)
}

/// Reads the pixels behind [`Response::Decoded`]: never more crops than an image may have.
pub fn read_decoded(mut from: impl Read, facts: Facts) -> io::Result<Decoded> {
    let Facts { format, width, height, quality, frames, later, provenance } = facts;
    if later >= MAX_JUDGED {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("{later} crops behind the first")));
    }
    let crop = read_crop(&mut from)?;
    let later = (0..later).map(|_| read_crop(&mut from)).collect::<io::Result<_>>()?;
    Ok(Decoded { crop, later, frames, format, width, height, quality, provenance })
}

fn read_crop(mut from: impl Read) -> io::Result<Crop> {
    let mut pixels = vec![0; Crop::BYTES];
    from.read_exact(&mut pixels)?;
    Ok(Crop::from_pixels(pixels).expect("the length is a crop's"))
}

/// Reads the pixels behind [`Response::Window`], of an image of these sides. Never more than were asked for.
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
        send_request(Trickle(&mut sent), Request::Decode, b"an image of some bytes").unwrap();
        send_request(Trickle(&mut sent), Request::Probe, b"").unwrap();
        send_request(Trickle(&mut sent), Request::Window { side: 1024 }, b"short").unwrap();
        let mut from = Trickle(sent.as_slice());
        let mut buffer = Vec::new();
        let mut next = || {
            let request = read_request(&mut from, &mut buffer).unwrap()?;
            Some((request.0, buffer[..request.1].to_vec()))
        };
        assert_eq!(next(), Some((Request::Decode, b"an image of some bytes".to_vec())));
        assert_eq!(next(), Some((Request::Probe, vec![])));
        assert_eq!(next(), Some((Request::Window { side: 1024 }, b"short".to_vec())));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_request_that_is_cut_off_or_unknown_is_an_error() {
        let mut sent = Vec::new();
        send_request(&mut sent, Request::Decode, b"image").unwrap();
        for length in 1..sent.len() {
            assert!(read_request(&sent[..length], &mut Vec::new()).is_err(), "cut at {length}");
        }
        sent[0] = 9;
        assert!(read_request(sent.as_slice(), &mut Vec::new()).is_err());
        for side in [0, MAX_WINDOW + 1] {
            let mut sent = Vec::new();
            send_request(&mut sent, Request::Window { side }, b"image").unwrap();
            assert!(read_request(sent.as_slice(), &mut Vec::new()).is_err(), "a window of {side}");
        }
    }

    #[test]
    fn responses_arrive_as_they_were_sent() {
        let crop = |first: u8| Crop::from_pixels((0..Crop::BYTES).map(|n| n as u8 ^ first).collect()).unwrap();
        for later in 0..MAX_JUDGED {
            let decoded = Decoded {
                crop: crop(0),
                later: (1..=later as u8).map(crop).collect(),
                frames: (later > 0).then_some(70),
                format: Format::Webp,
                width: 70_000,
                height: 3,
                quality: vec![Quality::LowResolution, Quality::Greyscale],
                provenance: crate::provenance::of(b"\xff\xd8\xff\xfe\0\x12Made with Canva  "),
            };
            assert!(!decoded.provenance.hints.is_empty());
            let mut sent = Vec::new();
            send_decoded(Trickle(&mut sent), Ok(decoded.clone())).unwrap();
            let mut from = Trickle(sent.as_slice());
            let Response::Decoded(facts) = read_response(&mut from).unwrap() else { panic!("no image came") };
            assert!(read_decoded(&mut from, facts.clone()).unwrap() == decoded);
            assert!(from.0.is_empty());
            let more = Facts { later: MAX_JUDGED, ..facts };
            assert!(read_decoded(io::repeat(7), more).is_err());
        }

        let errors = [
            DecodeError::Empty,
            DecodeError::UnsupportedFormat { magic: "\"\\xff\"".into(), name: Some("a PDF document".into()) },
            DecodeError::UnsupportedKind { format: Format::Tiff, detail: "floating point".into() },
            DecodeError::TooManyPixels { width: u64::MAX, height: 2, limit: 3 },
            DecodeError::TooManyDecodedBytes { bytes: 5, limit: 4 },
            DecodeError::Damaged { format: Format::Jpeg, detail: "cut \"off\"\n".into() },
        ];
        for error in errors {
            let words = error.to_string();
            let mut sent = Vec::new();
            send_decoded(&mut sent, Err(error)).unwrap();
            let Response::Refused(error) = read_response(sent.as_slice()).unwrap() else { panic!("{words}") };
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn a_window_arrives_as_it_was_sent_and_never_larger_than_was_asked_for() {
        let picture = Picture::new(40, 3, (0..360).map(|n| n as u8).collect()).unwrap();
        let window =
            DecodedWindow { picture: picture.clone(), format: Format::Png, width: 90, height: 3, quality: vec![] };
        let mut sent = Vec::new();
        send_window(Trickle(&mut sent), Ok(window)).unwrap();
        let mut from = Trickle(sent.as_slice());
        let response = read_response(&mut from).unwrap();
        let Response::Window { width, height, .. } = response else { panic!("{response:?}") };
        assert!(read_window(&mut from, width, height, 40).unwrap() == picture);
        assert!(from.0.is_empty());
        assert!(read_window(&[][..], 0, 7, 40).is_err());
        assert_eq!(read_window(io::repeat(7), u32::MAX, u32::MAX, 2).unwrap().rgb(), [7; 12]);
    }

    #[test]
    fn a_response_that_makes_no_sense_is_an_error() {
        for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0{}", b"\x04\0\0\0nu", b"\x08\0\0\0\"decoded"] {
            assert!(read_response(bytes).is_err(), "{bytes:?}");
        }
        assert!(read_crop(&[0; 9][..]).is_err());
    }
}
