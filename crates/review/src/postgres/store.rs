//! The connection, and what each call does with its errors.

use std::future::Future;
use std::sync::Arc;

use database::Database;

use crate::refused::Refused;
use crate::settings::ReviewSettings;

/// A cheap handle; clones share the pool.
#[derive(Clone)]
pub struct Postgres {
    pub(super) database: Database,
    pub(super) settings: Arc<ReviewSettings>,
}

/// Why a call over a connection came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(sqlx::Error),
    Refused(Refused),
}

impl Postgres {
    /// By a pool that others use too. The settings were validated.
    pub fn on(database: &Database, settings: ReviewSettings) -> Postgres {
        Postgres { database: database.clone(), settings: Arc::new(settings) }
    }

    pub fn settings(&self) -> &ReviewSettings {
        &self.settings
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl<E: Into<Refused>> From<E> for Fault {
    fn from(refused: E) -> Fault {
        Fault::Refused(refused.into())
    }
}

/// A refusal is an answer: the connection is as good as before.
pub(super) async fn answered<T>(
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<Result<T, Refused>, sqlx::Error> {
    match work.await {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Refused(refused)) => Ok(Err(refused)),
        Err(Fault::Sql(error)) => Err(error),
    }
}

/// Asks over a connection of the pool, which is given back with the answer.
macro_rules! ask {
    ($self:ident, $connection:ident => $work:expr) => {{
        let mut $connection = $self.database.connection().await?;
        let answer = $self.database.in_time(Box::pin($work)).await;
        $self.database.conclude($connection, answer).await
    }};
}

/// The same of what may be refused.
macro_rules! attempt {
    ($self:ident, $connection:ident => $work:expr) => {{
        let mut $connection = $self.database.connection().await?;
        let answer = $self.database.in_time(Box::pin($crate::postgres::store::answered($work))).await;
        $self.database.conclude($connection, answer).await?
    }};
}

pub(super) use {ask, attempt};
