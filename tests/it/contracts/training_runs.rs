//! The promises of `registry::TrainingRuns`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use registry::memory::Memory;
use registry::postgres::Postgres;
use registry::{Leases, Run, RunState, TrainingRuns};
use serde_json::{Value, json};
use uuid::Uuid;

use super::leases::acquired;

const HOUR: Duration = Duration::from_secs(3600);

on_memory_and_postgres! {
    a_run_is_recorded_until_it_has_ended
}

pub(super) fn run(id: u128, state: RunState) -> Run {
    Run { id: Uuid::from_u128(id), state, snapshot: None, candidate: None, report: Value::Null }
}

async fn a_run_is_recorded_until_it_has_ended<All: Leases + TrainingRuns + 'static>(all: Arc<All>) {
    let (leases, runs): (Arc<dyn Leases>, Arc<dyn TrainingRuns>) = (all.clone(), all);
    let first = acquired(&leases, "a", Duration::ZERO).await;
    runs.record(&run(1, RunState::Running), &first).await.unwrap();
    let begun = runs.latest(10).await.unwrap().remove(0);
    assert_eq!((begun.epoch, begun.finished_at, &begun.run), (1, None, &run(1, RunState::Running)));
    // Killed, and resumed by another process.
    let second = acquired(&leases, "b", HOUR).await;
    let ended = Run {
        snapshot: Some("c".repeat(64)),
        candidate: Some("2".into()),
        report: json!({"gate": ["worse on gan"]}),
        ..run(1, RunState::Refused)
    };
    runs.record(&ended, &second).await.unwrap();
    runs.record(&run(2, RunState::NothingNew), &second).await.unwrap();
    let latest = runs.latest(10).await.unwrap();
    assert_eq!(latest[0].run, run(2, RunState::NothingNew));
    assert_eq!((&latest[1].run, latest[1].epoch, latest[1].started_at), (&ended, 2, begun.started_at));
    assert!(latest.iter().all(|run| run.finished_at.is_some()));
    let ids: BTreeSet<_> = runs.latest(1).await.unwrap().into_iter().map(|run| run.run.id).collect();
    assert_eq!(ids, [Uuid::from_u128(2)].into());
}
