//! How a submission ends: a verdict or a failure.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Failure, ImageRef, OutcomeId, Purpose, SubmissionKey, Verdict};

/// The one durable end of a submission that could be read.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    Verdict(Box<Verdict>),
    Failure(Box<Failure>),
}

/// By its id. What serde derives for untagged kinds reads no numbers where they keep their digits, as they do in metadata.
impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
        let document = Value::deserialize(deserializer)?;
        let read = match document.get("verdict_id") {
            Some(_) => Verdict::deserialize(document).map(|verdict| Outcome::Verdict(Box::new(verdict))),
            None => Failure::deserialize(document).map(|failure| Outcome::Failure(Box::new(failure))),
        };
        read.map_err(D::Error::custom)
    }
}

impl Outcome {
    pub fn id(&self) -> OutcomeId {
        match self {
            Outcome::Verdict(verdict) => verdict.verdict_id,
            Outcome::Failure(failure) => failure.failure_id,
        }
    }

    pub fn key(&self) -> SubmissionKey {
        match self {
            Outcome::Verdict(verdict) => verdict.key(),
            Outcome::Failure(failure) => failure.key(),
        }
    }

    pub fn image(&self) -> ImageRef {
        match self {
            Outcome::Verdict(verdict) => verdict.image.reference(),
            Outcome::Failure(failure) => failure.image.clone(),
        }
    }

    /// `verdict` or `failure`.
    pub fn kind(&self) -> &'static str {
        match self {
            Outcome::Verdict(_) => "verdict",
            Outcome::Failure(_) => "failure",
        }
    }

    /// The decision of a verdict, the code of a failure: the word that says how it ended.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Verdict(verdict) => verdict.decision.as_str(),
            Outcome::Failure(failure) => failure.code.as_str(),
        }
    }

    /// Whether an image was judged again, and the decision and what follows from it are what they were: nobody need be told.
    pub fn is_unchanged(&self) -> bool {
        let Outcome::Verdict(verdict) = self else { return false };
        verdict.purpose == Purpose::Reverdict && verdict.previous.as_ref().is_some_and(|before| before.says_as(verdict))
    }

    /// Topic under which it is published: `verdict.<tenant>.<decision>` or `failure.<tenant>.<code>`; `unchanged.<tenant>.<decision>`
    /// where an image was judged again, and the decision and what follows from it are what they were.
    pub fn routing_key(&self) -> String {
        let tenant = match self {
            Outcome::Verdict(verdict) => &verdict.tenant,
            Outcome::Failure(failure) => &failure.tenant,
        };
        let kind = if self.is_unchanged() { "unchanged" } else { self.kind() };
        format!("{kind}.{tenant}.{}", self.word())
    }
}
