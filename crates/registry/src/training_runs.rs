//! How the runs of the retrain job went.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a run keeps its id and its start when another process resumes it;
//! - only the holder of the lease records anything.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::leases::{Lease, LeaseError};
use database::DatabaseError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    /// The gate refused the candidate.
    Refused,
    Promoted,
    /// Registered, not promoted.
    Registered,
    NothingNew,
    Failed,
}

impl RunState {
    pub const ALL: [RunState; 6] = [
        RunState::Running,
        RunState::Refused,
        RunState::Promoted,
        RunState::Registered,
        RunState::NothingNew,
        RunState::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Refused => "refused",
            RunState::Promoted => "promoted",
            RunState::Registered => "registered",
            RunState::NothingNew => "nothing_new",
            RunState::Failed => "failed",
        }
    }
}

/// A run of the retrain job, as the job describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Of the job's own choosing; a run that is resumed keeps it.
    pub id: Uuid,
    pub state: RunState,
    /// sha256 of the snapshot's manifest, once there is one.
    pub snapshot: Option<String>,
    /// The version that it made.
    pub candidate: Option<String>,
    pub report: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRun {
    pub run: Run,
    /// Of the lease under which it was last written.
    pub epoch: i64,
    pub started_at: OffsetDateTime,
    /// `None` while it runs.
    pub finished_at: Option<OffsetDateTime>,
}

/// The record of runs.
#[async_trait]
pub trait TrainingRuns: Send + Sync {
    /// Records the state of a run: from its beginning until a state that ends it.
    async fn record(&self, run: &Run, lease: &Lease) -> Result<(), LeaseError>;

    /// The last runs, the newest first.
    async fn latest(&self, most: usize) -> Result<Vec<RecordedRun>, DatabaseError>;
}
