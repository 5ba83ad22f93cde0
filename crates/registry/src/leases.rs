//! Leases: of a job that must be alone there is one at a time.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - of a lease there is one holder at a time, each with a higher epoch than the one before;
//! - whatever is written by the right of an earlier epoch is refused, whichever port it is written by.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use database::DatabaseError;

/// The right to be the one that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    /// Distinct for each process: a holder never takes over from itself.
    pub holder: String,
    /// From 1; a later holder has a higher one.
    pub epoch: i64,
    pub expires_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    Mine(Lease),
    Held { by: String, until: OffsetDateTime },
}

/// By what right something is written.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// A person decides, whatever job is under way.
    Person,
    /// A job, which is refused once somebody else holds its lease.
    Job(&'a Lease),
}

/// Somebody else holds the lease by now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lease {name:?} has epoch {current} now and this job epoch {epoch}: another job took over, and this one may write no more"
)]
pub struct Fenced {
    pub name: String,
    pub epoch: i64,
    /// 0 where nobody ever held it.
    pub current: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

/// The leases, by name.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes a lease that is free or has expired.
    async fn acquire(&self, name: &str, holder: &str, ttl: Duration) -> Result<Acquired, DatabaseError>;

    /// Makes a lease last for `ttl` from now on, unless somebody else holds it.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, LeaseError>;

    /// Gives a lease back, if it is still the caller's.
    async fn release(&self, lease: &Lease) -> Result<(), DatabaseError>;
}
