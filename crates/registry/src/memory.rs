//! Registry, leases and runs in memory, for tests: together, since what is written by the right of a lease is checked
//! against it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::error::RegistryError;
use crate::leases::{Acquired, By, Fenced, Lease, LeaseError, Leases};
use crate::model::{Model, NewModel, Registered};
use crate::promotion::{Change, Promotion};
use crate::training_runs::{RecordedRun, Run, RunState, TrainingRuns};
use crate::versions::Registry;
use database::DatabaseError;

pub struct Memory {
    state: Mutex<State>,
    promoted: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    models: Vec<Model>,
    promotions: Vec<Promotion>,
    leases: BTreeMap<String, Lease>,
    runs: Vec<RecordedRun>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory { state: Mutex::default(), promoted: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

impl State {
    fn admit(&self, by: By<'_>) -> Result<(), Fenced> {
        match by {
            By::Person => Ok(()),
            By::Job(lease) => self.own(lease).map(|_| ()),
        }
    }

    fn own(&self, lease: &Lease) -> Result<&Lease, Fenced> {
        match self.leases.get(&lease.name) {
            Some(current) if current.epoch == lease.epoch => Ok(current),
            other => {
                let current = other.map_or(0, |current| current.epoch);
                Err(Fenced { name: lease.name.clone(), epoch: lease.epoch, current })
            }
        }
    }

    fn knows(&self, version: &str) -> Result<&Model, RegistryError> {
        let found = self.models.iter().find(|model| model.entry.version == version);
        found.ok_or_else(|| RegistryError::Unknown { version: version.into() })
    }
}

#[async_trait]
impl Registry for Memory {
    async fn register(&self, model: &NewModel, by: By<'_>) -> Result<Registered, RegistryError> {
        let mut state = self.state();
        state.admit(by)?;
        if let Some(parent) = &model.parent {
            state.knows(parent)?;
        }
        if let Ok(known) = state.knows(&model.version) {
            let same = (&known.entry.sha256, &known.entry.manifest) == (&model.sha256, &model.manifest);
            let taken = || RegistryError::Taken { version: model.version.clone() };
            return if same { Ok(Registered::Known) } else { Err(taken()) };
        }
        state.models.push(Model { entry: model.clone(), registered_at: OffsetDateTime::now_utc() });
        Ok(Registered::New)
    }

    async fn model(&self, version: &str) -> Result<Option<Model>, RegistryError> {
        Ok(self.state().knows(version).ok().cloned())
    }

    async fn models(&self) -> Result<Vec<Model>, RegistryError> {
        Ok(self.state().models.iter().rev().cloned().collect())
    }

    async fn active(&self) -> Result<Option<Promotion>, RegistryError> {
        Ok(self.state().promotions.last().cloned())
    }

    async fn promotions(&self) -> Result<Vec<Promotion>, RegistryError> {
        Ok(self.state().promotions.clone())
    }

    async fn promote(&self, change: &Change, by: By<'_>) -> Result<Promotion, RegistryError> {
        // As over a network, others get their turn.
        tokio::task::yield_now().await;
        let Change { version, replaces, kind, actor, reason } = change.clone();
        let mut state = self.state();
        state.admit(by)?;
        state.knows(&version)?;
        let last = state.promotions.last();
        if let Some(standing) = last.filter(|last| last.version == version) {
            return Ok(standing.clone());
        }
        let active = last.map(|last| last.version.clone());
        if active != replaces {
            return Err(RegistryError::Moved { active, expected: replaces });
        }
        let number = state.promotions.len() as i64 + 1;
        let promoted_at = OffsetDateTime::now_utc();
        let promotion = Promotion { number, version, replaces, kind, actor, reason, promoted_at };
        state.promotions.push(promotion.clone());
        drop(state);
        self.promoted.send_modify(|count| *count += 1);
        Ok(promotion)
    }

    async fn wait_for_promotion(&self, most: Duration) {
        let mut promoted = self.promoted.subscribe();
        // The sender lives in `self`.
        let _ = tokio::time::timeout(most, promoted.changed()).await;
    }
}

#[async_trait]
impl Leases for Memory {
    async fn acquire(&self, name: &str, holder: &str, ttl: Duration) -> Result<Acquired, DatabaseError> {
        let mut state = self.state();
        let now = OffsetDateTime::now_utc();
        let before = state.leases.get(name);
        if let Some(held) = before.filter(|lease| lease.expires_at > now) {
            return Ok(Acquired::Held { by: held.holder.clone(), until: held.expires_at });
        }
        let epoch = before.map_or(0, |lease| lease.epoch) + 1;
        let lease = Lease { name: name.into(), holder: holder.into(), epoch, expires_at: now + ttl };
        state.leases.insert(name.into(), lease.clone());
        Ok(Acquired::Mine(lease))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, LeaseError> {
        let mut state = self.state();
        let renewed = Lease { expires_at: OffsetDateTime::now_utc() + ttl, ..state.own(lease)?.clone() };
        state.leases.insert(lease.name.clone(), renewed.clone());
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), DatabaseError> {
        let mut state = self.state();
        if let Some(current) = state.leases.get_mut(&lease.name).filter(|current| current.epoch == lease.epoch) {
            current.expires_at = OffsetDateTime::now_utc();
        }
        Ok(())
    }
}

#[async_trait]
impl TrainingRuns for Memory {
    async fn record(&self, run: &Run, lease: &Lease) -> Result<(), LeaseError> {
        let mut state = self.state();
        state.own(lease)?;
        let now = OffsetDateTime::now_utc();
        let finished_at = (run.state != RunState::Running).then_some(now);
        let before = state.runs.iter().position(|recorded| recorded.run.id == run.id);
        let started_at = before.map_or(now, |at| state.runs[at].started_at);
        let recorded = RecordedRun { run: run.clone(), epoch: lease.epoch, started_at, finished_at };
        match before {
            Some(at) => state.runs[at] = recorded,
            None => state.runs.push(recorded),
        }
        Ok(())
    }

    async fn latest(&self, most: usize) -> Result<Vec<RecordedRun>, DatabaseError> {
        Ok(self.state().runs.iter().rev().take(most).cloned().collect())
    }
}
