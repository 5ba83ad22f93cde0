//! Model versions, which of them serves, and who may change that: the port to the model registry.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a registered version never changes; registering the very same again changes nothing;
//! - promotions are only ever added; the active model is that of the last one;
//! - a promotion names what it replaces, and fails if that is no longer active: of two at once, one wins;
//! - of a lease there is one holder at a time, each with a higher epoch than the one before; whatever is written by an
//!   earlier epoch is refused.
//!
//! Artefacts lie in a [`Store`]; [`lifecycle`] joins the two.

pub mod lifecycle;
pub mod memory;
pub mod postgres;
pub mod store;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use database::DatabaseError;

pub use lifecycle::{Candidate, fetch_active, promote, register, roll_back};
pub use store::{ArtefactError, Store};

/// `[registry]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A folder, or `s3://bucket/prefix`.
    pub store: String,
    /// Where artefacts of an object store are kept on this machine.
    pub cache: String,
    pub poll_s: u64,
}

impl Settings {
    /// What the types do not hold; the error names the key and the mend.
    pub fn validate(&self) -> Result<(), String> {
        let place = self.store.strip_prefix("s3://");
        if self.store.is_empty() || place.is_some_and(|place| place.is_empty() || place.starts_with('/')) {
            return Err(format!("registry.store = {:?} must be a folder or s3://bucket/prefix", self.store));
        }
        if place.is_some() && self.cache.is_empty() {
            return Err("registry.cache must name a folder where registry.store is in an object store".into());
        }
        if self.poll_s == 0 {
            return Err("registry.poll_s must be at least 1".into());
        }
        Ok(())
    }
}

/// A version that is to be registered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewModel {
    pub version: String,
    /// Of the weights file, lower-case hexadecimal.
    pub sha256: String,
    /// A folder, or `s3://bucket/prefix`.
    pub location: String,
    /// `manifest.json`, byte for byte.
    pub manifest: String,
    pub metrics: Value,
    /// The version that it was trained from.
    pub parent: Option<String>,
    pub actor: String,
}

/// A registered version.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub entry: NewModel,
    pub registered_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    New,
    /// The very same was registered before.
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Promotion,
    /// Back to what was active before.
    Rollback,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Promotion => "promotion",
            Kind::Rollback => "rollback",
        }
    }
}

/// What is to become of the active model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub version: String,
    /// What is active as far as the caller knows; `None` for none.
    pub replaces: Option<String>,
    pub kind: Kind,
    pub actor: String,
    pub reason: Option<String>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// From 1, without gaps.
    pub number: i64,
    pub version: String,
    pub replaces: Option<String>,
    pub kind: Kind,
    pub actor: String,
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub promoted_at: OffsetDateTime,
}

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

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    #[error("version {version} is registered already, as another model; give this one another version")]
    Taken { version: String },
    #[error("no model {version:?} is registered; `assay model list` shows what is")]
    Unknown { version: String },
    #[error(
        "the active model is {} now, not {}: nothing was changed; see `assay model list` and decide again",
        named(.active), named(.expected)
    )]
    Moved { active: Option<String>, expected: Option<String> },
    #[error(
        "no model is active; register one (`assay model register DIR`) and promote it (`assay model promote VERSION`)"
    )]
    NothingActive,
    #[error("no model was active before {active}: there is nothing to go back to")]
    NothingBefore { active: String },
    #[error(
        "the lease {name:?} has epoch {current} now and this job epoch {epoch}: another job took over, and this one may write no more"
    )]
    Fenced { name: String, epoch: i64, current: i64 },
}

fn named(version: &Option<String>) -> &str {
    version.as_deref().unwrap_or("none")
}

/// The registry as people, jobs and workers see it.
#[async_trait]
pub trait Registry: Send + Sync {
    async fn register(&self, model: &NewModel, by: By<'_>) -> Result<Registered, RegistryError>;

    async fn model(&self, version: &str) -> Result<Option<Model>, RegistryError>;

    /// All of them, the newest first.
    async fn models(&self) -> Result<Vec<Model>, RegistryError>;

    /// The last promotion: its version is the active one.
    async fn active(&self) -> Result<Option<Promotion>, RegistryError>;

    /// Every promotion, in order.
    async fn promotions(&self) -> Result<Vec<Promotion>, RegistryError>;

    /// Makes a version the active one, if what it replaces still is. A version that is active already stays so, and the
    /// answer is the promotion that made it.
    async fn promote(&self, change: &Change, by: By<'_>) -> Result<Promotion, RegistryError>;

    /// Takes a lease that is free or has expired.
    async fn acquire(&self, name: &str, holder: &str, ttl: Duration) -> Result<Acquired, RegistryError>;

    /// Makes a lease last for `ttl` from now on, unless somebody else holds it.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, RegistryError>;

    /// Gives a lease back, if it is still the caller's.
    async fn release(&self, lease: &Lease) -> Result<(), RegistryError>;

    /// Writes down how a run is; from the first word on until the one that ends it.
    async fn record_run(&self, run: &Run, lease: &Lease) -> Result<(), RegistryError>;

    /// The last runs, the newest first.
    async fn runs(&self, most: usize) -> Result<Vec<RecordedRun>, RegistryError>;

    /// Waits until a promotion is announced, and no longer than `most`. It may be over for nothing.
    async fn news(&self, most: Duration);
}

/// What a rollback leads to: the version below the last one, where each promotion is laid upon those before it and each
/// rollback takes one away.
pub fn before(promotions: &[Promotion]) -> Option<&str> {
    let mut pile: Vec<&str> = Vec::new();
    for promotion in promotions {
        match promotion.kind {
            Kind::Promotion => pile.push(&promotion.version),
            Kind::Rollback => {
                pile.pop();
            }
        }
    }
    pile.len().checked_sub(2).map(|below| pile[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollbacks_go_back_further_and_further() {
        let history = |versions: &[(&str, Kind)]| {
            let promotions = versions.iter().enumerate().map(|(index, (version, kind))| Promotion {
                number: index as i64 + 1,
                version: version.to_string(),
                replaces: None,
                kind: *kind,
                actor: "a".into(),
                reason: None,
                promoted_at: OffsetDateTime::UNIX_EPOCH,
            });
            promotions.collect::<Vec<_>>()
        };
        use Kind::{Promotion as Up, Rollback as Down};
        assert_eq!(before(&history(&[])), None);
        assert_eq!(before(&history(&[("a", Up)])), None);
        assert_eq!(before(&history(&[("a", Up), ("b", Up), ("c", Up)])), Some("b"));
        assert_eq!(before(&history(&[("a", Up), ("b", Up), ("c", Up), ("b", Down)])), Some("a"));
        assert_eq!(before(&history(&[("a", Up), ("b", Up), ("a", Down)])), None);
        assert_eq!(before(&history(&[("a", Up), ("b", Up), ("a", Down), ("c", Up)])), Some("a"));
    }

    #[test]
    fn an_error_says_what_is_active() {
        let moved = RegistryError::Moved { active: Some("2".into()), expected: None };
        assert!(moved.to_string().starts_with("the active model is 2 now, not none"), "{moved}");
    }
}
