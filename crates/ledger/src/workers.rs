//! What workers report of themselves, for `assay status`: nothing else rests on it.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a worker's report replaces its last one and no other's;
//! - a worker that leaves has no report any more;
//! - the reports of workers that were killed go when others remove what is old.

pub mod memory;
pub mod postgres;

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use database::DatabaseError;

/// Workers say how they are every 5 s; after this long without a word one is silent, and not counted among those at work.
pub const SILENT_AFTER: Duration = Duration::from_secs(20);

/// The report of a worker that was not heard of for this long is removed by those that still report.
pub const REMOVED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How a worker is, by its own account.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerReport {
    /// Host and process number.
    pub name: String,
    pub version: String,
    pub device: String,
    pub model_version: String,
    pub model_sha256: String,
    /// Whether it takes over what the registry promotes; `None` from a worker of an earlier version.
    pub follows_registry: Option<bool>,
    /// `ready`, or what is in the way.
    pub state: String,
    pub in_flight: u32,
    pub oldest_in_flight_s: f32,
    /// How long the live message that was taken last had waited in its queue.
    pub queue_wait_s: Option<f32>,
    pub started_at: OffsetDateTime,
}

/// A worker's last report.
#[derive(Clone, Debug, PartialEq)]
pub struct LastReport {
    pub report: WorkerReport,
    pub age: Duration,
}

/// The workers, by their last reports.
#[async_trait]
pub trait Workers: Send + Sync {
    /// Replaces this worker's last report.
    async fn report(&self, report: &WorkerReport) -> Result<(), DatabaseError>;

    /// Removes a worker's report, because it stops.
    async fn leave(&self, name: &str) -> Result<(), DatabaseError>;

    /// Removes the reports that are older than `age`; how many there were.
    async fn remove_older(&self, age: Duration) -> Result<u64, DatabaseError>;

    /// The reports of the last `within`, by name.
    async fn last_reports(&self, within: Duration) -> Result<Vec<LastReport>, DatabaseError>;
}
