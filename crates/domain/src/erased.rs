//! That submissions were erased: what consumers are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::OutcomeId;

/// The document `assay.erased.v1`: that what was known of these submissions is deleted. Whoever has stored it deletes it too.
/// One erasure may send several, each of at most 500 submissions, and one that was stopped and begun again sends the same twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    #[schemars(extend("const" = Erased::SCHEMA))]
    pub schema: String,
    /// As in the receipt.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub erasure_id: Uuid,
    pub tenant: String,
    pub submissions: Vec<ErasedSubmission>,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: OffsetDateTime,
}

/// A submission with the outcomes of all its generations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErasedSubmission {
    pub submission_id: String,
    pub outcome_ids: Vec<OutcomeId>,
}

impl Erased {
    pub const SCHEMA: &'static str = "assay.erased.v1";

    pub fn new(erasure_id: Uuid, tenant: &str, submissions: Vec<ErasedSubmission>, at: OffsetDateTime) -> Erased {
        Erased { schema: Self::SCHEMA.into(), erasure_id, tenant: tenant.into(), submissions, at }
    }

    /// Topic under which it is published: `erased.<tenant>`.
    pub fn routing_key(&self) -> String {
        format!("erased.{}", self.tenant)
    }
}
