//! One connection, and no answer waited for without end.

use std::future::Future;
use std::io;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::error::DatabaseError;

pub(crate) async fn open(
    options: &PgConnectOptions,
    address: &str,
    timeout: Duration,
) -> Result<PgConnection, DatabaseError> {
    in_time(timeout, options.connect()).await.map_err(|error| DatabaseError::of(address, error))
}

pub(crate) async fn in_time<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s (database.timeout_s)", timeout.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, detail)))
    })
}
