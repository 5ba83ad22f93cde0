//! What was decided, for good: the port to the database of outcomes.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a submission key has at most one outcome, ever; the first one recorded stands;
//! - `record` is all or nothing, and what it returned as new or standing survives a crash;
//! - order of answers is order of questions, also with the same key twice in one call;
//! - a worker's report replaces its last one and no other's;
//! - `scored` gives only verdicts of the same tenant, bytes and model, and never one that was itself reused.

pub mod memory;
pub mod postgres;

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use domain::{ImageRef, ModelRef, Outcome, OutcomeId, SubmissionKey, Verdict};

pub use database::{DatabaseError as LedgerError, Settings};

/// What the ledger knows of a submission before it is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The outcome that stands for exactly this key.
    pub standing: Option<Outcome>,
    /// The outcome of the latest earlier generation of the same submission.
    pub predecessor: Option<OutcomeId>,
}

/// An image by its bytes, and whose it is: tenants learn nothing of each other's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub tenant: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// What a worker says of itself now and then, for `assay status`.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerReport {
    /// Host and process number.
    pub name: String,
    pub version: String,
    pub device: String,
    pub model_version: String,
    pub model_sha256: String,
    /// `ready`, or what is in the way.
    pub state: String,
    pub in_flight: u32,
    pub oldest_in_flight_s: f32,
    /// How long the message taken last had waited in its queue.
    pub queue_wait_s: Option<f32>,
    pub started_at: OffsetDateTime,
}

/// A report, and how old it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub report: WorkerReport,
    pub ago: Duration,
}

/// What became of an outcome handed to [`Ledger::record`].
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// It is the one that stands now.
    New,
    /// Another one was first, and stands.
    Standing(Box<Outcome>),
}

/// The record of outcomes as the worker sees it. Every error is the database's trouble, never the submission's.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// One answer for each key, in order.
    async fn find(&self, keys: &[SubmissionKey]) -> Result<Vec<Found>, LedgerError>;

    /// Records the outcomes in one transaction; one answer for each, in order.
    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<Recorded>, LedgerError>;

    /// A verdict that this model has scored on each content, in order; `None` where there is none yet.
    async fn scored(&self, contents: &[Content], model: &ModelRef) -> Result<Vec<Option<Verdict>>, LedgerError>;

    /// The outcome of this id.
    async fn outcome(&self, id: OutcomeId) -> Result<Option<Outcome>, LedgerError>;

    /// The newest verdict of a tenant on an image that agrees with all that the reference says.
    async fn latest(&self, tenant: &str, image: &ImageRef) -> Result<Option<Verdict>, LedgerError>;

    /// Replaces what this worker said before.
    async fn report(&self, report: &WorkerReport) -> Result<(), LedgerError>;

    /// What was said in the last `within`, by name.
    async fn workers(&self, within: Duration) -> Result<Vec<Seen>, LedgerError>;

    /// Whether the database answers and has the tables of this version.
    async fn check(&self) -> Result<(), LedgerError>;
}
