//! The partitions by time: which there are, making them ahead, letting old ones go.
//!
//! Attaching and detaching concurrently let others read and write meanwhile. What wants a lock for itself waits a second for
//! it and no longer, since whoever comes later would wait behind it.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, Row};
use time::OffsetDateTime;

use super::Postgres;
use crate::LedgerError;
use crate::maintenance::{Kind, Partition};
use database::{query, query_scalar};

const ALL: &str = "SELECT parent, name, lower, upper, detaching FROM ledger_partitions ORDER BY parent, lower";

/// What a partition is said to be before it is taken out: so that a later run knows that it may drop it.
const MARK: &str = "assay: outlived, to be dropped";

/// Those that were taken out, and not dropped before the process that did it was stopped.
const LEFT_OVER: &str = "
SELECT c.relname::text FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
    AND obj_description(c.oid, 'pg_class') = $1
ORDER BY 1";

/// For what wants a lock for itself: it gives up soon, and is tried again; with the lock it may take its time.
const SHORT: (&str, u32) = ("SET lock_timeout TO '1s'; SET statement_timeout TO 0", 30);
/// For taking a partition out, behind which nobody waits: it waits itself for the end of every transaction that may still
/// read the partition. Stopped there, it is to be taken out to its end by the next run.
const LONG: (&str, u32) = ("SET lock_timeout TO 0; SET statement_timeout TO '10min'", 1);
const PAUSE: Duration = Duration::from_secs(2);

impl Postgres {
    /// For what is recorded at this moment.
    pub(super) async fn make_current_partitions(&self) -> Result<(), LedgerError> {
        let mut connection = self.database.connection().await?;
        let made = query("SELECT make_current_partitions()").persistent(false);
        let answer = self.database.in_time(made.execute(&mut *connection)).await;
        match self.database.conclude(connection, answer).await {
            Ok(_) => Ok(()),
            Err(error @ (LedgerError::Forbidden { .. } | LedgerError::Failed { .. })) => {
                let detail = format!(
                    "there is no partition for what is recorded now, and this user can't make one ({error}); run `assay ledger \
                     maintain` as the owner of the tables"
                );
                Err(LedgerError::Hindered { detail, cause: Some(error.into()) })
            }
            Err(error) => Err(error),
        }
    }

    /// Makes what is missing from now on for so many days.
    pub async fn make_partitions(&self, days: u32) -> Result<(), LedgerError> {
        let mut connection = self.database.connection().await?;
        let make = query("SELECT make_partitions(clock_timestamp() + make_interval(days => $1))").persistent(false);
        let make = make.bind(i32::try_from(days).unwrap_or(i32::MAX));
        let answer = self.database.in_time(make.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    /// All partitions by time.
    pub async fn partitions(&self) -> Result<Vec<Partition>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = query(ALL).persistent(false);
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        let partitions = answer.and_then(|rows| rows.iter().map(partition).collect());
        self.database.conclude(connection, partitions).await
    }

    /// How many days a new partition holds.
    pub async fn partition_days(&self) -> Result<u32, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = query_scalar::<i32>("SELECT partition_days FROM ledger_layout").persistent(false);
        let answer = self.database.in_time(asked.fetch_one(&mut *connection)).await;
        Ok(self.database.conclude(connection, answer).await?.unsigned_abs())
    }

    /// Says how many days a new partition holds.
    pub async fn set_partition_days(&self, days: u32) -> Result<(), LedgerError> {
        let mut connection = self.database.connection().await?;
        let told = query("UPDATE ledger_layout SET partition_days = $1").persistent(false);
        let told = told.bind(i32::try_from(days).unwrap_or(i32::MAX));
        let answer = self.database.in_time(told.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    /// What the database's clock says.
    pub async fn now(&self) -> Result<OffsetDateTime, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = query_scalar("SELECT clock_timestamp()").persistent(false);
        let answer = self.database.in_time(asked.fetch_one(&mut *connection)).await;
        self.database.conclude(connection, answer).await
    }

    /// Takes a partition out and drops it. Stopped anywhere, it is begun again by [`Postgres::partitions`] or
    /// [`Postgres::drop_left_over`].
    pub async fn let_go(&self, partition: &Partition) -> Result<(), LedgerError> {
        let name = &partition.name;
        if !partition.detaching {
            self.alone(&format!("COMMENT ON TABLE \"{name}\" IS '{MARK}'"), SHORT).await?;
        }
        // A partition that somebody stopped taking out must be taken out to its end first.
        let how = if partition.detaching { "FINALIZE" } else { "CONCURRENTLY" };
        self.alone(&format!("ALTER TABLE \"{}\" DETACH PARTITION \"{name}\" {how}", partition.kind), LONG).await?;
        self.alone(&format!("DROP TABLE \"{name}\""), SHORT).await
    }

    /// Drops what an earlier run took out and could not drop any more; gives the names.
    pub async fn drop_left_over(&self) -> Result<Vec<String>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = query_scalar::<String>(LEFT_OVER).persistent(false).bind(MARK);
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        let names = self.database.conclude(connection, answer).await?;
        for name in &names {
            self.alone(&format!("DROP TABLE IF EXISTS \"{name}\""), SHORT).await?;
        }
        Ok(names)
    }

    /// A statement that can be in no transaction, tried again while somebody else holds what it needs. The names in it are the
    /// catalogue's.
    async fn alone(&self, statement: &str, (limits, most): (&'static str, u32)) -> Result<(), LedgerError> {
        let mut tries = 1;
        loop {
            let mut connection = self.database.outside_transactions().await?;
            let answer = async {
                sqlx::raw_sql(limits).execute(&mut connection).await?;
                sqlx::raw_sql(AssertSqlSafe(statement.to_string())).execute(&mut connection).await
            };
            let answer = answer.await.map_err(|error| self.database.error(error));
            let _ = connection.close().await;
            match answer {
                Err(error @ LedgerError::Hindered { .. }) if tries < most => {
                    tracing::info!(%error, "waits for others");
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer.map(drop),
            }
        }
    }
}

fn partition(row: &PgRow) -> Result<Partition, sqlx::Error> {
    let parent: &str = row.try_get("parent")?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.table() == parent);
    Ok(Partition {
        kind: kind.ok_or_else(|| sqlx::Error::Decode(format!("{parent:?} is no table of the ledger").into()))?,
        name: row.try_get("name")?,
        lower: row.try_get("lower")?,
        upper: row.try_get("upper")?,
        detaching: row.try_get("detaching")?,
    })
}
