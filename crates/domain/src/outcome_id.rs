//! The id of an outcome, which follows from the submission.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SubmissionKey;

/// The id of the one outcome of a submission.
///
/// It is a version 5 UUID of the idempotency key, so every worker, every repetition and every reader
/// arrives at the same id without asking anybody (docs/adr/0002).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, description = "The id of an outcome: the `verdict_id` of a verdict, the `failure_id` of a failure.")]
pub struct OutcomeId(#[schemars(with = "String", extend("format" = "uuid"))] pub Uuid);

impl OutcomeId {
    /// The namespace of all outcomes: version 5 UUID of `assay.outcome` in the DNS namespace.
    fn namespace() -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"assay.outcome")
    }

    pub fn of(key: &SubmissionKey) -> OutcomeId {
        // NUL can be in neither part (see `Request::validate`), so no two keys share a name.
        let name = format!("{}\0{}\0{}", key.tenant, key.submission_id, key.generation);
        OutcomeId(Uuid::new_v5(&Self::namespace(), name.as_bytes()))
    }
}

impl fmt::Display for OutcomeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_key_alone() {
        let key = |tenant: &str, id: &str, generation| SubmissionKey {
            tenant: tenant.into(),
            submission_id: id.into(),
            generation,
        };
        let id = OutcomeId::of(&key("acme", "post-1", 0));
        assert_eq!(id, OutcomeId::of(&key("acme", "post-1", 0)));
        assert_ne!(id, OutcomeId::of(&key("acme", "post-1", 1)));
        assert_ne!(id, OutcomeId::of(&key("acme2", "post-1", 0)));
        assert_ne!(OutcomeId::of(&key("a", "b", 10)), OutcomeId::of(&key("a", "b1", 0)));
    }
}
