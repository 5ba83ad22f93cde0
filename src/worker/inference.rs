//! One OS thread owns the model.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::Condition;
use super::batcher::Batch;
use super::prepare::Prepared;
use super::settlement::{Concluded, Conclusion};
use crate::detector::{Detector, ScoreError, score_each};
use crate::imaging::Crop;
use crate::moderation::{Evidence, FailureCode, Grounds};
use crate::telemetry::traces;

/// What the thread reports.
pub(super) struct Inference {
    /// Seconds for an image, once the device is warm.
    pub warm: oneshot::Receiver<Result<f64, ScoreError>>,
    /// How the thread ended: `Ok` when no more batches come, an error when the device is lost; a thread that
    /// panicked says nothing.
    pub end: oneshot::Receiver<Result<(), ScoreError>>,
}

/// Starts the thread. It warms the device up itself, since libtorch keeps its choices by thread.
pub(super) fn spawn(
    mut detector: Box<dyn Detector>,
    batch_size: usize,
    mut batches: mpsc::Receiver<Batch<Prepared>>,
    concluded: mpsc::Sender<Concluded>,
    condition: Arc<Condition>,
    abandon: CancellationToken,
) -> Inference {
    let (warmed, warm) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let work = move || {
        let warmth = warm_up(detector.as_mut(), batch_size);
        let cold = warmth.is_err();
        if warmed.send(warmth).is_err() || cold {
            return;
        }
        while let Some(batch) = batches.blocking_recv() {
            if abandon.is_cancelled() {
                break;
            }
            if let Err(error) = score(detector.as_mut(), batch, &concluded, &condition) {
                let _ = ended.send(Err(error));
                return;
            }
        }
        let _ = ended.send(Ok(()));
    };
    std::thread::Builder::new().name("inference".into()).spawn(work).expect("a thread can be started");
    Inference { warm, end }
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

fn score(
    detector: &mut dyn Detector,
    batch: Batch<Prepared>,
    concluded: &mpsc::Sender<Concluded>,
    condition: &Condition,
) -> Result<(), ScoreError> {
    let Batch { mut items, flush, device } = batch;
    let batch_size = items.len();
    condition.metrics.batch(flush.as_str(), batch_size);
    items.iter_mut().for_each(|item| item.waiting = Span::none());
    let spans = items.iter().map(|item| &item.arrived.span);
    let span = traces::batch(detector.device(), flush.as_str(), spans);
    let started = Instant::now();
    condition.device_is_busy(Some(started));
    let scores = score_each(detector, &items.iter().map(|item| &item.crop).collect::<Vec<_>>());
    condition.device_is_busy(None);
    let infer = started.elapsed();
    condition.metrics.device_was_busy(infer);
    drop(span);
    // The device is free from here on: the next batch forms while this one is settled.
    drop(device);
    for (item, scores) in items.into_iter().zip(scores?) {
        let Prepared { arrived, image, quality, mut timing, ready_at, .. } = item;
        let waited = started.duration_since(ready_at);
        condition.metrics.stage("batch", waited);
        condition.metrics.stage("infer", infer);
        timing.batch = waited.as_millis() as u64;
        timing.infer = infer.as_millis() as u64;
        let conclusion = match scores {
            Ok(scores) => Conclusion::Judged(Box::new(Evidence {
                image,
                quality,
                grounds: Grounds::Scored { scores, batch_size: batch_size as u32 },
                timing,
                supersedes: arrived.supersedes,
            })),
            Err(error) => Conclusion::Failed { code: FailureCode::InferenceFailed, detail: error.to_string() },
        };
        // Settlement is gone only after an abandon; the dropped ticket then releases the message.
        let _ = concluded.blocking_send(Concluded { arrived, conclusion, at: Instant::now() });
    }
    Ok(())
}
