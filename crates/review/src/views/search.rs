//! Finding submissions.

use std::str::FromStr;

use serde::Serialize;
use time::OffsetDateTime;

use domain::OutcomeId;

/// By what is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Any,
    Submission,
    Outcome,
    Digest,
    Key,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be searched by: give any, submission, outcome, digest or key")]
pub struct UnknownBy(String);

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchPage {
    pub results: Vec<SearchRow>,
    /// There are more than are given.
    pub more: bool,
    /// What is wrong with what was asked, in words.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchRow {
    pub tenant: String,
    pub submission_id: String,
    pub generation: u32,
    pub outcome: OutcomeId,
    /// None of a failure, and where hidden.
    pub decision: Option<String>,
    /// Code; none of a verdict, and where hidden.
    pub failure: Option<String>,
    pub synthetic: Option<f32>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub key: String,
    /// What became of its review, in words: waiting, reviewed, not reviewed, appeal open …; empty where there was none.
    pub review: String,
    /// A blind review of it is open to this person.
    pub hidden: bool,
}

impl By {
    pub const ALL: [By; 5] = [By::Any, By::Submission, By::Outcome, By::Digest, By::Key];

    pub fn as_str(self) -> &'static str {
        match self {
            By::Any => "any",
            By::Submission => "submission",
            By::Outcome => "outcome",
            By::Digest => "digest",
            By::Key => "key",
        }
    }
}

impl FromStr for By {
    type Err = UnknownBy;

    fn from_str(code: &str) -> Result<By, UnknownBy> {
        By::ALL.into_iter().find(|by| by.as_str() == code).ok_or_else(|| UnknownBy(code.into()))
    }
}
