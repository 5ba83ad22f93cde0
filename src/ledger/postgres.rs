//! The ledger in PostgreSQL.
//!
//! Every statement is its own transaction, and every connection looks at one schema only. A call waits at most
//! `ledger.timeout_s` for a connection and as long again for each answer.

mod migrations;
mod statements;
mod workers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use super::{Content, Found, Ledger, LedgerError, Recorded, Seen, Settings, WorkerReport};
use crate::moderation::{ModelRef, Outcome, SubmissionKey, Verdict};
use crate::tls;

pub use migrations::migrate;

/// Tries of one `record` while the database asks for another one (deadlock, serialization).
const TRIES: u32 = 4;
/// How authorities are made known to the database's client; libpq's own names.
const ROOTS: &str = "ledger.url, as ?sslmode=verify-full&sslrootcert=FILE";

pub struct Postgres {
    pool: PgPool,
    /// For messages.
    address: String,
    timeout: Duration,
}

impl Postgres {
    /// Connects, so that a wrong address or password is known at once. Whether the tables are there is
    /// `check`'s answer.
    pub async fn connect(settings: &Settings) -> Result<Postgres, LedgerError> {
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
        Ok(Postgres { pool, address, timeout })
    }

    async fn connection(&self) -> Result<PoolConnection<sqlx::Postgres>, LedgerError> {
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => {
                let (waited, most) = (self.timeout.as_secs(), self.pool.options().get_max_connections());
                let detail = format!("no connection within {waited} s: it takes none, or all {most} are busy");
                LedgerError::Unreachable { address: self.address.clone(), detail }
            }
            error => trouble(&self.address, &error),
        })
    }

    /// Gives the connection back, unless it can't be trusted any more.
    fn conclude<T>(
        &self,
        connection: PoolConnection<sqlx::Postgres>,
        answer: Result<T, sqlx::Error>,
    ) -> Result<T, LedgerError> {
        answer.map_err(|error| {
            if spoils_the_connection(&error) {
                drop(connection.detach());
            }
            trouble(&self.address, &error)
        })
    }

    async fn insert(&self, outcomes: &[&Outcome]) -> Result<HashSet<SubmissionKey>, LedgerError> {
        let mut tries = 1;
        loop {
            let mut connection = self.connection().await?;
            match in_time(self.timeout, statements::insert(&mut connection, outcomes)).await {
                Err(error) if tries < TRIES && wants_another_try(&error) => tries += 1,
                answer => return self.conclude(connection, answer),
            }
        }
    }

    /// The outcomes that stand for keys that all have one.
    async fn standing(&self, keys: Vec<SubmissionKey>) -> Result<HashMap<SubmissionKey, Outcome>, LedgerError> {
        let found = self.find(&keys).await?;
        let standing = keys.into_iter().zip(found).map(|(key, found)| match found.standing {
            Some(outcome) => Ok((key, outcome)),
            None => Err(LedgerError::Failed {
                detail: format!("{key:?} is taken in `outcomes`, but has neither a verdict nor a failure"),
            }),
        });
        standing.collect()
    }
}

#[async_trait]
impl Ledger for Postgres {
    async fn find(&self, keys: &[SubmissionKey]) -> Result<Vec<Found>, LedgerError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection().await?;
        let answer = in_time(self.timeout, statements::find(&mut connection, keys)).await;
        self.conclude(connection, answer)
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<Recorded>, LedgerError> {
        if outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<SubmissionKey> = outcomes.iter().map(Outcome::key).collect();
        // In the order of the keys: two calls at once then wait for each other, but never in a circle.
        let mut firsts: BTreeMap<&SubmissionKey, usize> = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            firsts.entry(key).or_insert(index);
        }
        let rows: Vec<&Outcome> = firsts.values().map(|&index| &outcomes[index]).collect();
        let new = self.insert(&rows).await?;
        // The other keys lost to rows that are committed by now, and that never change.
        let lost = firsts.keys().filter(|&&key| !new.contains(key)).map(|&key| key.clone()).collect();
        let standing = self.standing(lost).await?;
        let answers = keys.iter().enumerate().map(|(index, key)| match (standing.get(key), firsts[key]) {
            (Some(outcome), _) => Recorded::Standing(Box::new(outcome.clone())),
            (None, first) if first == index => Recorded::New,
            (None, first) => Recorded::Standing(Box::new(outcomes[first].clone())),
        });
        Ok(answers.collect())
    }

    async fn scored(&self, contents: &[Content], model: &ModelRef) -> Result<Vec<Option<Verdict>>, LedgerError> {
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection().await?;
        let answer = in_time(self.timeout, statements::scored(&mut connection, contents, model)).await;
        self.conclude(connection, answer)
    }

    async fn report(&self, report: &WorkerReport) -> Result<(), LedgerError> {
        let mut connection = self.connection().await?;
        let answer = in_time(self.timeout, workers::report(&mut connection, report)).await;
        self.conclude(connection, answer)
    }

    async fn workers(&self, within: Duration) -> Result<Vec<Seen>, LedgerError> {
        let mut connection = self.connection().await?;
        let answer = in_time(self.timeout, workers::seen(&mut connection, within)).await;
        self.conclude(connection, answer)
    }

    async fn check(&self) -> Result<(), LedgerError> {
        let mut connection = self.connection().await?;
        let answer = in_time(self.timeout, migrations::missing(&mut connection)).await;
        let missing = self.conclude(connection, answer)?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(LedgerError::NotMigrated { detail: format!("it lacks {}", missing.join(", ")) })
    }
}

