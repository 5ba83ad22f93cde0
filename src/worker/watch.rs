//! Every few seconds: looks whether the live queue moves, and reports the worker's state to the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::condition::Condition;
use broker::{Broker, RequestQueue};
use domain::Judge;
use ledger::workers::{REMOVED_AFTER, WorkerReport, Workers};
use ledger::{Ledger, LedgerError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Between two removals of what killed workers left, and two counts of the partitions ahead.
const REMOVE_EVERY: Duration = Duration::from_secs(60 * 60);

pub(super) struct Watch {
    pub broker: Arc<dyn Broker>,
    pub workers: Arc<dyn Workers>,
    pub ledger: Arc<dyn Ledger>,
    pub condition: Arc<Condition>,
    pub judge: watch::Receiver<Arc<Judge>>,
    pub follows_registry: bool,
}

impl Watch {
    /// Until `end`; then nothing is left of the worker's reports.
    pub(crate) async fn run(self, end: CancellationToken) {
        let name = name();
        let started_at = OffsetDateTime::now_utc();
        let mut ticks = interval(EVERY);
        let mut removed: Option<Instant> = None;
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while end.run_until_cancelled(ticks.tick()).await.is_some() {
            let waiting = timeout(EVERY, self.broker.waiting(RequestQueue::Live)).await;
            self.condition.record_waiting_messages(waiting.ok().and_then(Result::ok));
            let state = self.condition.ready().map_or_else(|reason| reason, |()| "ready".into());
            self.report(&name, started_at, state).await;
            if removed.is_none_or(|at| at.elapsed() > REMOVE_EVERY) {
                removed = Some(Instant::now());
                attempt("old reports can't be removed", self.workers.remove_older(REMOVED_AFTER)).await;
                attempt("the ledger's partitions can't be counted", self.count_partitions()).await;
            }
        }
        attempt("the report can't be removed", self.workers.leave(&name)).await;
    }

    /// Looked at as seldom as a partition begins.
    async fn count_partitions(&self) -> Result<(), LedgerError> {
        let ahead = self.ledger.partitions_ahead().await?;
        self.condition.metrics.partitions_ahead.set(i64::try_from(ahead).unwrap_or(i64::MAX));
        Ok(())
    }

    async fn report(&self, name: &str, started_at: OffsetDateTime, state: String) {
        let (in_flight, oldest) = self.condition.images_in_flight();
        let judge = self.judge.borrow().clone();
        let report = WorkerReport {
            name: name.into(),
            version: judge.worker.version.clone(),
            device: judge.worker.device.clone(),
            model_version: judge.model.version.clone(),
            model_sha256: judge.model.sha256.clone(),
            follows_registry: Some(self.follows_registry),
            state,
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            oldest_in_flight_s: oldest.as_secs_f32(),
            queue_wait_s: self.condition.queue_wait().map(|wait| wait.as_secs_f32()),
            started_at,
        };
        attempt("no report was left", self.workers.report(&report)).await;
    }
}

/// Nothing rests on it, so trouble is no trouble; what an operator has to fix is a warning.
async fn attempt<T>(trouble: &str, work: impl Future<Output = Result<T, LedgerError>>) {
    match timeout(EVERY, work).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) if error.is_transient() => tracing::debug!(%error, "{trouble}"),
        Ok(Err(error)) => tracing::warn!(%error, "{trouble}"),
        Err(_) => tracing::debug!("{trouble} in time"),
    }
}

/// Host and process number.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}/{}", if host.is_empty() { "localhost" } else { host }, std::process::id())
}
