//! Prepares one image for the device: check the request → fetch → decode.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::batcher::Lanes;
use super::condition::Condition;
use super::guard::{SAFE_TO_SAY, guarded};
use super::handoff::{Arrived, Concluded, Conclusion, Prepared};
use super::reuse::{Again, Reuse};
use super::store_health::StoreHealth;
use crate::decoding;
use crate::telemetry::traces;
use decoder::Pool;
use domain::delivery::Settlement;
use domain::{Evidence, FailureCode, Grounds, ImageFormat, Judge, JudgedImage, Observed, Request, Timing, Verdict};
use imaging::{Crop, Decoded};
use objects::{Allowed, FetchError, Object};

/// What it takes to prepare images; shared by all tasks of the intake.
pub(super) struct Preparer {
    pub store: Arc<StoreHealth>,
    /// `None` where every image is to be scored.
    pub reuse: Option<Reuse>,
    pub decoders: Semaphore,
    pub max_attempts: u32,
    pub allowed: Allowed,
    pub max_object_bytes: u64,
    pub pool: Arc<Pool>,
    pub condition: Arc<Condition>,
    /// To the device, by the queue that they came by.
    pub prepared: Lanes<mpsc::Sender<Prepared>>,
    pub concluded: mpsc::Sender<Concluded>,
    /// Ends the wait for what is away.
    pub stop: CancellationToken,
    pub abandon: CancellationToken,
}

/// What fetching led to.
enum Fetched {
    /// For the device.
    Decoded { crops: Vec<Crop>, observed: Observed, timing: Timing },
    /// An earlier verdict on the same bytes answers.
    Known(Evidence, Arc<Judge>),
}

/// Why an image did not reach the device.
enum Stopped {
    Failed(FailureCode, String),
    /// A transient error: worth another attempt. The code is for when there is none left.
    Later(FailureCode, String),
    /// The worker stops before it could be tried.
    NotTried,
}

impl Stopped {
    fn code(&self) -> Option<FailureCode> {
        match self {
            Stopped::Failed(code, _) | Stopped::Later(code, _) => Some(*code),
            Stopped::NotTried => None,
        }
    }

    /// Marks what was traced as failed.
    fn mark(&self, span: &Span) {
        if let Some(code) = self.code() {
            traces::set_failed(span, code);
        }
    }
}

impl Preparer {
    /// Prepares one image and hands it on, or concludes it, or sends it to the retry schedule.
    /// After an abandon the job is dropped, and so released.
    pub(crate) async fn prepare(&self, arrived: Arrived) {
        tokio::select! {
            () = self.prepare_and_hand_on(arrived) => {}
            () = self.abandon.cancelled() => {}
        }
    }

    async fn prepare_and_hand_on(&self, arrived: Arrived) {
        // A closed channel means that the worker is going down; the dropped ticket releases the message.
        let prepared = match guarded(self.fetch_and_decode(&arrived)).await {
            Ok(prepared) => prepared,
            Err(panicked) => return self.end_panicked(arrived, panicked.words).await,
        };
        self.condition.record_no_panic();
        match prepared {
            Ok(Fetched::Known(evidence, judge)) => {
                let conclusion = Conclusion::Judged { evidence: Box::new(evidence), judge };
                let _ = self.concluded.send(Concluded { arrived, conclusion, at: Instant::now() }).await;
            }
            Ok(Fetched::Decoded { crops, observed, timing }) => {
                let (ready_at, waiting) = (Instant::now(), traces::stage("wait", &arrived.span));
                let prepared = Prepared { arrived, crops, observed, timing, ready_at, waiting };
                let _ = self.prepared.of(prepared.arrived.request_queue).send(prepared).await;
            }
            Err(stopped) => self.end(arrived, stopped).await,
        }
    }

    /// Sends a job, whose preparation panicked, to the retry schedule, and at its end to a failure.
    pub(crate) async fn end_panicked(&self, arrived: Arrived, words: String) {
        self.condition.record_panic(arrived.job.request.key.clone(), words);
        self.end(arrived, Stopped::Later(FailureCode::InternalError, SAFE_TO_SAY.into())).await;
    }

