//! One OS thread owns the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::batcher::Batch;
use super::condition::Condition;
use super::handoff::{Concluded, Conclusion, Prepared};
use crate::telemetry::traces;
use domain::{Evidence, FailureCode, Grounds, Judge};
use engine::{Detector, ScoreError, score_images};
use imaging::Crop;

/// What the thread is handed.
pub(super) enum Work {
    Batch(Batch<Prepared>),
    Successor(Successor),
}

impl From<Batch<Prepared>> for Work {
    fn from(batch: Batch<Prepared>) -> Work {
        Work::Batch(batch)
    }
}

/// A model that is to serve in place of the one that does.
pub(super) struct Successor {
    pub detector: Box<dyn Detector>,
    /// More would make messages wait for too long.
    pub max_seconds_per_image: f64,
    /// Whether it serves now; if not, why.
    pub reply: oneshot::Sender<Result<(), String>>,
}

/// The model that serves, and who judges by it.
struct Serving {
    detector: Box<dyn Detector>,
    judge: Arc<Judge>,
}

/// What the thread reports.
pub(super) struct Inference {
    /// Seconds for an image, once the device is warm.
    pub warm: oneshot::Receiver<Result<f64, ScoreError>>,
    /// How the thread ended: `Ok` when no more batches come, an error when the device is lost; a thread that
    /// panicked says nothing.
    pub end: oneshot::Receiver<Result<(), ScoreError>>,
}

/// Starts the thread. It warms the device up itself, since libtorch keeps its choices by thread. Whoever judges is told
/// by `judges`, which holds the first.
pub(super) fn spawn(
    detector: Box<dyn Detector>,
    judges: watch::Sender<Arc<Judge>>,
    batch_size: usize,
    mut work: mpsc::Receiver<Work>,
    concluded: mpsc::Sender<Concluded>,
    condition: Arc<Condition>,
    abandon: CancellationToken,
) -> Inference {
    let (warmed, warm) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let judge = judges.borrow().clone();
    let mut serving = Serving { detector, judge };
    let thread = move || {
        give_way(serving.detector.device());
        let warm_up = warm_up(serving.detector.as_mut(), batch_size);
        let failed = warm_up.is_err();
        if warmed.send(warm_up).is_err() || failed {
            return;
        }
        while let Some(work) = work.blocking_recv() {
            if abandon.is_cancelled() {
                break;
            }
            let done = match work {
                Work::Batch(batch) => score(&mut serving, batch, batch_size, &concluded, &condition),
                Work::Successor(successor) => serving.replace_by(successor, &judges, batch_size, &condition),
            };
            if let Err(error) = done {
                let _ = ended.send(Err(error));
                return;
            }
        }
        let _ = ended.send(Ok(()));
    };
    std::thread::Builder::new().name("inference".into()).spawn(thread).expect("a thread can be started");
    Inference { warm, end }
}

