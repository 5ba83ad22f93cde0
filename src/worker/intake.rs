//! Taking requests: a slot first, then a message; what already has an outcome never reaches the device.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::condition::Condition;
use super::edges::Edges;
use super::guard::guarded;
use super::handoff::{Arrived, Concluded, Conclusion};
use super::pace::{Pace, TOGETHER};
use super::prepare::Preparer;
use super::retry::{OutageWait, retry_while_transient};
use crate::shutdown::Shutdown;
use crate::telemetry::traces;
use broker::{Consumer, Health, RequestQueue};
use domain::delivery::{Job, Settlement};
use domain::{Predecessors, Request, SubmissionKey};
use ledger::{Found, Ledger, LedgerError};

pub(super) struct Intake {
    pub live: Consumer,
    pub bulk: Option<Consumer>,
    pub health: watch::Receiver<Health>,
    pub ledger: Arc<dyn Ledger>,
    /// Images between the queue and the device: each holds at most one object's bytes.
    pub slots: Arc<Semaphore>,
    /// How many of them may be of the bulk queue: the others are free for a live upload at any moment.
    pub bulk_slots: Arc<Semaphore>,
    pub preparer: Arc<Preparer>,
    pub condition: Arc<Condition>,
    pub shutdown: Shutdown,
}

struct Taken {
    job: Job<Request>,
    slot: Slot,
    request_queue: RequestQueue,
    span: Span,
}

/// Room for one image, until it is dropped.
struct Slot {
    _any: OwnedSemaphorePermit,
    /// Of those for the bulk queue.
    bulk: Option<OwnedSemaphorePermit>,
}

/// Of so many slots, how many may be of the bulk queue: all but a quarter; the only one, where there is one.
pub(super) fn bulk_slots(slots: usize) -> usize {
    (slots - slots.div_ceil(4)).max(1)
}

impl Intake {
    /// Takes requests until the shutdown or the end of the consumers, then waits for the images that are being prepared.
    pub(crate) async fn run(mut self) {
        let tasks = TaskTracker::new();
        let mut pace = Pace::new();
        loop {
            let Some(taken) = self.take(&mut pace).await else { break };
            self.look_up(taken, &tasks).await;
        }
        self.stop_taking();
        tasks.close();
        // The tasks hold the other handles on the preparer: its channels close with the last of them.
        drop(self);
        tasks.wait().await;
    }

    /// Asks the ledger about all of them with one question, and admits each with its answer. Where that panics, each is asked
    /// about alone, so that the panic is that of one.
    async fn look_up(&self, taken: Vec<Taken>, tasks: &TaskTracker) {
        let keys: Vec<_> = taken.iter().map(|taken| taken.job.request.key.clone()).collect();
        match guarded(self.find(&keys)).await {
            Ok(found) => self.admit_all(taken, found, tasks).await,
            Err(panicked) if taken.len() == 1 => {
                for taken in taken {
                    self.preparer
                        .end_panicked(self.arrive(taken, Predecessors::default()).0, panicked.words.clone())
                        .await;
                }
            }
            Err(_) => {
                for taken in taken {
                    let key = taken.job.request.key.clone();
                    match guarded(self.find(std::slice::from_ref(&key))).await {
                        Ok(found) => self.admit_all(vec![taken], found, tasks).await,
                        Err(panicked) => {
                            self.preparer
                                .end_panicked(self.arrive(taken, Predecessors::default()).0, panicked.words)
                                .await;
                        }
                    }
                }
            }
        }
    }

    /// Waits for a database that is away: the messages, given back, would come again, each time one delivery nearer to the dead
    /// letters.
    async fn find(&self, keys: &[SubmissionKey]) -> Option<Vec<Found>> {
        let found = retry_while_transient(
            "looking up outcomes",
            OutageWait::Endless,
            &self.shutdown.stop,
            |error: &LedgerError| self.condition.record_ledger_failure(error),
            || self.ledger.find(keys),
        )
        .await?;
        self.condition.set_ledger_error(None);
        Some(found)
    }

