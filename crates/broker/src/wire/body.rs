//! The body of a message as JSON: unpacked, without a byte order mark.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::error::WireError;
use super::message::{MAX_BODY, Message};

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Ways of packing that are not undone. Other words, which some senders put there (`utf-8`), say nothing.
const OTHER_PACKINGS: [&str; 6] = ["br", "compress", "deflate", "lz4", "snappy", "zstd"];

/// The JSON text of a message, for as long as it may be.
pub(super) fn text(message: &Message) -> Result<Cow<'_, [u8]>, WireError> {
    let body = message.body.as_slice();
    if body.len() > MAX_BODY {
        return Err(WireError::TooLong(body.len()));
    }
    let encoding = message.properties.content_encoding.as_deref().unwrap_or_default().to_ascii_lowercase();
    let text = match encoding.as_str() {
        // What is called gzip and is none is read as it is.
        "gzip" | "x-gzip" if body.starts_with(&GZIP) => Cow::Owned(unpacked(body)?),
        other if OTHER_PACKINGS.contains(&other) => return Err(WireError::Encoding(encoding)),
        _ => Cow::Borrowed(body),
    };
    if UTF16_MARKS.iter().any(|mark| text.starts_with(mark)) {
        return Err(WireError::Utf16);
    }
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(UTF8_MARK).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.strip_prefix(UTF8_MARK).map(<[u8]>::to_vec).unwrap_or(text)),
    })
}

fn unpacked(body: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut text = Vec::new();
    let most = MAX_BODY as u64 + 1;
    MultiGzDecoder::new(body).take(most).read_to_end(&mut text).map_err(WireError::NotUnpacked)?;
    if text.len() > MAX_BODY { Err(WireError::UnpacksTooLong) } else { Ok(text) }
}

pub(super) fn parse(text: &[u8]) -> Result<Value, WireError> {
    serde_json::from_slice(text).map_err(WireError::NotJson)
}

/// The text with `instead` for each escape that is half of a surrogate pair without the other, which no text can hold;
/// `None` where there is none. JavaScript writes them where it cut a string within an emoji.
pub(super) fn without_lone_surrogates(text: &[u8], instead: &[u8; 6]) -> Option<Vec<u8>> {
    let mut repaired = text.to_vec();
    let (mut at, mut found) = (0, false);
    while at < text.len() {
        match (text[at], unit(text, at)) {
            (_, Some(0xd800..=0xdbff)) if matches!(unit(text, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            (_, Some(0xd800..=0xdfff)) => {
                repaired[at..at + 6].copy_from_slice(instead);
                found = true;
                at += 6;
            }
            // An escaped backslash begins no other escape.
            (b'\\', _) => at += 2,
            _ => at += 1,
        }
    }
    found.then_some(repaired)
}

/// The number of an escape `\uXXXX` that begins here.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