    async fn end(&self, arrived: Arrived, stopped: Stopped) {
        match stopped {
            Stopped::Later(code, reason) if arrived.job.request.context.attempt < self.max_attempts => {
                let request = &arrived.job.request;
                tracing::warn!(
                    submission = request.key.submission_id, tenant = %request.key.tenant,
                    stage = code.stage().as_str(), attempt = request.context.attempt, reason,
                    "trouble: will try again later"
                );
                self.condition.metrics.settled("later");
                self.condition.metrics.retry(code.stage());
                traces::set_failed(&arrived.span, code);
                traces::set_outcome(&arrived.span, "retry", code.as_str());
                arrived.job.ticket.settle(Settlement::Later { reason });
            }
            Stopped::Failed(code, detail) => self.conclude_failed(arrived, code, detail).await,
            Stopped::Later(code, reason) => {
                let detail = format!("given up after {} attempts: {reason}", self.max_attempts);
                self.conclude_failed(arrived, code, detail).await;
            }
            Stopped::NotTried => {
                self.condition.metrics.settled("released");
                traces::set_outcome(&arrived.span, "released", "not_tried");
                arrived.job.ticket.settle(Settlement::Released);
            }
        }
    }

    async fn conclude_failed(&self, arrived: Arrived, code: FailureCode, detail: String) {
        let conclusion = Conclusion::Failed { code, detail };
        let _ = self.concluded.send(Concluded { arrived, conclusion, at: Instant::now() }).await;
    }

    /// The encoded bytes are dropped at the end: from then on an image takes no more memory than its crops.
    async fn fetch_and_decode(&self, arrived: &Arrived) -> Result<Fetched, Stopped> {
        let request = &arrived.job.request;
        check_request(request, &self.allowed, OffsetDateTime::now_utc())?;
        if let Some(known) = self.judged_again(arrived).await {
            return Ok(known);
        }

        let fetching = traces::stage("fetch", &arrived.span);
        let fetched = self.fetch(request).await.inspect_err(|stopped| stopped.mark(&fetching));
        let (object, fetch) = fetched?;
        drop(fetching);
        self.condition.metrics.stage("fetch", fetch);
        let timing = Timing { fetch: fetch.as_millis() as u64, ..waited(arrived) };

        if let Some(reuse) = &self.reuse
            && let Some((earlier, judge)) = reuse.earlier(request, &object.sha256).await
        {
            let seen = &earlier.image;
            let observed = observed_as(&earlier, judged_image(request, &object, seen.format, seen.width, seen.height));
            let (grounds, predecessors) = (Grounds::Earlier(earlier), arrived.predecessors.clone());
            return Ok(Fetched::Known(Evidence { observed, grounds, timing, predecessors }, judge));
        }

        let started = Instant::now();
        let decoding = traces::stage("decode", &arrived.span);
        let decoded = self.decode(&object).await;
        let decoded = decoded.inspect_err(|stopped| stopped.mark(&decoding))?;
        drop(decoding);
        let decode = started.elapsed();
        self.condition.metrics.stage("decode", decode);
        check_request(request, &self.allowed, OffsetDateTime::now_utc())?;

        let image =
            judged_image(request, &object, decoding::image_format(decoded.format), decoded.width, decoded.height);
        let timing = Timing { decode: decode.as_millis() as u64, ..timing };
        let (observed, crops) = decoding::observed(image, decoded);
        Ok(Fetched::Decoded { crops, observed, timing })
    }

    /// Judges again without the image, where what is known of it is enough.
    async fn judged_again(&self, arrived: &Arrived) -> Option<Fetched> {
        let request = &arrived.job.request;
        let Again { earlier, finding, judge } = self.reuse.as_ref()?.again(request, &arrived.predecessors).await?;
        let of = earlier.reused_from.unwrap_or(earlier.verdict_id);
        let (observed, grounds) = (observed_as(&earlier, earlier.image.clone()), Grounds::Again { finding, of });
        let (timing, predecessors) = (waited(arrived), arrived.predecessors.clone());
        Some(Fetched::Known(Evidence { observed, grounds, timing, predecessors }, judge))
    }

    /// The object, and how long the fetch took. A store that gives nothing at all is waited for: an attempt of the retry schedule
    /// would be spent on nothing.
    async fn fetch(&self, request: &Request) -> Result<(Object, Duration), Stopped> {
        loop {
            let started = Instant::now();
            let fetched = self.store.objects.fetch(&request.image, self.max_object_bytes).await;
            let error = match fetched {
                Ok(object) => return Ok((object, started.elapsed())),
                Err(error) if error.is_transient() && self.is_store_away().await => error,
                Err(error) => return Err(error.into()),
            };
            tracing::debug!(%error, "the object store is away: waiting for it");
            let mut edges = self.condition.edges();
            tokio::select! {
                _ = edges.wait_for(|edges| edges.store.is_none()) => {}
                () = self.stop.cancelled() => return Err(Stopped::NotTried),
            }
            check_request(request, &self.allowed, OffsetDateTime::now_utc())?;
        }
    }

