//! The state of the worker, as the admin port shows it and the ledger keeps it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::breaker::{Breaker, Ended};
use super::edges::Edges;
use super::unserved::Unserved;
use crate::telemetry::Metrics;
use broker::{Health, RequestQueue};
use domain::SubmissionKey;
use ledger::LedgerError;

/// The worker's health and its metrics, shared by all stages.
pub struct Condition {
    pub metrics: Metrics,
    broker: watch::Receiver<Health>,
    edges: watch::Sender<Edges>,
    /// Why the worker can't go on, however long one waits.
    end: watch::Sender<Option<Reason>>,
    breaker: Mutex<Breaker>,
    warm: AtomicBool,
    draining: AtomicBool,
    /// When the batch on the device began; `None` while the device is idle.
    busy_since: Mutex<Option<Instant>>,
    stuck_after: Duration,
    /// Why the device can serve no longer.
    lost: Mutex<Option<String>>,
    unserved: Mutex<Unserved>,
    /// How long the live message that was taken last had waited in its queue.
    queue_wait: Mutex<Option<Duration>>,
    in_flight: Mutex<BTreeMap<u64, Instant>>,
    /// Images taken so far: the number of the next one.
    taken: AtomicU64,
}

impl Condition {
    pub fn new(broker: watch::Receiver<Health>, stuck_after: Duration) -> Arc<Condition> {
        Arc::new(Condition {
            metrics: Metrics::new(),
            broker,
            edges: watch::Sender::default(),
            end: watch::Sender::new(None),
            breaker: Mutex::default(),
            warm: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            busy_since: Mutex::new(None),
            stuck_after,
            lost: Mutex::default(),
            unserved: Mutex::default(),
            queue_wait: Mutex::default(),
            in_flight: Mutex::new(BTreeMap::new()),
            taken: AtomicU64::new(0),
        })
    }

    /// Whether the process should be left to work; the reason if not.
    pub fn alive(&self) -> Result<(), String> {
        if let Some(reason) = &*locked(&self.lost) {
            return Err(reason.clone());
        }
        let busy = locked(&self.busy_since).map(|since| since.elapsed());
        if let Some(busy) = busy.filter(|busy| *busy > self.stuck_after) {
            return Err(format!("the device has been at one batch for {} s", busy.as_secs()));
        }
        let unserved = locked(&self.unserved).since().map(|since| since.elapsed());
        if let Some(unserved) = unserved.filter(|unserved| *unserved > self.stuck_after) {
            return Err(format!("messages are ready and none was taken for {} s", unserved.as_secs()));
        }
        Ok(())
    }

