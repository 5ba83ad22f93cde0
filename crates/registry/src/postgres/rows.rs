//! What rows of the registry's tables say.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::{Model, NewModel};
use crate::promotion::{Kind, Promotion};
use crate::training_runs::{RecordedRun, Run, RunState};

pub(super) fn model(row: &PgRow) -> Result<Model, sqlx::Error> {
    let entry = NewModel {
        version: row.try_get("version")?,
        sha256: row.try_get("sha256")?,
        location: row.try_get("location")?,
        manifest: row.try_get("manifest")?,
        metrics: document(row, "metrics")?,
        parent: row.try_get("parent")?,
        actor: row.try_get("actor")?,
    };
    Ok(Model { entry, registered_at: row.try_get("registered_at")? })
}

pub(super) fn promotion(row: &PgRow) -> Result<Promotion, sqlx::Error> {
    let kind: &str = row.try_get("kind")?;
    let kind = [Kind::Promotion, Kind::Rollback].into_iter().find(|known| known.as_str() == kind);
    Ok(Promotion {
        number: row.try_get("id")?,
        version: row.try_get("version")?,
        replaces: row.try_get("replaces")?,
        kind: kind.ok_or_else(|| unknown("kind of promotion"))?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        promoted_at: row.try_get("promoted_at")?,
    })
}

pub(super) fn run(row: &PgRow) -> Result<RecordedRun, sqlx::Error> {
    let state: &str = row.try_get("state")?;
    let state = RunState::ALL.into_iter().find(|known| known.as_str() == state);
    let run = Run {
        id: row.try_get("id")?,
        state: state.ok_or_else(|| unknown("state of a run"))?,
        snapshot: row.try_get("snapshot")?,
        candidate: row.try_get("candidate")?,
        report: document(row, "report")?,
    };
    Ok(RecordedRun {
        run,
        epoch: row.try_get("epoch")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}

fn document(row: &PgRow, column: &str) -> Result<Value, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map_or(Ok(Value::Null), serde_json::from_str).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn unknown(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("a {what} that this version does not know").into())
}
