//! The promises of `ledger::workers`.

use std::sync::Arc;
use std::time::Duration;

use ledger::workers::memory::Memory;
use ledger::workers::postgres::Postgres;
use ledger::workers::{REMOVED_AFTER, WorkerReport, Workers};
use time::OffsetDateTime;

type Subject = Arc<dyn Workers>;

const HOUR: Duration = Duration::from_secs(3600);

on_memory_and_postgres! {
    a_report_replaces_the_last_one_of_the_same_worker
    a_worker_that_leaves_has_no_report
    only_reports_that_are_old_enough_are_removed
}

fn report(name: &str, state: &str, queue_wait_s: Option<f32>) -> WorkerReport {
    WorkerReport {
        name: name.into(),
        version: "1".into(),
        device: "cuda:0".into(),
        model_version: "2026.11.1".into(),
        model_sha256: "b".repeat(64),
        follows_registry: queue_wait_s.map(|wait| wait > 1.0),
        state: state.into(),
        in_flight: 7,
        oldest_in_flight_s: 0.25,
        queue_wait_s,
        started_at: OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap(),
    }
}

async fn names(workers: &Subject) -> Vec<String> {
    workers.last_reports(HOUR).await.unwrap().into_iter().map(|last| last.report.name).collect()
}

async fn a_report_replaces_the_last_one_of_the_same_worker(workers: Subject) {
    assert_eq!(workers.last_reports(HOUR).await.unwrap(), []);
    for report in [report("b/1", "ready", None), report("a/1", "ready", None), report("b/1", "draining", Some(1.5))] {
        workers.report(&report).await.unwrap();
    }
    let last = workers.last_reports(HOUR).await.unwrap();
    assert!(last.iter().all(|last| last.age < HOUR));
    let last: Vec<_> = last.into_iter().map(|last| last.report).collect();
    assert_eq!(last, [report("a/1", "ready", None), report("b/1", "draining", Some(1.5))]);
    assert_eq!(workers.last_reports(Duration::ZERO).await.unwrap(), [], "what is older than asked for is left out");
}

async fn a_worker_that_leaves_has_no_report(workers: Subject) {
    for name in ["a/1", "b/1"] {
        workers.report(&report(name, "ready", None)).await.unwrap();
    }
    for _ in 0..2 {
        workers.leave("a/1").await.unwrap();
        assert_eq!(names(&workers).await, ["b/1"]);
    }
    workers.report(&report("a/1", "ready", None)).await.unwrap();
    assert_eq!(names(&workers).await, ["a/1", "b/1"]);
}

async fn only_reports_that_are_old_enough_are_removed(workers: Subject) {
    for name in ["a/1", "b/1"] {
        workers.report(&report(name, "ready", None)).await.unwrap();
    }
    assert_eq!(workers.remove_older(REMOVED_AFTER).await.unwrap(), 0);
    assert_eq!(names(&workers).await, ["a/1", "b/1"]);
    assert_eq!(workers.remove_older(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(names(&workers).await, Vec::<String>::new());
}
