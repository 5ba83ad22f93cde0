//! What a connection is told before it is used, and how that stays true behind a pooler.
//!
//! Nothing of it is a startup parameter, since poolers refuse those. A connection of one's own is told once. Behind a pooler
//! in transaction mode each use is a transaction that begins by being told: settings outside of it would be another
//! client's, and the tables of another schema would be read and written.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, Transaction, raw_sql};

use crate::settings::Settings;

/// Looks whether a pooler is there, each of which may miss it while others use the pooler too.
const LOOKS: usize = 6;

/// The statements that settings become.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    schema: String,
    limit: Option<Duration>,
}

impl Told {
    pub(crate) fn new(settings: &Settings) -> Told {
        Told { schema: settings.schema.clone(), limit: Some(Duration::from_secs(settings.timeout_s)) }
    }

    /// For statements that may take their time.
    pub(crate) fn without_limit(settings: &Settings) -> Told {
        Told { limit: None, ..Told::new(settings) }
    }

    fn statements(&self, set: &str) -> String {
        // The name of the schema was found to be plain.
        let mut text = format!("{set} search_path TO \"{}\"", self.schema);
        if let Some(limit) = self.limit {
            text += &format!("; {set} statement_timeout TO '{}ms'", limit.as_millis());
        }
        text
    }

    /// For as long as the connection lasts.
    pub(crate) async fn tell(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        connection.execute(AssertSqlSafe(self.statements("SET"))).await.map(drop)
    }

    /// Begins a transaction, for which it holds.
    pub(crate) fn begin(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("BEGIN; {}", self.statements("SET LOCAL")))
    }
}

/// A connection of the pool, in use.
pub struct Session(pub(crate) Held);

pub(crate) enum Held {
    /// The server's own, which was told.
    Told(PoolConnection<Postgres>),
    /// In a transaction that is undone unless it is concluded.
    InTransaction(Transaction<'static, Postgres>),
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match &self.0 {
            Held::Told(connection) => connection,
            Held::InTransaction(transaction) => transaction,
        }
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Held::Told(connection) => connection,
            Held::InTransaction(transaction) => transaction,
        }
    }
}

/// Whether two connections share the server's: what one has been given is then free for the other between two statements.
pub(crate) async fn share(one: &mut PgConnection, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    for _ in 0..LOOKS {
        let before = process(one).await?;
        let mut held = other.begin().await?;
        let meanwhile = process(&mut held).await?;
        let after = process(one).await?;
        held.rollback().await?;
        if meanwhile == before || after != before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The number of the server's process that answers. (As everything here that may stand outside of a transaction: in one step. In
/// two, a pooler may have two processes answer.)
async fn process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    raw_sql("SELECT pg_backend_pid() AS pid").fetch_one(connection).await?.try_get("pid")
}

/// Where statements go.
pub(crate) struct Place {
    /// The schema in use; none where it is not there.
    pub schema: Option<String>,
    /// Of the database.
    pub encoding: String,
}

pub(crate) async fn place(connection: &mut PgConnection) -> Result<Place, sqlx::Error> {
    let asked = "SELECT current_schema()::text AS schema, current_setting('server_encoding') AS encoding";
    let row = raw_sql(asked).fetch_one(connection).await?;
    Ok(Place { schema: row.try_get("schema")?, encoding: row.try_get("encoding")? })
}
