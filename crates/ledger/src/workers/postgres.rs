//! Reports in PostgreSQL: the table `workers`.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{LastReport, WorkerReport, Workers};
use database::{Database, DatabaseError, query};

const REPORT: &str = "
INSERT INTO workers (
    name, version, device, model_version, model_sha256, state, in_flight, oldest_in_flight_s, queue_wait_s, started_at,
    follows_registry
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (name) DO UPDATE SET
    version = excluded.version, device = excluded.device, model_version = excluded.model_version,
    model_sha256 = excluded.model_sha256, state = excluded.state, in_flight = excluded.in_flight,
    oldest_in_flight_s = excluded.oldest_in_flight_s, queue_wait_s = excluded.queue_wait_s,
    started_at = excluded.started_at, follows_registry = excluded.follows_registry, seen_at = now()";

const LAST: &str = "
SELECT
    name, version, device, model_version, model_sha256, state, in_flight, oldest_in_flight_s, queue_wait_s, started_at,
    follows_registry, extract(epoch FROM now() - seen_at)::float8 AS age
FROM workers WHERE seen_at >= now() - make_interval(secs => $1) ORDER BY name";

const REMOVE_OLDER: &str = "DELETE FROM workers WHERE seen_at < now() - make_interval(secs => $1)";

pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone() }
    }
}

#[async_trait]
impl Workers for Postgres {
    async fn report(&self, report: &WorkerReport) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let reporting = query(REPORT)
            .bind(&report.name)
            .bind(&report.version)
            .bind(&report.device)
            .bind(&report.model_version)
            .bind(&report.model_sha256)
            .bind(&report.state)
            .bind(i32::try_from(report.in_flight).unwrap_or(i32::MAX))
            .bind(report.oldest_in_flight_s)
            .bind(report.queue_wait_s)
            .bind(report.started_at)
            .bind(report.follows_registry);
        let answer = self.database.in_time(reporting.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    async fn leave(&self, name: &str) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let removing = query("DELETE FROM workers WHERE name = $1").bind(name);
        let answer = self.database.in_time(removing.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    async fn remove_older(&self, age: Duration) -> Result<u64, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let removing = query(REMOVE_OLDER).bind(age.as_secs_f64());
        let answer = self.database.in_time(removing.execute(&mut *connection)).await;
        Ok(self.database.conclude(connection, answer).await?.rows_affected())
    }

    async fn last_reports(&self, within: Duration) -> Result<Vec<LastReport>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asking = query(LAST).bind(within.as_secs_f64());
        let answer = self.database.in_time(asking.fetch_all(&mut *connection)).await;
        self.database.conclude(connection, answer.and_then(|rows| rows.iter().map(last_report).collect())).await
    }
}

fn last_report(row: &PgRow) -> Result<LastReport, sqlx::Error> {
    let in_flight: i32 = row.try_get("in_flight")?;
    let report = WorkerReport {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        device: row.try_get("device")?,
        model_version: row.try_get("model_version")?,
        model_sha256: row.try_get("model_sha256")?,
        follows_registry: row.try_get("follows_registry")?,
        state: row.try_get("state")?,
        in_flight: in_flight.unsigned_abs(),
        oldest_in_flight_s: row.try_get("oldest_in_flight_s")?,
        queue_wait_s: row.try_get("queue_wait_s")?,
        started_at: row.try_get("started_at")?,
    };
    let age: f64 = row.try_get("age")?;
    Ok(LastReport { report, age: Duration::try_from_secs_f64(age).unwrap_or_default() })
}
