//! All that is known of a submission.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use domain::OutcomeId;

use super::appeal::AppealRow;
use super::item::{ItemId, ItemSummary};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct History {
    #[serde(with = "time::serde::rfc3339::option")]
    pub erased_at: Option<OffsetDateTime>,
    /// A blind review of it is open to this person: decisions, labels and votes are left out.
    pub hidden: bool,
    /// The newest first.
    pub generations: Vec<Generation>,
    /// The newest first.
    pub labels: Vec<LabelRow>,
    pub reviews: Vec<ReviewRow>,
    pub appeals: Vec<AppealRow>,
    pub items: Vec<ItemSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generation {
    pub generation: u32,
    pub outcome: OutcomeId,
    pub decision: Option<String>,
    /// Code.
    pub failure: Option<String>,
    pub synthetic: Option<f32>,
    /// A model's version, or `review`.
    pub by: Option<String>,
    pub policy: Option<PolicyRow>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    pub action: String,
    pub rule: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelRow {
    pub origin: String,
    pub generator: Option<String>,
    pub grounds: Vec<String>,
    pub drawn_as: Option<String>,
    pub trains: bool,
    /// A pseudonym, or who imported it.
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub reason: Option<String>,
}

/// A vote. Nobody sees another's while it can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewRow {
    pub vote: Uuid,
    pub item: ItemId,
    pub is_appeal: bool,
    pub answer: String,
    pub ground: Option<String>,
    pub generator: Option<String>,
    /// A pseudonym.
    pub who: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub blind: bool,
    /// pending, counted, undone or void.
    pub state: String,
    pub comment: Option<String>,
}
