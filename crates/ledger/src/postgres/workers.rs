//! What workers say of themselves.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query};

use crate::{Seen, WorkerReport};

const REPORT: &str = "
INSERT INTO workers (
    name, version, device, model_version, model_sha256, state, in_flight, oldest_in_flight_s, queue_wait_s, started_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (name) DO UPDATE SET
    version = excluded.version, device = excluded.device, model_version = excluded.model_version,
    model_sha256 = excluded.model_sha256, state = excluded.state, in_flight = excluded.in_flight,
    oldest_in_flight_s = excluded.oldest_in_flight_s, queue_wait_s = excluded.queue_wait_s,
    started_at = excluded.started_at, seen_at = now()";

const SEEN: &str = "
SELECT
    name, version, device, model_version, model_sha256, state, in_flight, oldest_in_flight_s, queue_wait_s, started_at,
    extract(epoch FROM now() - seen_at)::float8 AS ago
FROM workers WHERE seen_at >= now() - make_interval(secs => $1) ORDER BY name";

pub(super) async fn report(connection: &mut PgConnection, report: &WorkerReport) -> Result<(), sqlx::Error> {
    let reported = query(REPORT)
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
        .execute(connection)
        .await;
    reported.map(|_| ())
}

pub(super) async fn seen(connection: &mut PgConnection, within: Duration) -> Result<Vec<Seen>, sqlx::Error> {
    query(SEEN).bind(within.as_secs_f64()).fetch_all(connection).await?.iter().map(of).collect()
}

fn of(row: &PgRow) -> Result<Seen, sqlx::Error> {
    let in_flight: i32 = row.try_get("in_flight")?;
    let report = WorkerReport {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        device: row.try_get("device")?,
        model_version: row.try_get("model_version")?,
        model_sha256: row.try_get("model_sha256")?,
        state: row.try_get("state")?,
        in_flight: in_flight.unsigned_abs(),
        oldest_in_flight_s: row.try_get("oldest_in_flight_s")?,
        queue_wait_s: row.try_get("queue_wait_s")?,
        started_at: row.try_get("started_at")?,
    };
    let ago: f64 = row.try_get("ago")?;
    Ok(Seen { report, ago: Duration::try_from_secs_f64(ago).unwrap_or_default() })
}
