//! The main job: consume → fetch → decode → batch → infer → decide → record → publish → settle.
//!
//! Three stages with bounded channels between them ([`handoff`]): [`intake`] prepares images, [`inference`] scores them in
//! the batches that [`batcher`] forms, [`settlement`] records, publishes and acknowledges. Back-pressure is one chain:
//! device → batcher → prepared images → intake slots → the broker's prefetch.

mod batcher;
mod breaker;
mod condition;
mod decisions;
mod edges;
mod guard;
mod handoff;
mod inference;
mod intake;
mod pace;
mod policies;
mod prepare;
mod proof;
mod recovery;
mod retry;
mod reuse;
mod settlement;
mod stages;
mod store_health;
mod succession;
mod unserved;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::shutdown::Shutdown;
use broker::{Broker, BrokerError, Inboxes, RequestQueue};
use decoder::Pool;
use domain::ThresholdSettings;
use engine::{Detector, ScoreError};
use ledger::Ledger;
use ledger::workers::Workers;
use objects::{Allowed, Objects};

use batcher::Lanes;
pub use batcher::{Batcher, Flush, Load};
pub use condition::Condition;
pub use policies::{PolicyError, PolicyInForce, PolicySource, follow};
pub use proof::Unproven;
pub use succession::Succession;

/// `[worker]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub intake_slots: usize,
    pub decode_threads: usize,
    pub batch_size: usize,
    pub batch_max_delay_ms: u64,
    pub settle_batch: usize,
    pub reuse: bool,
    pub reuse_days: u32,
    pub grace_s: f32,
    pub outage_wait_s: u64,
    pub stuck_after_s: u64,
}

impl Settings {
    /// Threads that decode at a time; as many as cores unless told.
    pub fn decoders(&self) -> usize {
        match self.decode_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            told => told,
        }
    }

    /// From the first signal to the end of the process.
    pub fn grace(&self) -> Duration {
        Duration::from_secs_f32(self.grace_s)
    }

    /// How far back the same bytes are looked for.
    pub fn reuse_within(&self) -> Duration {
        Duration::from_secs(u64::from(self.reuse_days) * 24 * 60 * 60)
    }

    /// Images in a full batch: what suits the device unless told. Large batches do not help a CPU.
    pub fn batch_for(&self, device: &str) -> usize {
        match self.batch_size {
            0 if device.starts_with("cuda") => 64,
            0 => 8,
            told => told,
        }
    }
}

/// What the stages must know of the whole configuration.
#[derive(Clone, Debug)]
pub struct WorkerPlan {
    pub worker: Settings,
    pub thresholds: ThresholdSettings,
    pub allowed: Allowed,
    pub max_object_bytes: u64,
    /// Tries before transient trouble becomes a failure.
    pub max_attempts: u32,
    /// Whether to take from the bulk queue too.
    pub bulk: bool,
    /// Most messages out at a time, both queues together.
    pub prefetch: usize,
    /// How long finished work waits for a broker that takes no publications.
    pub outage_wait: Duration,
    /// After this long unacknowledged the broker takes a message away.
    pub consumer_timeout: Duration,
}

impl WorkerPlan {
    /// At this many seconds for an image the last message of the prefetch waits for half of what the broker allows: the
    /// machine may be busier later than it is now.
    fn max_seconds_per_image(&self) -> f64 {
        self.consumer_timeout.as_secs() as f64 / 2.0 / self.prefetch.max(1) as f64
    }
}

/// The servers that the worker talks to, and what does its work.
pub struct Dependencies {
    pub broker: Arc<dyn Broker>,
    pub objects: Arc<dyn Objects>,
    pub ledger: Arc<dyn Ledger>,
    pub workers: Arc<dyn Workers>,
    pub decoders: Arc<Pool>,
    pub detector: Box<dyn Detector>,
    /// Where another model may come from; `None` where this one serves to the end.
    pub succession: Option<Succession>,
    /// What follows from verdicts.
    pub policy: PolicyInForce,
    /// By which people's decisions come.
    pub inboxes: Arc<dyn Inboxes>,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the detector can serve no longer: {0}; unsettled messages went back to the queue")]
    Detector(#[from] ScoreError),
    #[error("the inference thread panicked; unsettled messages went back to the queue")]
    InferenceGone,
    #[error("{0}; unsettled messages went back to the queue")]
    Database(String),
    #[error("at the start: {0}")]
    Unproven(#[from] Unproven),
    #[error(
        "the same panic met one submission after the other, so it is this worker's: the log says where; correct the setting \
         that it names, or report it. Unsettled messages went back to the queue, those that met it to the retry schedule"
    )]
    SamePanic,
    #[error("the part of the worker that {0} ended by a panic; unsettled messages went back to the queue")]
    StageGone(&'static str),
    #[error(
        "prefetch is {prefetch} messages and the detector takes {seconds:.2} s for an image: the last would wait \
         {wait:.0} s, too near the broker's consumer timeout of {timeout} s; lower broker.prefetch and \
         broker.bulk_prefetch to {possible} in all, or raise the timeout on the broker and in broker.consumer_timeout_s"
    )]
    PrefetchTooDeep { prefetch: usize, seconds: f64, wait: f64, timeout: u64, possible: usize },
}