/// Where the network runs on the processor, what takes, records and answers messages goes before it whenever it has something to do,
/// which is little: else an upload waits for its turn behind every thread of the network. Threads that this one starts are like it.
fn give_way(device: &str) {
    /// Of 19, at which a thread gets next to nothing beside others.
    const NICE: libc::c_int = 5;
    if device == "cpu" {
        // SAFETY: it changes a number of this thread (0) in the kernel, and nothing of this process's memory. A refusal changes nothing.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    }
}

impl Serving {
    /// Lets a successor serve if it does so well. An error is the device's, and ends the thread.
    fn replace_by(
        &mut self,
        successor: Successor,
        judges: &watch::Sender<Arc<Judge>>,
        batch_size: usize,
        condition: &Condition,
    ) -> Result<(), ScoreError> {
        let Successor { mut detector, max_seconds_per_image, reply } = successor;
        condition.set_device_busy(Some(Instant::now()));
        // The network of the one that serves is untouched by a panic in the other's.
        let warm_up = catch_unwind(AssertUnwindSafe(|| warm_up(detector.as_mut(), batch_size)));
        condition.set_device_busy(None);
        let fit = match warm_up {
            Ok(Ok(seconds)) if seconds <= max_seconds_per_image => Ok(()),
            Ok(Ok(seconds)) => Err(format!(
                "it takes {seconds:.2} s for an image, and broker.prefetch and broker.bulk_prefetch allow at most \
                 {max_seconds_per_image:.2} s; lower them and start again"
            )),
            Ok(Err(error)) if error.is_fatal() => return Err(error),
            Ok(Err(error)) => Err(format!("its warm-up failed: {error}")),
            Err(_) => Err("its warm-up panicked".into()),
        };
        if fit.is_ok() {
            let thresholds = self.judge.thresholds.clone();
            if let Err(problem) = thresholds.check(detector.card().policy.thresholds) {
                tracing::warn!(%problem, "thresholds of the configuration are bounded by the new model's own");
            }
            let judge = Arc::new(detector.card().judge(detector.device(), thresholds));
            condition.metrics.model(&judge.model);
            judges.send_replace(judge.clone());
            *self = Serving { detector, judge };
        }
        // Whoever asked may have been told to stop meanwhile.
        let _ = reply.send(fit);
        Ok(())
    }
}

/// Scores blank images until the device has made its choices; gives the seconds that one image takes in the largest
/// batch.
fn warm_up(detector: &mut dyn Detector, batch_size: usize) -> Result<f64, ScoreError> {
    let blank = Crop::blank();
    let sizes = detector.warm_up_sizes(batch_size);
    for &size in sizes.iter().filter(|size| **size > 1) {
        detector.score(&vec![&blank; size])?;
    }
    let images = sizes.first().copied().unwrap_or(1);
    let started = Instant::now();
    detector.score(&vec![&blank; images])?;
    Ok(started.elapsed().as_secs_f64() / images as f64)
}

/// Scores a batch, at most `most` crops at a time.
fn score(
    serving: &mut Serving,
    batch: Batch<Prepared>,
    most: usize,
    concluded: &mpsc::Sender<Concluded>,
    condition: &Condition,
) -> Result<(), ScoreError> {
    let Serving { detector, judge } = serving;
    let Batch { mut items, flush, device } = batch;
    let batch_size: usize = items.iter().map(|item| item.crops.len()).sum();
    condition.metrics.batch(flush.as_str(), batch_size);
    items.iter_mut().for_each(|item| item.waiting = Span::none());
    let spans = items.iter().map(|item| &item.arrived.span);
    let span = traces::batch(detector.device(), flush.as_str(), spans);
    let started = Instant::now();
    condition.set_device_busy(Some(started));
    let images: Vec<Vec<&Crop>> = items.iter().map(|item| item.crops.iter().collect()).collect();
    let scores = score_images(detector.as_mut(), &images, most);
    condition.set_device_busy(None);
    let infer = started.elapsed();
    condition.metrics.device_was_busy(infer);
    drop(span);
    // The device is free from here on: the next batch forms while this one is settled.
    drop(device);
    for (item, scores) in items.into_iter().zip(scores?) {
        let Prepared { arrived, observed, mut timing, ready_at, .. } = item;
        let waited = started.duration_since(ready_at);
        condition.metrics.stage("batch", waited);
        condition.metrics.stage("infer", infer);
        timing.batch = waited.as_millis() as u64;
        timing.infer = infer.as_millis() as u64;
        let conclusion = match scores {
            Ok(scores) => {
                let grounds = Grounds::Scored { scores, batch_size: batch_size as u32 };
                let predecessors = arrived.predecessors.clone();
                let evidence = Box::new(Evidence { observed, grounds, timing, predecessors });
                Conclusion::Judged { evidence, judge: judge.clone() }
            }
            Err(error) => Conclusion::Failed { code: FailureCode::InferenceFailed, detail: error.to_string() },
        };
        // Settlement is gone only after an abandon; the dropped ticket then releases the message.
        let _ = concluded.blocking_send(Concluded { arrived, conclusion, at: Instant::now() });
    }
    Ok(())
}
