//! PostgreSQL, as every room that keeps something there uses it: one pool for each process, one schema, one error.
//!
//! Every connection looks at one schema only. A call waits at most `ledger.timeout_s` for a connection and as long again
//! for each answer.

mod address;
mod migrations;
mod trouble;

use std::future::Future;
use std::io;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

pub use address::{address, exposure};
pub use migrations::migrate;
pub use trouble::{is_taken, wants_another_try};

/// `[ledger]` of the configuration: the database of all rooms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub url: SecretString,
    pub schema: String,
    pub connections: u32,
    pub timeout_s: u64,
    pub patience_s: u64,
}

impl Settings {
    /// What the types do not hold; the error names the key and the mend.
    pub fn validate(&self) -> Result<(), String> {
        let schema = self.schema.as_str();
        let plain = schema.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        // 63 bytes are what PostgreSQL keeps of a name.
        if !plain || schema.is_empty() || schema.len() > 63 || schema.starts_with(|first: char| first.is_ascii_digit())
        {
            return Err(format!(
                "ledger.schema = {schema:?} must be 1 to 63 lower-case letters, digits and underscores, and not begin \
                 with a digit"
            ));
        }
        if self.connections == 0 || self.timeout_s == 0 {
            return Err("ledger.connections and ledger.timeout_s must be at least 1".into());
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database at {address} can't be reached: {detail}; check ledger.url and that PostgreSQL runs")]
    Unreachable { address: String, detail: String },
    #[error("the database at {address} is not trusted: {detail}")]
    Untrusted { address: String, detail: String },
    #[error("the database is not migrated: {detail}; run `assay migrate`")]
    NotMigrated { detail: String },
    #[error("the database failed: {detail}")]
    Failed { detail: String },
}

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
        let options =
            address::options(settings)?.options([("statement_timeout", limit.as_str()), ("enable_seqscan", "off")]);
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
        Err(DatabaseError::NotMigrated { detail: format!("it lacks {}", missing.join(", ")) })
    }

    pub async fn connection(&self) -> Result<PoolConnection<sqlx::Postgres>, DatabaseError> {
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => {
                let (waited, most) = (self.timeout.as_secs(), self.pool.options().get_max_connections());
                let detail = format!("no connection within {waited} s: it takes none, or all {most} are busy");
                DatabaseError::Unreachable { address: self.address.clone(), detail }
            }
            error => trouble::of(&self.address, &error),
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
            if trouble::spoils_the_connection(&error) {
                drop(connection.detach());
            }
            trouble::of(&self.address, &error)
        })
    }

    /// Hears what is announced on a channel, over a connection of its own that is none of `ledger.connections`.
    pub async fn listen(&self, channel: &str) -> Result<PgListener, DatabaseError> {
        let options = self.pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().max_connections(1).acquire_timeout(self.timeout).connect_lazy_with(options);
        // Boxed, since connecting takes much room that nobody needs while waiting.
        let listening = Box::pin(async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.listen(channel).await?;
            Ok(listener)
        });
        self.in_time(listening).await.map_err(|error| trouble::of(&self.address, &error))
    }
}

async fn open(options: &PgConnectOptions, address: &str, timeout: Duration) -> Result<PgConnection, DatabaseError> {
    in_time(timeout, options.connect()).await.map_err(|error| trouble::of(address, &error))
}

async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s (ledger.timeout_s)", timeout.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, detail)))
    })
}
