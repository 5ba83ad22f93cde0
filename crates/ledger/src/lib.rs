//! The outcomes of submissions, kept for good: the port to their database.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a submission key has at most one outcome, for as long as the key is kept; the first one recorded stands;
//! - a key whose outcome is not kept any more is taken all the same, and nothing is recorded under it; of a submission that was
//!   erased, every key is;
//! - what `record` returned as new or standing survives a crash; after an error all of it may be recorded again;
//! - a value that the database refuses spoils no outcome but its own;
//! - order of answers is order of questions, also with the same key twice in one call;
//! - `scored` gives only verdicts of the same tenant, bytes and model, and never one that was itself reused.
//!
//! [`workers`] is a port of its own.

mod gone;
pub mod maintenance;
pub mod memory;
pub mod postgres;
pub mod retention;
pub mod workers;

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use domain::{ImageRef, ModelRef, Outcome, OutcomeId, Predecessors, SubmissionKey, Verdict};

pub use database::DatabaseError as LedgerError;
pub use gone::{Expired, Gone};

/// What the ledger knows of a submission before it is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The outcome that stands for exactly this key.
    pub standing: Option<Outcome>,
    /// There was one, and it is not kept any more.
    pub gone: Option<Gone>,
    pub predecessors: Predecessors,
}

/// An image by its bytes, and its tenant: tenants learn nothing of each other's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub tenant: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// What became of an outcome handed to [`Ledger::record`].
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// It is the one that stands now.
    New,
    /// Another one was first, and stands.
    Standing(Box<Outcome>),
    /// Another one was first, and is not kept any more: nothing was recorded.
    Gone(Gone),
    /// The database refuses one of its values, and would again. Why, in its words.
    Refused(String),
}

/// The record of outcomes as the worker sees it. Every error is the database's trouble, never the submission's.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// One answer for each key, in order.
    async fn find(&self, keys: &[SubmissionKey]) -> Result<Vec<Found>, LedgerError>;

    /// Records the outcomes, in one transaction unless one of them is refused; one answer for each, in order.
    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<Recorded>, LedgerError>;

    /// A verdict that this model has scored on each content, in order; `None` where there is none that was recorded within
    /// so long.
    async fn scored(
        &self,
        contents: &[Content],
        model: &ModelRef,
        within: Duration,
    ) -> Result<Vec<Option<Verdict>>, LedgerError>;

    /// The outcome of this id.
    async fn outcome(&self, id: OutcomeId) -> Result<Option<Outcome>, LedgerError>;

    /// The newest verdict of a tenant on an image that agrees with all that the reference says.
    async fn latest(&self, tenant: &str, image: &ImageRef) -> Result<Option<Verdict>, LedgerError>;

    /// Whether the database answers, and lets this user add outcomes.
    async fn prove(&self) -> Result<(), LedgerError>;

    /// How many partitions are there for what will be recorded later.
    async fn partitions_ahead(&self) -> Result<usize, LedgerError>;

    /// Whether the database answers and has the tables of this version.
    async fn check(&self) -> Result<(), LedgerError>;
}

/// When `within` ago was; the beginning of 1970 where that is earlier.
fn since(within: Duration) -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    within.try_into().ok().and_then(|within| now.checked_sub(within)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
