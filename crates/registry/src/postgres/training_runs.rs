//! The statements of the training runs.

use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::answer::Answer;
use super::leases::admit;
use super::rows;
use crate::leases::{By, Lease, LeaseError};
use crate::training_runs::{RecordedRun, Run, RunState};
use database::{DatabaseError, query};

pub(super) async fn record(connection: &mut PgConnection, run: &Run, lease: &Lease) -> Answer<(), LeaseError> {
    let mut transaction = connection.begin().await?;
    admit(&mut transaction, By::Job(lease)).await?;
    query(
        "INSERT INTO training_runs AS run (id, epoch, state, snapshot, candidate, report, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6::json, CASE WHEN $7 THEN NULL ELSE now() END)
         ON CONFLICT (id) DO UPDATE
         SET epoch = excluded.epoch, state = excluded.state, snapshot = excluded.snapshot,
             candidate = excluded.candidate, report = excluded.report, finished_at = excluded.finished_at",
    )
    .bind(run.id)
    .bind(lease.epoch)
    .bind(run.state.as_str())
    .bind(&run.snapshot)
    .bind(&run.candidate)
    .bind(run.report.to_string())
    .bind(run.state == RunState::Running)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn latest(connection: &mut PgConnection, most: usize) -> Answer<Vec<RecordedRun>, DatabaseError> {
    let rows = query(
        "SELECT id, epoch, state, snapshot, candidate, report::text AS report, started_at, finished_at
         FROM training_runs ORDER BY started_at DESC LIMIT $1",
    )
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(rows::run).collect::<Result<_, _>>()?)
}
