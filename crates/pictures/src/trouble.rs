//! Why there is no picture.

use objects::FetchError;

/// What lies where the image of a verdict was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub bytes: u64,
    pub version_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("the object holds other bytes than were judged: their sha256 is {}", found.sha256)]
    Changed { found: Found },
    #[error("the object does not exist any more")]
    Missing,
    /// It can't be decoded, though its bytes may be those that were judged.
    #[error("the image can't be shown: {0}")]
    Unreadable(String),
    /// The object, or all of its pixels at once, are beyond the limits.
    #[error("the image is too large to be shown: {0}")]
    TooLarge(String),
    /// It may be there later, or once somebody does what is said.
    #[error("the image can't be had: {0}")]
    Unreachable(String),
    /// This tenant may not have this object read.
    #[error("{0}")]
    NotAllowed(String),
    #[error("the image has no such crop")]
    NoSuchCrop,
}

impl Trouble {
    /// In the one word that the page for it takes: changed, missing, unreadable or unreachable.
    pub fn why(&self) -> &'static str {
        match self {
            Trouble::Changed { .. } => "changed",
            Trouble::Missing => "missing",
            Trouble::Unreadable(_) | Trouble::TooLarge(_) | Trouble::NoSuchCrop => "unreadable",
            Trouble::Unreachable(_) | Trouble::NotAllowed(_) => "unreachable",
        }
    }

    pub fn found(&self) -> Option<&Found> {
        match self {
            Trouble::Changed { found } => Some(found),
            _ => None,
        }
    }

    pub(crate) fn of_fetch(error: &FetchError) -> Trouble {
        match error {
            FetchError::NotFound { .. } => Trouble::Missing,
            FetchError::TooLarge { .. } => Trouble::TooLarge(error.to_string()),
            FetchError::AccessDenied { .. }
            | FetchError::Refused { .. }
            | FetchError::Mismatch { .. }
            | FetchError::Unavailable { .. } => Trouble::Unreachable(error.to_string()),
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "an error ends where it is made into another")]
    pub(crate) fn of_decoder(error: decoder::Error) -> Trouble {
        use imaging::DecodeError::{TooManyDecodedBytes, TooManyPixels};
        let words = error.to_string();
        match error {
            decoder::Error::Refused(TooManyDecodedBytes { .. } | TooManyPixels { .. })
            | decoder::Error::OutOfMemory { .. } => Trouble::TooLarge(words),
            decoder::Error::NotStarted(_) => Trouble::Unreachable(words),
            decoder::Error::Refused(_) | decoder::Error::TooSlow { .. } | decoder::Error::Died { .. } => {
                Trouble::Unreadable(words)
            }
        }
    }
}
