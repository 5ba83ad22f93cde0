//! Which policies there are, on what they were tried, and which is in force.

use serde::Serialize;
use time::OffsetDateTime;

use database::DatabaseError;

/// A policy that was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    pub digest: String,
    /// The file, as it was given.
    pub text: String,
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub put_at: OffsetDateTime,
}

impl Stored {
    pub fn version(&self) -> &str {
        version(&self.digest)
    }
}

/// What a policy is called for short: the first 12 digits of its digest.
pub(crate) fn version(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What became of a policy that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    New,
    /// One that says the same was there.
    Known,
}

/// From when on a policy was in force, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Activation {
    /// From 1, without gaps.
    pub number: i64,
    /// The digest; null where from then on none was in force.
    pub policy: Option<String>,
    pub replaces: Option<String>,
    /// The digest of the trial that was looked at before.
    pub trial: Option<String>,
    pub actor: String,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub activated_at: OffsetDateTime,
}

/// What is to be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A policy by its digest or version, after the trial of this digest.
    Policy {
        version: String,
        trial: String,
    },
    Nothing,
}

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewActivation {
    pub to: Wanted,
    /// The digest of what is in force as far as the caller knows.
    pub replaces: Option<String>,
    pub actor: String,
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("there is no policy {0}; `assay policy put FILE` stores one, and `assay policy show` lists them")]
    Unknown(String),
    #[error("several policies begin with {0}; give more digits")]
    Ambiguous(String),
    #[error(
        "there is no trial {trial} of the policy {version}{detail}; `assay policy try FILE --since 7d` prints the digest of one"
    )]
    NotTried { version: String, trial: String, detail: String },
    #[error(
        "the trial is of {tried_at}, more than {days} days ago, and says little of what comes now: try the policy once more"
    )]
    TriedLongAgo { tried_at: OffsetDateTime, days: i64 },
    #[error(
        "{} is in force by now, and not {}: somebody else has changed it; look again (`assay policy show`)",
        named(active),
        named(expected)
    )]
    Moved { active: Option<String>, expected: Option<String> },
}

fn named(digest: &Option<String>) -> String {
    digest.as_deref().map_or("no policy".into(), |digest| format!("the policy {}", version(digest)))
}
