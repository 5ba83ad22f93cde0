//! What waits.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use review::{HeldItem, QueueState, SourceWaiting, TenantBudget};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct QueuePage {
    waiting: u64,
    oldest_s: Option<u64>,
    reviewed_by_me: u64,
    why_none: Option<String>,
    sources_waiting: Vec<SourceWaiting>,
    budgets: Vec<TenantBudget>,
    held: Vec<Held>,
}

#[derive(Clone, Debug, Serialize)]
struct Held {
    id: Uuid,
    submission_id: String,
    source: &'static str,
    assigned_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    comment: Option<String>,
}

impl From<QueueState> for QueuePage {
    fn from(state: QueueState) -> QueuePage {
        let held = |held: HeldItem| Held {
            id: held.id.0,
            submission_id: held.submission_id,
            source: held.source.as_str(),
            assigned_by: held.assigned_by,
            since: held.since,
            comment: held.comment,
        };
        QueuePage {
            waiting: state.waiting,
            oldest_s: state.oldest_s,
            reviewed_by_me: state.reviewed_by_me,
            why_none: state.why_none,
            sources_waiting: state.sources_waiting,
            budgets: state.budgets,
            held: state.held.into_iter().map(held).collect(),
        }
    }
}
