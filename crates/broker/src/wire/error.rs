//! Why a message can't be read.

use super::message::MAX_BODY;
use domain::RequestError;

/// Longest piece of a message that an error shows, in characters.
const MOST_SHOWN: usize = 64;

/// Why a message can't be read. It never will be.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the message is {0} bytes long; at most {MAX_BODY} are read")]
    TooLong(usize),
    #[error("the message is no JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    #[error("the message's content_encoding is {0:?}; send it as it is, or as gzip")]
    Encoding(String),
    #[error("the message is said to be gzip and can't be unpacked: {0}")]
    NotUnpacked(#[source] std::io::Error),
    #[error("the message unpacks to more than the {MAX_BODY} bytes that are read")]
    UnpacksTooLong,
    #[error("the message is UTF-16; send JSON as UTF-8")]
    Utf16,
    #[error("the message is no JSON object")]
    NotAnObject,
    #[error(
        "the message is none of the three forms: a request has `submission_id` and `image`, an S3 event \
         notification has `Records`, a CloudEvent has `specversion` and `data`"
    )]
    UnknownForm,
    #[error("reading the message failed inside of this program, whose log says where; report it, with the message")]
    Panicked,
    #[error("`{field}` {problem}")]
    Field { field: String, problem: String },
}

/// A value of a message in an error: what is wrong with it shows in its beginning, and an error is no place for a body.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(MOST_SHOWN) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}…", &value[..end]),
    }
}

impl WireError {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> WireError {
        WireError::Field { field: field.into(), problem: problem.into() }
    }

    /// `error` in a part of the message that lies at `path`.
    pub(super) fn at(path: &str, error: &RequestError) -> WireError {
        let field = if path.is_empty() { error.field.to_string() } else { format!("{path}.{}", error.field) };
        WireError::Field { field, problem: error.problem.clone() }
    }
}