    /// Whether the worker takes work; the reason if not.
    pub fn ready(&self) -> Result<(), String> {
        if !self.warm.load(Ordering::Relaxed) {
            return Err("the model is warming up".into());
        }
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining".into());
        }
        match &*self.broker.borrow() {
            Health::Ready => {}
            Health::Connecting => return Err("connecting to the broker".into()),
            Health::Blocked(reason) => return Err(format!("the broker blocks publishing: {reason}")),
            Health::Down(reason) => return Err(format!("the broker is away: {reason}")),
        }
        if let Some(reason) = &*self.end.borrow() {
            return Err(reason.to_string());
        }
        match self.edges.borrow().trouble() {
            None => Ok(()),
            Some(reason) => Err(reason.into()),
        }
    }

    /// The metrics, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let (count, oldest) = self.images_in_flight();
        self.metrics.in_flight.set(count as i64);
        self.metrics.oldest_in_flight_seconds.set(oldest.as_secs_f64());
        self.metrics.ready.set(i64::from(self.ready().is_ok()));
        self.metrics.stuck.set(i64::from(self.alive().is_err()));
        self.metrics.render()
    }

    /// Images taken and not yet settled, and for how long the oldest of them has been.
    pub(super) fn images_in_flight(&self) -> (usize, Duration) {
        let in_flight = locked(&self.in_flight);
        // They are numbered in order of arrival, so the first is the oldest.
        (in_flight.len(), in_flight.first_key_value().map_or(Duration::ZERO, |(_, since)| since.elapsed()))
    }

    /// How many messages wait in the live queue; `None` where the broker did not say.
    pub(super) fn record_waiting_messages(&self, messages: Option<u32>) {
        self.metrics.messages_ready.set(messages.unwrap_or(0).into());
        let taken = self.taken.load(Ordering::Relaxed);
        let (in_flight, _) = self.images_in_flight();
        // A worker that is not ready takes nothing on purpose, and `/readyz` says why.
        let idle = in_flight == 0 && self.ready().is_ok();
        locked(&self.unserved).observe(Instant::now(), messages.filter(|_| idle), taken);
    }

    pub(super) fn record_queue_wait(&self, request_queue: RequestQueue, wait: Duration) {
        self.metrics.queue_wait(request_queue.as_str(), wait);
        if request_queue == RequestQueue::Live {
            *locked(&self.queue_wait) = Some(wait);
        }
    }

    pub(super) fn queue_wait(&self) -> Option<Duration> {
        *locked(&self.queue_wait)
    }

    pub(super) fn set_device_lost(&self, reason: String) {
        *locked(&self.lost) = Some(reason);
    }

    pub(super) fn set_warm(&self) {
        self.warm.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why the database can't be used; `None` once it can.
    pub(super) fn set_ledger_error(&self, error: Option<String>) {
        self.set_edge(error, |edges| &mut edges.database);
    }

    /// Why the object store gives nothing, whatever is asked for; `None` once it does.
    pub(super) fn set_store_error(&self, error: Option<String>) {
        self.set_edge(error, |edges| &mut edges.store);
    }

    fn set_edge(&self, error: Option<String>, edge: impl FnOnce(&mut Edges) -> &mut Option<String>) {
        self.edges.send_if_modified(|edges| {
            let shown = edge(edges);
            let changed = *shown != error;
            *shown = error;
            changed
        });
    }

    pub(super) fn edges(&self) -> watch::Receiver<Edges> {
        self.edges.subscribe()
    }

    /// A job was prepared, or ended in any other way than by a panic.
    pub(super) fn record_no_panic(&self) {
        locked(&self.breaker).record(Ended::Without);
    }

    /// A panic was caught while a job was prepared. The same one again and again ends the worker.
    pub(super) fn record_panic(&self, submission: SubmissionKey, words: String) {
        self.metrics.panics.inc();
        if locked(&self.breaker).record(Ended::Panic { submission, words }) {
            self.end.send_if_modified(|end| {
                let first = end.is_none();
                end.get_or_insert(Reason::SamePanic);
                first
            });
        }
    }

    /// Takes note of an error of the database; whether waiting may help.
    pub(super) fn record_ledger_failure(&self, error: &LedgerError) -> bool {
        self.set_ledger_error(Some(error.to_string()));
        if !error.is_transient() {
            self.end.send_replace(Some(Reason::Database(error.to_string())));
        }
        error.is_transient()
    }

    /// Until there is a reason to end that waiting can't help.
    pub(super) async fn ended(&self) {
        // The sender lives in `self`.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn reason_to_end(&self) -> Option<Reason> {
        self.end.borrow().clone()
    }

    /// When the batch on the device began; `None` once it is done.
    pub(super) fn set_device_busy(&self, since: Option<Instant>) {
        *locked(&self.busy_since) = since;
    }

    /// Counts an image as in flight until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        locked(&self.in_flight).insert(number, Instant::now());
        InFlight { number, condition: self.clone() }
    }
}

/// Why the worker can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    /// The database will not do its part.
    #[error("{0}")]
    Database(String),
    #[error("the same panic met one submission after the other")]
    SamePanic,
}

/// An image that was taken and is not settled.
pub(super) struct InFlight {
    number: u64,
    condition: Arc<Condition>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        locked(&self.condition.in_flight).remove(&self.number);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_not_ready_says_why() {
        let (health, receiver) = watch::channel(Health::Connecting);
        let condition = Condition::new(receiver, Duration::from_secs(60));
        assert_eq!(condition.ready(), Err("the model is warming up".into()));
        condition.set_warm();
        assert_eq!(condition.ready(), Err("connecting to the broker".into()));
        health.send(Health::Ready).unwrap();
        assert_eq!(condition.ready(), Ok(()));
        condition.set_ledger_error(Some("the database is away".into()));
        assert_eq!(condition.ready(), Err("the database is away".into()));
        condition.set_ledger_error(None);
        condition.set_store_error(Some("the store is away".into()));
        assert_eq!(condition.ready(), Err("the store is away".into()));
        condition.set_store_error(None);
        condition.set_draining();
        assert_eq!(condition.ready(), Err("draining".into()));
    }

    #[test]
    fn a_worker_whose_batch_never_ends_is_not_alive() {
        let condition = Condition::new(watch::channel(Health::Ready).1, Duration::ZERO);
        assert_eq!(condition.alive(), Ok(()));
        condition.set_device_busy(Some(Instant::now() - Duration::from_secs(5)));
        assert!(condition.alive().is_err());
    }

    #[test]
    fn images_are_in_flight_until_they_are_settled() {
        let condition = Condition::new(watch::channel(Health::Ready).1, Duration::ZERO);
        let in_flight = condition.begin();
        assert!(condition.metrics().contains("assay_in_flight_images 1"));
        drop(in_flight);
        assert!(condition.metrics().contains("assay_in_flight_images 0"));
    }
}
