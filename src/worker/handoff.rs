//! What the stages of the worker hand to each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Span;

use super::batcher::Load;
use super::condition::InFlight;
use broker::RequestQueue;
use domain::delivery::Job;
use domain::{Evidence, FailureCode, Judge, Observed, Outcome, Predecessors, Request, Timing};
use imaging::Crop;
use ledger::Gone;

/// A request that the worker has taken, and that has no outcome yet. From intake.
pub(super) struct Arrived {
    pub job: Job<Request>,
    /// The queue that it came by: live uploads go first.
    pub request_queue: RequestQueue,
    pub since: Instant,
    pub predecessors: Predecessors,
    /// Time in the queue, if the submitter said when it was published.
    pub queued: Option<Duration>,
    /// Dropped with the job: the metrics of images in flight count it.
    pub in_flight: InFlight,
    /// Of the whole work on it, for traces.
    pub span: Span,
}

/// An image that is decoded and waits for the device. From preparation to inference.
pub(super) struct Prepared {
    pub arrived: Arrived,
    /// One, or those of an animation's frames: at most [`imaging::MAX_JUDGED`].
    pub crops: Vec<Crop>,
    pub observed: Observed,
    pub timing: Timing,
    pub ready_at: Instant,
    /// Ends when the device takes it.
    pub waiting: Span,
}

impl Load for Prepared {
    fn crops(&self) -> usize {
        self.crops.len()
    }
}

/// How an image ended, before that is recorded. From any stage to settlement.
pub(super) struct Concluded {
    pub arrived: Arrived,
    pub conclusion: Conclusion,
    pub at: Instant,
}

pub(super) enum Conclusion {
    /// With the judge whose model found the scores; another one may serve by now.
    Judged {
        evidence: Box<Evidence>,
        judge: Arc<Judge>,
    },
    Failed {
        code: FailureCode,
        detail: String,
    },
    /// The submission already had this outcome when the message came.
    Standing(Box<Outcome>),
    /// It had one, which is not kept any more.
    Gone(Gone),
}
