//! The pool of connections that one process has.

use std::future::Future;
use std::time::Duration;

use sqlx::Connection;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};

use crate::address::{address, options};
use crate::connect::{in_time, open};
use crate::error::{DatabaseError, spoils_the_connection};
use crate::migrations;
use crate::settings::Settings;

/// A cheap handle; clones share the pool.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    /// For messages.
    address: String,
    schema: String,
    timeout: Duration,
}

impl Database {
    /// Connects, so that a wrong address or password is known at once. Whether the tables are there is
    /// `check`'s answer.
    pub async fn connect(settings: &Settings) -> Result<Database, DatabaseError> {
        let timeout = Duration::from_secs(settings.timeout_s);
        let limit = format!("{}ms", timeout.as_millis());
        // Every question of the worker goes by an index; a planner that knows a table from its first rows may
        // believe that reading all of it is cheaper.
        let options = options(settings)?.options([("statement_timeout", limit.as_str()), ("enable_seqscan", "off")]);
        let address = address(settings);
        // The pool would wait out its whole timeout and then say no more than that it did.
        let first = open(&options, &address, timeout).await?;
        let _ = first.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(timeout)
            .connect_lazy_with(options);
        Ok(Database { pool, address, schema: settings.schema.clone(), timeout })
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether the database answers and has the tables of this version.
    pub async fn check(&self) -> Result<(), DatabaseError> {
        let mut connection = self.connection().await?;
        let answer = self.in_time(migrations::missing(&mut connection)).await;
        let missing = self.conclude(connection, answer)?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(DatabaseError::NotMigrated { detail: format!("it lacks {}", missing.join(", ")), cause: None })
    }

    pub async fn connection(&self) -> Result<PoolConnection<sqlx::Postgres>, DatabaseError> {
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => {
                let (waited, most) = (self.timeout.as_secs(), self.pool.options().get_max_connections());
                let detail = format!("no connection within {waited} s: it takes none, or all {most} are busy");
                let cause = Some(sqlx::Error::PoolTimedOut.into());
                DatabaseError::Unreachable { address: self.address.clone(), detail, cause }
            }
            error => DatabaseError::of(&self.address, error),
        })
    }

    /// Gives up an answer that does not come in time.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        in_time(self.timeout, work).await
    }

    /// Gives the connection back, unless it can't be trusted any more.
    pub fn conclude<T>(
        &self,
        connection: PoolConnection<sqlx::Postgres>,
        answer: Result<T, sqlx::Error>,
    ) -> Result<T, DatabaseError> {
        answer.map_err(|error| {
            if spoils_the_connection(&error) {
                drop(connection.detach());
            }
            DatabaseError::of(&self.address, error)
        })
    }

    /// Receives what is announced on a channel, over a connection of its own that is none of `database.connections`.
    pub async fn listen(&self, channel: &str) -> Result<PgListener, DatabaseError> {
        let options = self.pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().max_connections(1).acquire_timeout(self.timeout).connect_lazy_with(options);
        // Boxed, since connecting takes much room that nobody needs while waiting.
        let listening = Box::pin(async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.listen(channel).await?;
            Ok(listener)
        });
        self.in_time(listening).await.map_err(|error| DatabaseError::of(&self.address, error))
    }
}