/// Runs until the shutdown asks it to stop and everything in flight is settled or released, or until the device is lost.
/// `condition` is what the admin port shows of it.
pub async fn run(
    dependencies: Dependencies,
    plan: WorkerPlan,
    condition: Arc<Condition>,
    shutdown: Shutdown,
) -> Result<(), WorkerError> {
    let Dependencies { broker, objects, ledger, workers, decoders, detector, succession, policy, inboxes } =
        dependencies;
    let batch_size = plan.worker.batch_for(detector.device());
    let first = detector.card().judge(detector.device(), plan.thresholds.clone());
    condition.metrics.model(&first.model);
    let worker = first.worker.clone();
    let (judges, judge) = tokio::sync::watch::channel(Arc::new(first));
    let engine = detector.engine();
    let ((live, from_live), (bulk, from_bulk)) = (mpsc::channel(batch_size), mpsc::channel(batch_size));
    let (prepared_sender, prepared) = (Lanes { live, bulk }, Lanes { live: from_live, bulk: from_bulk });
    let (batches_sender, batches) = mpsc::channel(1);
    let (concluded_sender, concluded) = mpsc::channel(plan.worker.settle_batch.max(batch_size));

    let abandon = shutdown.abandon.clone();
    let inference::Inference { warm, end: mut inference_end } =
        inference::spawn(detector, judges, batch_size, batches, concluded_sender.clone(), condition.clone(), abandon);
    let seconds = warm.await.map_err(|_| WorkerError::InferenceGone)??;
    tracing::info!(milliseconds_per_image = seconds * 1e3, engine, "the detector is warm");
    check_prefetch(&plan, seconds)?;
    let store = Arc::new(store_health::StoreHealth { objects, buckets: plan.allowed.buckets.clone() });
    proof::prove(broker.as_ref(), ledger.as_ref(), &store).await?;
    let (work, max_seconds_per_image) = (batches_sender.downgrade(), plan.max_seconds_per_image());
    let following = succession.map(|succession| {
        let (judge, condition) = (judge.clone(), condition.clone());
        let follower = succession::Follower { succession, judge, work, condition, max_seconds_per_image };
        tokio::spawn(follower.run(shutdown.stop.clone()))
    });
    let reuse = plan.worker.reuse.then(|| reuse::Reuse::new(ledger.clone(), judge.clone(), plan.worker.reuse_within()));
    let follows_registry = following.is_some();
    let watch = watch::Watch {
        broker: broker.clone(),
        workers,
        ledger: ledger.clone(),
        condition: condition.clone(),
        judge,
        follows_registry,
    };
    let batcher = Batcher::new(batch_size, Duration::from_millis(plan.worker.batch_max_delay_ms));
    let batching = batcher::run(batcher, prepared, batches_sender, shutdown.abandon.clone());
    let settler = settler(&broker, &ledger, policy, &condition, &plan, &shutdown);
    let decisions = decisions::DecisionHandler::beside(&settler, worker);
    let preparer = prepare::Preparer {
        store: store.clone(),
        reuse,
        decoders: Semaphore::new(plan.worker.decoders()),
        max_attempts: plan.max_attempts,
        allowed: plan.allowed.clone(),
        max_object_bytes: plan.max_object_bytes,
        pool: decoders,
        condition: condition.clone(),
        prepared: prepared_sender,
        concluded: concluded_sender,
        stop: shutdown.stop.clone(),
        abandon: shutdown.abandon.clone(),
    };
    let stages = stages::Stages::start(batching, settler.run(concluded));
    let intake = open_intake(&broker, ledger.clone(), preparer, &plan, &shutdown).await?;
    condition.set_warm();
    let recovery = recovery::Recovery { broker: broker.clone(), ledger, store, condition: condition.clone() };
    let beside = stages::Beside::start(watch, recovery);
    let deciding = decisions.take(inboxes, shutdown.stop.clone());
    tracing::info!(batch_size, prefetch = plan.prefetch, intake_slots = plan.worker.intake_slots, "ready");

    let end = take_until_the_end(intake, &mut inference_end, &stages, &condition, &shutdown).await;
    if let Some(following) = following {
        let _ = following.await;
    }
    let gone = stages.ended().await;
    let _ = deciding.await;
    beside.end().await;
    broker.close().await;
    if let Some(reason) = condition.reason_to_end() {
        return Err(reason.into());
    }
    if let Some(stage) = gone {
        return Err(WorkerError::StageGone(stage));
    }
    // A batch that outlasts the grace period can't be called back from the device, and is not waited for.
    of_inference(end.or_else(|| inference_end.try_recv().map(Ok).ok()))
}

