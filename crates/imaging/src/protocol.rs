//! The protocol between the worker and its decoders, over a socket pair.
//!
//! A request is a kind (one byte), the side that is asked for (four, little-endian; 0 where none is), a length (eight)
//! and the encoded image. A response is a length (four bytes), a JSON document, and behind [`Response::Decoded`] the pixels of
//! one crop, or of an animation's up to three, behind [`Response::Window`] the window's, behind [`Response::Whole`] the whole picture's. Both sides are of one build, but the worker checks everything that it
//! reads: an image may have taken its decoder over.

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use serde::{Deserialize, Serialize};

use crate::{
    Crop, DecodeError, Decoded, DecodedWhole, DecodedWindow, Format, MAX_JUDGED, Orientation, Picture, Provenance,
    Quality,
};

/// The longest document that is read.
const MAX_DOCUMENT: usize = 64 << 10;

/// The largest side of a window: 7 MB of pixels, as much as evaluation looks at (resizing by 2/12).
pub const MAX_WINDOW: u16 = 1536;

/// Bytes of a request before the image.
const HEAD: usize = 13;

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
    /// All of it, turned as viewers turn it, scaled down to at most so many pixels a side: at least 1.
    Whole {
        longest: u32,
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
    Whole {
        format: Format,
        width: u32,
        height: u32,
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
    /// Of an animation, the numbers of the frames that the crops are of: one for each crop.
    pub judged: Vec<u32>,
    pub orientation: Orientation,
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
        Request::Window { side } => (2, u32::from(side)),
        Request::Whole { longest } => (3, longest),
    };
    let mut head = [0; HEAD];
    head[0] = kind;
    head[1..5].copy_from_slice(&side.to_le_bytes());
    head[5..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    write_both(to, &head, bytes)
}

/// Reads a request into the front of `buffer`, which grows as needed and is kept; gives the length.
/// `None` when no more requests come.
pub fn read_request(mut from: impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<(Request, usize)>> {
    let mut head = [0; HEAD];
    match from.read(&mut head)? {
        0 => return Ok(None),
        read => from.read_exact(&mut head[read..])?,
    }
    let [kind, s0, s1, s2, s3, length @ ..] = head;
    let side = u32::from_le_bytes([s0, s1, s2, s3]);
    let request = match (kind, u16::try_from(side)) {
        (0, Ok(0)) => Request::Decode,
        (1, Ok(0)) => Request::Probe,
        (2, Ok(side @ 1..=MAX_WINDOW)) => Request::Window { side },
        (3, _) if side > 0 => Request::Whole { longest: side },
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
    let Decoded { crop, later, frames, judged, orientation, format, width, height, quality, provenance } = match decoded
    {
        Ok(decoded) => decoded,
        Err(error) => return send_response(to, &Response::Refused(error), &[]),
    };
    let later_crops = later.len();
    let facts = Facts { format, width, height, quality, frames, judged, orientation, later: later_crops, provenance };
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

/// Sends what decoding a whole image gave.
pub fn send_whole(to: impl Write, decoded: Result<DecodedWhole, DecodeError>) -> io::Result<()> {
    match decoded {
        Ok(DecodedWhole { picture, format, width, height }) => {
            send_response(to, &Response::Whole { format, width, height }, picture.rgb())
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
    let Facts { format, width, height, quality, frames, judged, orientation, later, provenance } = facts;
    if later >= MAX_JUDGED {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("{later} crops behind the first")));
    }
    if judged.len() != frames.map_or(0, |_| 1 + later) {
        let problem = format!("{} numbers of frames for {later} crops behind the first", judged.len());
        return Err(io::Error::new(ErrorKind::InvalidData, problem));
    }
    let crop = read_crop(&mut from)?;
    let later = (0..later).map(|_| read_crop(&mut from)).collect::<io::Result<_>>()?;
    Ok(Decoded { crop, later, frames, judged, orientation, format, width, height, quality, provenance })
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

/// Reads the pixels behind [`Response::Whole`], of an image of these sides. Never more than were asked for, nor than
/// [`crate::MAX_WHOLE_PIXELS`].
pub fn read_whole(mut from: impl Read, width: u32, height: u32, longest: u32) -> io::Result<Picture> {
    if width == 0 || height == 0 {
        return Err(ErrorKind::InvalidData.into());
    }
    let (width, height) = crate::fit(width, height, longest);
    let (width, height) = (width as usize, height as usize);
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