    /// Without an answer the tickets drop here, which puts the messages back.
    async fn admit_all(&self, taken: Vec<Taken>, found: Option<Vec<Found>>, tasks: &TaskTracker) {
        for (taken, found) in taken.into_iter().zip(found.into_iter().flatten()) {
            self.admit(taken, found, tasks).await;
        }
    }

    /// Waits for a free slot and a request, then, when it is time to ask about them, takes what else is there.
    /// `None`: time to stop.
    async fn take(&mut self, pace: &mut Pace) -> Option<Vec<Taken>> {
        let stop = self.shutdown.stop.clone();
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            taken = self.take_one() => taken?,
        };
        pace.wait().await;
        let mut taken = vec![first];
        while taken.len() < TOGETHER {
            let Ok(slot) = self.slots.clone().try_acquire_owned() else { break };
            let live = self.live.jobs.try_recv().ok().map(|job| (job, None));
            let bulk = || {
                let room = self.bulk_slots.clone().try_acquire_owned().ok()?;
                Some((self.bulk.as_mut()?.jobs.try_recv().ok()?, Some(room)))
            };
            let Some((job, bulk)) = live.or_else(bulk) else { break };
            taken.push(self.taken(job, Slot { _any: slot, bulk }));
        }
        Some(taken)
    }

    async fn take_one(&mut self) -> Option<Taken> {
        // While outcomes can't be made, recorded or published there is no point in taking requests.
        self.health.wait_for(|health| *health == Health::Ready).await.ok()?;
        self.condition.edges().wait_for(Edges::is_well).await.ok()?;
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        let bulk = async {
            let Some(bulk) = &mut self.bulk else { return std::future::pending().await };
            let room = self.bulk_slots.clone().acquire_owned().await.ok()?;
            Some((bulk.jobs.recv().await?, Some(room)))
        };
        let (job, bulk) = tokio::select! {
            biased;
            job = self.live.jobs.recv() => (job?, None),
            taken = bulk => taken?,
        };
        Some(self.taken(job, Slot { _any: slot, bulk }))
    }

    fn taken(&self, job: Job<Request>, slot: Slot) -> Taken {
        let request_queue = if slot.bulk.is_some() { RequestQueue::Bulk } else { RequestQueue::Live };
        let from = match request_queue {
            RequestQueue::Live => Some(&self.live),
            RequestQueue::Bulk => self.bulk.as_ref(),
        };
        let span = from.map_or_else(Span::none, |from| traces::process(&from.queue, &job.request));
        Taken { job, slot, request_queue, span }
    }

    async fn admit(&self, taken: Taken, found: Found, tasks: &TaskTracker) {
        let (arrived, slot) = self.arrive(taken, found.predecessors);
        let standing = found.standing.map(|outcome| Conclusion::Standing(Box::new(outcome)));
        if let Some(conclusion) = standing.or(found.gone.map(Conclusion::Gone)) {
            let _ = self.preparer.concluded.send(Concluded { arrived, conclusion, at: Instant::now() }).await;
            return;
        }
        let preparer = self.preparer.clone();
        tasks.spawn(async move {
            preparer.prepare(arrived).await;
            drop(slot);
        });
    }

    fn arrive(&self, taken: Taken, predecessors: Predecessors) -> (Arrived, Slot) {
        let Taken { job, slot, request_queue, span } = taken;
        let context = &job.request.context;
        if context.redelivered {
            self.condition.metrics.redeliveries.inc();
        }
        let queued = context.enqueued_at.and_then(|at| Duration::try_from(OffsetDateTime::now_utc() - at).ok());
        if let Some(queued) = queued {
            self.condition.record_queue_wait(request_queue, queued);
        }
        let in_flight = self.condition.begin();
        (Arrived { job, request_queue, since: Instant::now(), predecessors, queued, in_flight, span }, slot)
    }

    /// Tells the broker to send no more, and puts back what was sent but not taken.
    fn stop_taking(&mut self) {
        self.condition.set_draining();
        for consumer in std::iter::once(&mut self.live).chain(&mut self.bulk) {
            consumer.stop.cancel();
            consumer.jobs.close();
            while let Ok(job) = consumer.jobs.try_recv() {
                job.ticket.settle(Settlement::Released);
            }
        }
    }
}
