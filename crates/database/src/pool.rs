//! The pool of connections that one process has.

use std::future::Future;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};

use crate::address::{address, options};
use crate::connect::{in_time, open};
use crate::error::{DatabaseError, spoils_the_connection};
use crate::migrations;
use crate::session::{self, Held, Place, Session, Told};
use crate::settings::{Pooler, Settings};
use crate::statement;

/// A cheap handle; clones share the pool.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    /// For messages.
    address: String,
    schema: String,
    timeout: Duration,
    pooler: Pooler,
    told: Told,
}

impl Database {
    /// Connects, so that a wrong address or password is known at once, and a pooler that nobody named. Whether the tables are
    /// there is `check`'s answer.
    pub async fn connect(settings: &Settings) -> Result<Database, DatabaseError> {
        let timeout = Duration::from_secs(settings.timeout_s);
        let (options, address, told) = (options(settings)?, address(settings), Told::new(settings));
        // The pool would wait out its whole timeout and then say no more than that it did.
        look(&options, &address, timeout, settings.pooler).await?;
        let pool = PgPoolOptions::new().max_connections(settings.connections).acquire_timeout(timeout);
        let pool = match settings.pooler {
            Pooler::None => {
                let told = told.clone();
                pool.after_connect(move |connection, _| {
                    let told = told.clone();
                    Box::pin(async move { told.tell(connection).await })
                })
            }
            Pooler::Transaction => {
                statement::forgo_names();
                pool
            }
        };
        let (pool, schema) = (pool.connect_lazy_with(options), settings.schema.clone());
        Ok(Database { pool, address, schema, timeout, pooler: settings.pooler, told })
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether the database answers, and has the tables of this version where this process looks for them.
    pub async fn check(&self) -> Result<(), DatabaseError> {
        let mut connection = self.connection().await?;
        let asked = async {
            let place = session::place(&mut connection).await?;
            let missing = match place.encoding.as_str() {
                migrations::ENCODING => migrations::missing(&mut connection, &self.schema).await?,
                _ => Vec::new(),
            };
            Ok((place, missing))
        };
        let answer = self.in_time(asked).await;
        let (Place { schema, encoding }, missing) = self.conclude(connection, answer).await?;
        if encoding != migrations::ENCODING {
            return Err(DatabaseError::Encoding { encoding });
        }
        if let Some(other) = schema.filter(|schema| *schema != self.schema) {
            return Err(DatabaseError::failed(format!(
                "statements go to the schema {other:?} instead of {:?}: a pooler drops the settings of a connection; see \
                 database.pooler",
                self.schema
            )));
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(DatabaseError::NotMigrated { detail: format!("it lacks {}", missing.join(", ")), cause: None })
    }

    pub async fn connection(&self) -> Result<Session, DatabaseError> {
        let held = match self.pooler {
            Pooler::None => self.pool.acquire().await.map(Held::Told),
            Pooler::Transaction => {
                // Boxed, since it takes much room that nobody needs who has no pooler.
                let begun = Box::pin(self.pool.begin_with(self.told.begin()));
                self.in_time(begun).await.map(Held::InTransaction)
            }
        };
        held.map(Session).map_err(|error| match error {
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

    /// Gives the connection back, unless it can't be trusted any more. What was done over it stands only after this.
    pub async fn conclude<T>(&self, connection: Session, answer: Result<T, sqlx::Error>) -> Result<T, DatabaseError> {
        let answer = match (answer, connection.0) {
            (Ok(value), Held::InTransaction(transaction)) => self.in_time(transaction.commit()).await.map(|()| value),
            (Err(error), Held::Told(connection)) => {
                if spoils_the_connection(&error) {
                    drop(connection.detach());
                }
                Err(error)
            }
            (answer, _) => answer,
        };
        answer.map_err(|error| DatabaseError::of(&self.address, error))
    }

    /// A connection of its own, none of `database.connections`, for what can be in no transaction. Behind a pooler in transaction
    /// mode there is none.
    pub async fn outside_transactions(&self) -> Result<PgConnection, DatabaseError> {
        if self.pooler == Pooler::Transaction {
            return Err(DatabaseError::failed(
                "what is to be done here can't go through a pooler in transaction mode: have database.url name PostgreSQL itself, \
                 with database.pooler = \"none\"",
            ));
        }
        let options = self.pool.connect_options();
        let mut connection = open(&options, &self.address, self.timeout).await?;
        let told = self.in_time(self.told.tell(&mut connection)).await;
        told.map(|()| connection).map_err(|error| self.error(error))
    }

    /// What an error of a connection's means to whoever waits for it.
    pub fn error(&self, error: sqlx::Error) -> DatabaseError {
        DatabaseError::of(&self.address, error)
    }

    /// Receives what is announced on a channel, over a connection of its own that is none of `database.connections`. Behind a
    /// pooler in transaction mode nothing can be received.
    pub async fn listen(&self, channel: &str) -> Result<PgListener, DatabaseError> {
        if self.pooler == Pooler::Transaction {
            return Err(DatabaseError::failed("no announcement gets through a pooler in transaction mode"));
        }
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

/// Connects, and refuses a pooler that is not in the settings: it would drop the settings of each connection.
async fn look(
    options: &PgConnectOptions,
    address: &str,
    timeout: Duration,
    pooler: Pooler,
) -> Result<(), DatabaseError> {
    let mut one = open(options, address, timeout).await?;
    let mut pooled = false;
    // A user who may have one connection only is not kept from it.
    if pooler == Pooler::None
        && let Ok(mut other) = open(options, address, timeout).await
    {
        let looked = in_time(timeout, session::share(&mut one, &mut other)).await;
        pooled = looked.map_err(|error| DatabaseError::of(address, error))?;
        let _ = other.close().await;
    }
    let _ = one.close().await;
    if pooled { Err(DatabaseError::Pooled { address: address.into() }) } else { Ok(()) }
}