fn settler(
    broker: &Arc<dyn Broker>,
    ledger: &Arc<dyn Ledger>,
    policy: PolicyInForce,
    condition: &Arc<Condition>,
    plan: &WorkerPlan,
    shutdown: &Shutdown,
) -> settlement::Settler {
    settlement::Settler {
        exchange: broker.exchange(),
        broker: broker.clone(),
        ledger: ledger.clone(),
        policy,
        condition: condition.clone(),
        outage_wait: plan.outage_wait,
        most: plan.worker.settle_batch,
        abandon: shutdown.abandon.clone(),
    }
}

impl From<condition::Reason> for WorkerError {
    fn from(reason: condition::Reason) -> WorkerError {
        match reason {
            condition::Reason::Database(reason) => WorkerError::Database(reason),
            condition::Reason::SamePanic => WorkerError::SamePanic,
        }
    }
}

/// What the end of the inference thread, if there was one, means for the worker.
fn of_inference(end: Option<InferenceEnd>) -> Result<(), WorkerError> {
    match end {
        Some(Ok(Err(error))) => Err(WorkerError::Detector(error)),
        Some(Err(_)) => Err(WorkerError::InferenceGone),
        Some(Ok(Ok(()))) | None => Ok(()),
    }
}

/// How the inference thread ended; an outer error where it panicked.
type InferenceEnd = Result<Result<(), ScoreError>, oneshot::error::RecvError>;

/// Begins to consume from the queues.
async fn open_intake(
    broker: &Arc<dyn Broker>,
    ledger: Arc<dyn Ledger>,
    preparer: prepare::Preparer,
    plan: &WorkerPlan,
    shutdown: &Shutdown,
) -> Result<intake::Intake, WorkerError> {
    let live = broker.consume(RequestQueue::Live).await?;
    let bulk = if plan.bulk { Some(broker.consume(RequestQueue::Bulk).await?) } else { None };
    let condition = preparer.condition.clone();
    for consumer in std::iter::once(&live).chain(&bulk) {
        condition.metrics.watch_unreadable(consumer.unreadable.clone());
        condition.metrics.watch_headers_dropped(consumer.headers_dropped.clone());
        condition.metrics.watch_rejections_withheld(consumer.rejections_withheld.clone());
    }
    Ok(intake::Intake {
        live,
        bulk,
        health: broker.health(),
        ledger,
        slots: Arc::new(Semaphore::new(plan.worker.intake_slots)),
        bulk_slots: Arc::new(Semaphore::new(intake::bulk_slots(plan.worker.intake_slots))),
        preparer: Arc::new(preparer),
        condition,
        shutdown: shutdown.clone(),
    })
}

/// Takes requests until a stop, or until the inference thread ends, which it gives then. Each stage ends when the one
/// before it has closed its channel; a lost device ends them all at once.
async fn take_until_the_end(
    intake: intake::Intake,
    inference_end: &mut oneshot::Receiver<Result<(), ScoreError>>,
    stages: &stages::Stages,
    condition: &Condition,
    shutdown: &Shutdown,
) -> Option<InferenceEnd> {
    let mut taking = std::pin::pin!(intake.run());
    tokio::select! {
        () = &mut taking => None,
        end = inference_end => {
            // After a stop the thread may end well before this task has noticed that intake is over.
            if !matches!(end, Ok(Ok(()))) {
                condition.set_device_lost("the device is lost, or its thread has ended".into());
                shutdown.stop.cancel();
                shutdown.abandon.cancel();
            }
            taking.await;
            Some(end)
        }
        () = condition.ended() => {
            shutdown.stop.cancel();
            taking.await;
            None
        }
        () = stages.gone() => {
            shutdown.stop.cancel();
            shutdown.abandon.cancel();
            taking.await;
            None
        }
    }
}

/// Refuses a prefetch of which the last message would wait for longer than the broker allows.
fn check_prefetch(plan: &WorkerPlan, seconds: f64) -> Result<(), WorkerError> {
    let timeout = plan.consumer_timeout.as_secs();
    let wait = seconds * plan.prefetch as f64;
    if seconds <= plan.max_seconds_per_image() {
        return Ok(());
    }
    let possible = (timeout as f64 / 2.0 / seconds) as usize;
    Err(WorkerError::PrefetchTooDeep { prefetch: plan.prefetch, seconds, wait, timeout, possible })
}
