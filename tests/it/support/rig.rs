//! A worker with broker, store and ledger in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use assay::config::Config;
use assay::shutdown::Shutdown;
use assay::worker::{self, Condition, Dependencies, WorkerError, WorkerPlan};
use broker::memory::Memory as MemoryBroker;
use broker::wire::Message;
use broker::{Broker, RequestQueue};
use decoder::Pool;
use domain::{FailureCode, Outcome};
use engine::Scripted;
use ledger::memory::Memory as MemoryLedger;
use objects::memory::Memory as MemoryObjects;
use serde_json::{Value, json};

pub const BUCKET: &str = "uploads";
const PREFETCH: u16 = 128;
pub const DEADLINE: Duration = Duration::from_secs(120);

pub struct Rig {
    pub broker: MemoryBroker,
    pub objects: Arc<MemoryObjects>,
    pub ledger: Arc<MemoryLedger>,
    pub condition: Arc<Condition>,
    shutdown: Shutdown,
    pub running: tokio::task::JoinHandle<Result<(), WorkerError>>,
}

/// The decoders of the default configuration.
pub fn decoders() -> decoder::Settings {
    // Another package of the workspace builds it, into the same folder.
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_assay")).with_file_name("assay-decoder");
    decoder::Settings { program, ..Config::load(None).unwrap().decoders() }
}

/// The plan of the default configuration, but for the bucket; and every image is scored.
pub fn plan() -> WorkerPlan {
    let mut config = Config::load(None).unwrap();
    config.objects.allowed_buckets = vec![BUCKET.into()];
    config.broker.prefetch = PREFETCH;
    config.worker.decode_threads = 2;
    config.worker.reuse = false;
    config.plan()
}

impl Rig {
    pub fn start(detector: Scripted) -> Rig {
        Self::start_with(detector, plan(), decoders())
    }

    pub fn start_with(detector: Scripted, plan: WorkerPlan, decoders: decoder::Settings) -> Rig {
        Self::start_after(|_, _| {}, detector, plan, decoders)
    }

    /// With a store and a ledger to which something has been done before.
    pub fn start_after(
        before: impl FnOnce(&MemoryObjects, &MemoryLedger),
        detector: Scripted,
        plan: WorkerPlan,
        decoders: decoder::Settings,
    ) -> Rig {
        let broker = MemoryBroker::new(PREFETCH);
        let objects = Arc::new(MemoryObjects::new());
        objects.create_bucket(BUCKET);
        let ledger = Arc::new(MemoryLedger::new());
        before(&objects, &ledger);
        let shutdown = Shutdown::default();
        let condition = Condition::new(broker.health(), Duration::from_secs(plan.worker.stuck_after_s));
        let dependencies = Dependencies {
            broker: Arc::new(broker.clone()),
            objects: objects.clone(),
            ledger: ledger.clone(),
            workers: Arc::new(ledger::workers::memory::Memory::new()),
            decoders: Arc::new(Pool::open(decoders).unwrap()),
            detector: Box::new(detector),
            succession: None,
            policy: tokio::sync::watch::channel(None).1,
            inboxes: Arc::new(broker.clone()),
        };
        let running = tokio::spawn(worker::run(dependencies, plan, condition.clone(), shutdown.clone()));
        Rig { broker, objects, ledger, condition, shutdown, running }
    }

    pub fn submit(&self, id: &str, key: &str) {
        self.broker.submit(
            RequestQueue::Live,
            message(&json!({"submission_id": id, "image": {"bucket": BUCKET, "key": key}})),
        );
    }

    pub async fn idle(&self) {
        tokio::time::timeout(DEADLINE, self.broker.idle()).await.expect("the queue is worked off in time");
    }

    /// Stops the worker, and checks what must hold after every test.
    pub async fn end(self) -> BTreeMap<String, Outcome> {
        self.shutdown.stop.cancel();
        tokio::time::timeout(DEADLINE, self.running).await.expect("it drains in time").unwrap().unwrap();
        let counts = self.broker.counts();
        assert_eq!(counts.settled(), counts.delivered, "every ticket is settled exactly once: {counts:?}");
        assert_eq!(self.broker.unacknowledged(), 0);
        let outcomes: BTreeMap<_, _> =
            self.ledger.outcomes().into_iter().map(|outcome| (outcome.key().submission_id, outcome)).collect();
        assert_eq!(outcomes.len(), self.ledger.outcomes().len(), "one outcome for each submission");
        let published = self.broker.published();
        for (routing_key, message) in &published {
            let id = message.properties.correlation_id.as_deref().unwrap();
            let outcome = &outcomes[id];
            assert_eq!(message.properties.message_id.as_deref(), Some(outcome.id().to_string().as_str()));
            assert_eq!(*routing_key, outcome.routing_key());
            assert_eq!(serde_json::from_slice::<Outcome>(&message.body).unwrap(), *outcome);
        }
        let submissions: BTreeSet<_> =
            published.iter().filter_map(|(_, message)| message.properties.correlation_id.as_deref()).collect();
        assert_eq!(submissions.len(), outcomes.len(), "every outcome was published");
        outcomes
    }
}

/// A message of this document.
pub fn message(document: &Value) -> Message {
    Message { body: document.to_string().into_bytes(), ..Message::default() }
}

/// The code, if it is a failure.
pub fn failed(outcome: &Outcome) -> Option<FailureCode> {
    match outcome {
        Outcome::Failure(failure) => Some(failure.code),
        Outcome::Verdict(_) => None,
    }
}
