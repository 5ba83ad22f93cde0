//! The registry in PostgreSQL.

mod rows;
mod statements;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use tokio::sync::Mutex;

use super::{
    Acquired, By, Change, Lease, Model, NewModel, Promotion, RecordedRun, Registered, Registry, RegistryError, Run,
};
use database::Database;
use statements::{CHANNEL, Trouble};

pub struct Postgres {
    database: Database,
    /// Kept from one wait to the next, so that nothing that is announced between them goes unheard.
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
        $self.database.conclude($connection, answer)?
    }};
}

#[async_trait]
impl Registry for Postgres {
    async fn register(&self, model: &NewModel, by: By<'_>) -> Result<Registered, RegistryError> {
        ask!(self, connection => statements::register(&mut connection, model, by))
    }

    async fn model(&self, version: &str) -> Result<Option<Model>, RegistryError> {
        ask!(self, connection => statements::model(&mut connection, version))
    }

    async fn models(&self) -> Result<Vec<Model>, RegistryError> {
        ask!(self, connection => statements::models(&mut connection))
    }

    async fn active(&self) -> Result<Option<Promotion>, RegistryError> {
        ask!(self, connection => statements::active(&mut connection))
    }

    async fn promotions(&self) -> Result<Vec<Promotion>, RegistryError> {
        ask!(self, connection => statements::promotions(&mut connection))
    }

    async fn promote(&self, change: &Change, by: By<'_>) -> Result<Promotion, RegistryError> {
        ask!(self, connection => statements::promote(&mut connection, change, by))
    }

    async fn acquire(&self, name: &str, holder: &str, ttl: Duration) -> Result<Acquired, RegistryError> {
        ask!(self, connection => statements::acquire(&mut connection, name, holder, ttl))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, RegistryError> {
        ask!(self, connection => statements::renew(&mut connection, lease, ttl))
    }

    async fn release(&self, lease: &Lease) -> Result<(), RegistryError> {
        ask!(self, connection => statements::release(&mut connection, lease))
    }

    async fn record_run(&self, run: &Run, lease: &Lease) -> Result<(), RegistryError> {
        ask!(self, connection => statements::record_run(&mut connection, run, lease))
    }

    async fn runs(&self, most: usize) -> Result<Vec<RecordedRun>, RegistryError> {
        ask!(self, connection => statements::runs(&mut connection, most))
    }

    async fn news(&self, most: Duration) {
        let heard = async {
            let mut kept = self.listener.lock().await;
            loop {
                let listener = match &mut *kept {
                    Some(listener) => listener,
                    None => match self.database.listen(CHANNEL).await {
                        Ok(listener) => kept.insert(listener),
                        Err(error) => {
                            tracing::debug!(%error, "promotions are not heard of: asking now and then instead");
                            return std::future::pending().await;
                        }
                    },
                };
                match listener.recv().await {
                    // Channels are the database's, whatever the schema.
                    Ok(announced) if announced.payload() == self.database.schema() => return,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "promotions are heard of no longer");
                        *kept = None;
                        return;
                    }
                }
            }
        };
        let _ = tokio::time::timeout(most, heard).await;
    }
}
