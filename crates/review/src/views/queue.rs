//! What waits, and how much of it there is room for.

use serde::Serialize;
use time::OffsetDateTime;

use domain::{Decision, OutcomeId};

use super::item::{ItemId, ItemState, ShownSource};
use crate::source::Source;

/// The page of the queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueueState {
    pub waiting: u64,
    pub oldest_s: Option<u64>,
    /// Votes of today (UTC).
    pub reviewed_by_me: u64,
    /// Why there is no next image, in words; none where there may be one.
    pub why_none: Option<String>,
    pub sources_waiting: Vec<SourceWaiting>,
    pub budgets: Vec<TenantBudget>,
    pub held: Vec<HeldItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceWaiting {
    pub source: String,
    pub tenant: String,
    /// Nobody has it now.
    pub waiting: u64,
    /// Somebody has it now.
    pub claimed: u64,
    pub oldest_s: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantBudget {
    pub tenant: String,
    pub per_day: Option<u64>,
    /// Begun today (UTC).
    pub reviewed: u64,
    pub left: Option<u64>,
    /// Closed without anybody having looked, in the last `review.wait_days`, and what waits now and has no room today.
    pub not_reviewed: u64,
}

/// Held for later by this person, or assigned to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldItem {
    pub id: ItemId,
    pub is_appeal: bool,
    pub submission_id: String,
    pub source: ShownSource,
    /// A pseudonym.
    pub assigned_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    pub comment: Option<String>,
}

/// Which items are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    pub tenant: Option<String>,
    pub source: Option<Source>,
    pub state: Option<ItemState>,
    /// At most 1,000.
    pub most: u32,
}

/// For the command line: in the order of the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedItem {
    pub id: ItemId,
    pub is_appeal: bool,
    pub tenant: String,
    pub submission_id: String,
    pub outcome: OutcomeId,
    pub generation: u32,
    pub source: ShownSource,
    /// None where a blind review is open to this person.
    pub decision: Option<Decision>,
    pub state: ItemState,
    pub closed_why: Option<String>,
    pub claimed: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub arrived_at: OffsetDateTime,
}