    /// Whether it is the store that is in trouble, and not the one object.
    async fn is_store_away(&self) -> bool {
        if self.condition.edges().borrow().store.is_some() {
            return true;
        }
        let asked = self.store.ask().await;
        if let Err(error) = &asked {
            self.condition.set_store_error(Some(error.to_string()));
        }
        asked.is_err()
    }

    async fn decode(&self, object: &Object) -> Result<Decoded, Stopped> {
        let _decoder = self.decoders.acquire().await.expect("the decoders are never closed");
        let (bytes, pool) = (object.bytes.clone(), self.pool.clone());
        match tokio::task::spawn_blocking(move || pool.decode(&bytes)).await {
            Ok(decoded) => decoded.map_err(Stopped::from).map_err(|stopped| named_encoding(stopped, object)),
            // As if it were done here: it is caught with whatever else panics.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Stopped::NotTried),
        }
    }
}

fn waited(arrived: &Arrived) -> Timing {
    Timing { queue: arrived.queued.map(|queued| queued.as_millis() as u64), ..Timing::default() }
}

/// An image whose bytes are those of an earlier verdict.
fn observed_as(earlier: &Verdict, image: JudgedImage) -> Observed {
    let (quality, provenance) = (earlier.quality.clone(), earlier.provenance.clone().unwrap_or_default());
    Observed { image, quality, frames: earlier.frames, provenance }
}

/// What can be refused without looking at the image: its bucket, and a deadline that has passed.
fn check_request(request: &Request, allowed: &Allowed, now: OffsetDateTime) -> Result<(), Stopped> {
    let Request { key, image, .. } = request;
    allowed
        .admits(&key.tenant, &image.bucket, &image.key)
        .map_err(|detail| Stopped::Failed(FailureCode::BucketNotAllowed, detail))?;
    match request.deadline {
        Some(deadline) if deadline <= now => {
            let late = (now - deadline).whole_milliseconds();
            Err(Stopped::Failed(FailureCode::DeadlineExceeded, format!("the deadline {deadline} passed {late} ms ago")))
        }
        _ => Ok(()),
    }
}

impl From<FetchError> for Stopped {
    fn from(error: FetchError) -> Stopped {
        let code = match &error {
            FetchError::NotFound { .. } => FailureCode::ObjectNotFound,
            FetchError::AccessDenied { .. } | FetchError::Refused { .. } => FailureCode::AccessDenied,
            FetchError::Mismatch { .. } => FailureCode::ContentMismatch,
            FetchError::TooLarge { .. } => FailureCode::TooLarge,
            FetchError::Unavailable { .. } => {
                return Stopped::Later(FailureCode::ObjectStoreUnavailable, error.to_string());
            }
        };
        Stopped::Failed(code, error.to_string())
    }
}

impl From<decoder::Error> for Stopped {
    fn from(error: decoder::Error) -> Stopped {
        let stopped = if error.is_transient() { Stopped::Later } else { Stopped::Failed };
        stopped(decoding::failure_code(&error), error.to_string())
    }
}

/// Adds how the bytes are packed where that is why no image is found in them.
fn named_encoding(stopped: Stopped, object: &Object) -> Stopped {
    match (stopped, &object.content_encoding) {
        (Stopped::Failed(FailureCode::UnsupportedFormat, detail), Some(encoding)) => Stopped::Failed(
            FailureCode::UnsupportedFormat,
            format!("{detail}; its Content-Encoding is {encoding:?}, of which only gzip is undone: store it without"),
        ),
        (stopped, _) => stopped,
    }
}

fn judged_image(request: &Request, object: &Object, format: ImageFormat, width: u32, height: u32) -> JudgedImage {
    let asked = &request.image;
    JudgedImage {
        bucket: asked.bucket.clone(),
        key: asked.key.clone(),
        version_id: asked.version_id.clone().or_else(|| object.version_id.clone()),
        etag: asked.etag.clone().or_else(|| object.etag.clone()),
        sha256: object.sha256.clone(),
        bytes: object.bytes.len() as u64,
        format,
        width,
        height,
    }
}