/// The database's address without user and password, for messages.
pub fn address(settings: &Settings) -> String {
    match PgConnectOptions::from_str(settings.url.expose_secret()) {
        Ok(options) => {
            // One with an @ is a piece of a password with a slash that isn't written %2f.
            let database = options.get_database().filter(|name| !name.contains('@')).unwrap_or(options.get_username());
            format!("{}:{}/{database}", options.get_host(), options.get_port())
        }
        Err(_) => "an unreadable address".into(),
    }
}

/// What crosses the network for anybody to read, with the mend.
pub fn exposure(settings: &Settings) -> Option<String> {
    let options = PgConnectOptions::from_str(settings.url.expose_secret()).ok()?;
    let host = options.get_host();
    let encrypted = matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    // A socket in the file system goes nowhere.
    (!encrypted && !host.starts_with('/') && !tls::is_loopback(host)).then(|| {
        format!("what goes to the database at {host} may go unencrypted, the login too; add ?sslmode=verify-full to ledger.url")
    })
}

/// The file of authorities that the URL names.
fn authorities(settings: &Settings) -> Option<String> {
    let url = url::Url::parse(settings.url.expose_secret()).ok()?;
    let mut pairs = url.query_pairs();
    pairs
        .find(|(name, _)| matches!(name.as_ref(), "sslrootcert" | "ssl-root-cert" | "ssl-ca"))
        .map(|(_, path)| path.into())
}

fn options(settings: &Settings) -> Result<PgConnectOptions, LedgerError> {
    settings.validate().map_err(|detail| LedgerError::Failed { detail })?;
    let options = PgConnectOptions::from_str(settings.url.expose_secret())
        .map_err(|error| LedgerError::Failed { detail: format!("ledger.url can't be read: {error}") })?;
    if let Some(Err(detail)) = authorities(settings).map(|path| tls::authorities(&path)) {
        return Err(LedgerError::Untrusted { address: address(settings), detail: format!("sslrootcert={detail}") });
    }
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("assay") };
    Ok(options.options([("search_path", &settings.schema)]))
}

async fn open(options: &PgConnectOptions, address: &str, timeout: Duration) -> Result<PgConnection, LedgerError> {
    in_time(timeout, options.connect()).await.map_err(|error| trouble(address, &error))
}

async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s (ledger.timeout_s)", timeout.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, detail)))
    })
}

/// The five letters by which PostgreSQL names an error; none where it was not the server that spoke.
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

/// What an error means to whoever waits for the database.
fn trouble(address: &str, error: &sqlx::Error) -> LedgerError {
    if let Some(detail) = distrust(error) {
        return LedgerError::Untrusted { address: address.into(), detail };
    }
    let detail = match error {
        // Without what sqlx puts in front.
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Database(error) => error.message().to_string(),
        error => error.to_string(),
    };
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {}
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {}
        _ => match code(error).as_str() {
            // Undefined schema, table or column.
            "3F000" | "42P01" | "42703" => return LedgerError::NotMigrated { detail },
            // Connection trouble, wrong login, no such database, too many clients, going down or coming up.
            code if code.starts_with("08") || code.starts_with("28") || code.starts_with("57P") => {}
            "3D000" | "53300" => {}
            _ => return LedgerError::Failed { detail },
        },
    }
    LedgerError::Unreachable { address: address.into(), detail }
}

fn distrust(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Io(error) => tls::distrust(error, ROOTS),
        sqlx::Error::Tls(error) => tls::distrust(error.as_ref(), ROOTS)
            .or_else(|| Some(format!("{error}; have it offer TLS, or set sslmode in ledger.url to what it offers"))),
        _ => None,
    }
}

/// Whether the connection may be out of step, or may lead to a server that no longer takes writes.
fn spoils_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => matches!(code(error).as_str(), "25006" | "57P01" | "57P02" | "57P03"),
        _ => true,
    }
}

/// Serialization failure or deadlock: the transaction was undone, and may succeed now.
fn wants_another_try(error: &sqlx::Error) -> bool {
    matches!(code(error).as_str(), "40001" | "40P01")
}
