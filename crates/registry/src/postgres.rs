//! Registry, leases and runs in PostgreSQL.

mod answer;
mod leases;
mod rows;
mod training_runs;
mod versions;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use tokio::sync::Mutex;

use crate::error::RegistryError;
use crate::leases::{Acquired, By, Lease, LeaseError, Leases};
use crate::model::{Model, NewModel, Registered};
use crate::promotion::{Change, Promotion};
use crate::training_runs::{RecordedRun, Run, TrainingRuns};
use crate::versions::Registry;
use answer::Trouble;
use database::{Database, DatabaseError};
use versions::CHANNEL;

pub struct Postgres {
    database: Database,
    /// Kept from one wait to the next, so that nothing that is announced between them is missed.
    listener: Mutex<Option<PgListener>>,
}

impl Postgres {
    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone(), listener: Mutex::new(None) }
    }
}

/// Asks over a connection of the pool, which is given back with the answer.
macro_rules! ask {
    ($self:ident, $connection:ident => $work:expr) => {{
        let mut $connection = $self.database.connection().await?;
        let work = async {
            match $work.await {
                Ok(value) => Ok(Ok(value)),
                Err(Trouble::Refused(error)) => Ok(Err(error)),
                Err(Trouble::Failed(error)) => Err(error),
            }
        };
        let answer = $self.database.in_time(work).await;
        $self.database.conclude($connection, answer).await?
    }};
}

#[async_trait]
impl Registry for Postgres {
    async fn register(&self, model: &NewModel, by: By<'_>) -> Result<Registered, RegistryError> {
        ask!(self, connection => versions::register(&mut connection, model, by))
    }

    async fn model(&self, version: &str) -> Result<Option<Model>, RegistryError> {
        ask!(self, connection => versions::model(&mut connection, version))
    }

    async fn models(&self) -> Result<Vec<Model>, RegistryError> {
        ask!(self, connection => versions::models(&mut connection))
    }

    async fn active(&self) -> Result<Option<Promotion>, RegistryError> {
        ask!(self, connection => versions::active(&mut connection))
    }

    async fn promotions(&self) -> Result<Vec<Promotion>, RegistryError> {
        ask!(self, connection => versions::promotions(&mut connection))
    }

    async fn promote(&self, change: &Change, by: By<'_>) -> Result<Promotion, RegistryError> {
        ask!(self, connection => versions::promote(&mut connection, change, by))
    }

    async fn wait_for_promotion(&self, most: Duration) {
        let announced = async {
            let mut kept = self.listener.lock().await;
            loop {
                let listener = match &mut *kept {
                    Some(listener) => listener,
                    None => match self.database.listen(CHANNEL).await {
                        Ok(listener) => kept.insert(listener),
                        Err(error) => {
                            tracing::debug!(%error, "announcements of promotions can't be received: asking now and then instead");
                            return std::future::pending().await;
                        }
                    },
                };
                match listener.recv().await {
                    // Channels are the database's, whatever the schema.
                    Ok(announced) if announced.payload() == self.database.schema() => return,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "announcements of promotions are received no longer");
                        *kept = None;
                        return;
                    }
                }
            }
        };
        let _ = tokio::time::timeout(most, announced).await;
    }
}

#[async_trait]
impl Leases for Postgres {
    async fn acquire(&self, name: &str, holder: &str, ttl: Duration) -> Result<Acquired, DatabaseError> {
        ask!(self, connection => leases::acquire(&mut connection, name, holder, ttl))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, LeaseError> {
        ask!(self, connection => leases::renew(&mut connection, lease, ttl))
    }

    async fn release(&self, lease: &Lease) -> Result<(), DatabaseError> {
        ask!(self, connection => leases::release(&mut connection, lease))
    }
}

#[async_trait]
impl TrainingRuns for Postgres {
    async fn record(&self, run: &Run, lease: &Lease) -> Result<(), LeaseError> {
        ask!(self, connection => training_runs::record(&mut connection, run, lease))
    }

    async fn latest(&self, most: usize) -> Result<Vec<RecordedRun>, DatabaseError> {
        ask!(self, connection => training_runs::latest(&mut connection, most))
    }
}
