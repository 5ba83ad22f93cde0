//! A message that was not taken for a submission, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RejectionCode {
    /// The message, or a record of it, can't be read.
    Unreadable,
    /// The submission has its outcome already, for another image. That outcome stands.
    Conflict,
}

impl RejectionCode {
    pub fn as_str(self) -> &'static str {
        match self {
            RejectionCode::Unreadable => "unreadable",
            RejectionCode::Conflict => "conflict",
        }
    }
}

/// The document `assay.rejection.v1`: that a message lies among the dead letters, and why. It is no outcome: the submission
/// has none from this message, and may be sent again, corrected, under the same key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    #[schemars(extend("const" = Rejection::SCHEMA))]
    pub schema: String,
    /// The same for the same message, however often it is rejected.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub rejection_id: Uuid,
    pub code: RejectionCode,
    /// In words, for whoever sent it. Never the message itself; a value that is wrong may be quoted, shortened.
    pub reason: String,
    /// The queue that it came by.
    pub queue: String,
    /// Whose it is, as far as that could be read.
    pub tenant: Option<String>,
    /// What it asked about, as far as that could be read; null for an event of several records.
    pub submission_id: Option<String>,
    /// The message's own id, if it had one.
    pub message_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: OffsetDateTime,
}

impl Rejection {
    pub const SCHEMA: &'static str = "assay.rejection.v1";
    /// In the place of a tenant that could not be read.
    pub const UNKNOWN: &'static str = "unknown";

    /// The id of the rejection of a message with this id and body.
    pub fn id_of(message_id: Option<&str>, body: &[u8]) -> Uuid {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"assay.rejection");
        let name = [message_id.unwrap_or_default().as_bytes(), b"\0", body].concat();
        Uuid::new_v5(&namespace, &name)
    }

    /// Topic under which it is published: `rejected.<tenant>`.
    pub fn routing_key(&self) -> String {
        format!("rejected.{}", self.tenant.as_deref().unwrap_or(Self::UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_message_is_rejected_under_the_same_id() {
        let id = Rejection::id_of(Some("m"), b"{half");
        assert_eq!(id, Rejection::id_of(Some("m"), b"{half"));
        assert_ne!(id, Rejection::id_of(None, b"{half"));
        assert_ne!(id, Rejection::id_of(Some("m"), b"{other"));
    }
}
