//! Corrections become labels: from their queue, checked against the ledger and the object store, into the database.
//!
//! A correction is acknowledged once its label is committed, and is dead-lettered with the reason if it never can be one.
//! A transient error ends the taking; what is not acknowledged is delivered again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use broker::wire::{self, Message};
use broker::{BrokerError, CorrectionDelivery, Corrections};
use database::DatabaseError;
use domain::{Correction, ImageRef, Outcome, OutcomeId, Subject};
use labels::{Label, Labels, Recorded, Source, Vocabulary};
use ledger::Ledger;
use objects::{Allowed, FetchError, Objects};

/// Makes labels of corrections.
pub struct CorrectionHandler {
    pub labels: Arc<dyn Labels>,
    pub ledger: Arc<dyn Ledger>,
    pub objects: Arc<dyn Objects>,
    pub vocabulary: Vocabulary,
    pub allowed: Allowed,
    /// Bucket → tenant, for corrections that name none.
    pub tenants: BTreeMap<String, String>,
    /// Of one object that must be fetched to know its content.
    pub max_object_bytes: u64,
}

/// What became of the corrections that were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub new: u64,
    /// Recorded before, the same in all fields.
    pub known: u64,
    /// Dead-lettered.
    pub dead: u64,
}

/// A transient error: the correction stays in its queue.
#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Objects(FetchError),
}

/// Why a correction gives no label.
enum NoLabel {
    /// It never will: the reason.
    Rejected(String),
    /// It may yet.
    Failed(CorrectionError),
}

impl<E: Into<CorrectionError>> From<E> for NoLabel {
    fn from(error: E) -> NoLabel {
        NoLabel::Failed(error.into())
    }
}

/// Takes the corrections that are ready, until none is.
pub async fn drain(queue: &mut dyn Corrections, handler: &CorrectionHandler) -> Result<Drained, CorrectionError> {
    let mut drained = Drained::default();
    while let Some(delivery) = queue.take().await? {
        settle(queue, delivery, handler, &mut drained).await?;
    }
    Ok(drained)
}

/// Takes corrections as they come, until `stop`. After a transient error it waits and opens the queue again.
pub async fn listen<Open>(
    open: Open,
    handler: &CorrectionHandler,
    stop: &CancellationToken,
) -> Result<Drained, CorrectionError>
where
    Open: AsyncFn() -> Result<Box<dyn Corrections>, BrokerError>,
{
    let mut drained = Drained::default();
    let backoff = || {
        let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
        backoff.with_max_delay(Duration::from_secs(10)).without_max_times().with_jitter().build()
    };
    let mut pauses = backoff();
    loop {
        let before = drained;
        let mut queue = None;
        let taken = listen_once(&mut queue, &open, handler, &mut drained);
        let error = stop.run_until_cancelled(taken).await;
        if let Some(queue) = queue {
            queue.close().await;
        }
        let Some(error) = error else { return Ok(drained) };
        let waiting_helps = match &error {
            CorrectionError::Broker(error) => error.is_transient(),
            CorrectionError::Database(error) => error.is_transient(),
            CorrectionError::Objects(_) => true,
        };
        if !waiting_helps {
            return Err(error);
        }
        if drained != before {
            pauses = backoff();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(10));
        tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "corrections wait in their queue");
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(drained);
        }
    }
}

/// Takes corrections until an error. The queue is the caller's, to be closed in an orderly way.
async fn listen_once<Open>(
    queue: &mut Option<Box<dyn Corrections>>,
    open: &Open,
    handler: &CorrectionHandler,
    drained: &mut Drained,
) -> CorrectionError
where
    Open: AsyncFn() -> Result<Box<dyn Corrections>, BrokerError>,
{
    let taking = async {
        let queue = queue.insert(open().await?);
        loop {
            let delivery = queue.next().await?;
            settle(queue.as_mut(), delivery, handler, drained).await?;
        }
    };
    let ended: Result<std::convert::Infallible, CorrectionError> = taking.await;
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn settle(
    queue: &mut dyn Corrections,
    delivery: CorrectionDelivery,
    handler: &CorrectionHandler,
    drained: &mut Drained,
) -> Result<(), CorrectionError> {
    match handler.handle(&delivery.message).await? {
        CorrectionOutcome::Recorded(heard) => {
            queue.acknowledge(delivery).await?;
            match heard {
                Recorded::New => drained.new += 1,
                Recorded::Duplicate => drained.known += 1,
            }
        }
        CorrectionOutcome::Rejected { reason } => {
            queue.dead_letter(delivery, &reason).await?;
            drained.dead += 1;
        }
    }
    Ok(())
}

/// What became of one correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorrectionOutcome {
    /// Its label is committed: the correction is to be acknowledged.
    Recorded(Recorded),
    /// It never can be a label: the correction is to be dead-lettered.
    Rejected { reason: String },
}

impl CorrectionHandler {
    /// Records the label that a message asks for, if it can be one.
    pub async fn handle(&self, message: &Message) -> Result<CorrectionOutcome, CorrectionError> {
        let label = match self.label(message).await {
            Ok(label) => label,
            Err(NoLabel::Rejected(reason)) => {
                tracing::warn!(reason, "a correction is dead-lettered");
                return Ok(CorrectionOutcome::Rejected { reason });
            }
            Err(NoLabel::Failed(error)) => return Err(error),
        };
        let heard = self.labels.record(std::slice::from_ref(&label)).await?;
        tracing::info!(
            sha256 = %label.sha256, origin = label.origin.as_str(), generator = label.generator.as_deref(),
            actor = %label.actor, "label"
        );
        Ok(CorrectionOutcome::Recorded(heard[0]))
    }

    async fn label(&self, message: &Message) -> Result<Label, NoLabel> {
        let correction = wire::read_correction(message).map_err(|error| NoLabel::Rejected(error.to_string()))?;
        if let Some(generator) = &correction.generator {
            let known = self.vocabulary.check_generator(generator);
            known.map_err(|problem| NoLabel::Rejected(format!("`generator` {problem}")))?;
        }
        if let Some(content_type) = correction.content_type {
            let known = self.vocabulary.check_content_type(content_type);
            known.map_err(|problem| NoLabel::Rejected(format!("`content_type` {problem}")))?;
        }
        let (sha256, location, verdict_id) = match &correction.subject {
            Subject::VerdictId(id) => self.content_of_outcome(*id, &correction).await?,
            Subject::Image(image) => {
                let tenant = correction.tenant.clone();
                let tenant = tenant.unwrap_or_else(|| wire::tenant_of(&image.bucket, &self.tenants));
                let (sha256, verdict_id) = self.content_of_image(&tenant, image).await?;
                (sha256, location(image), verdict_id)
            }
        };
        Ok(Label {
            sha256,
            location,
            origin: correction.origin,
            content_type: correction.content_type.map(|content_type| content_type.as_str().to_string()),
            generator: correction.generator,
            source: Source::Correction,
            actor: correction.actor,
            reason: correction.reason,
            verdict_id,
        })
    }

    async fn content_of_outcome(
        &self,
        id: OutcomeId,
        correction: &Correction,
    ) -> Result<(String, String, Option<OutcomeId>), NoLabel> {
        let outcome = self.ledger.outcome(id).await?;
        let whose = |outcome: &Outcome| outcome.key().tenant;
        // The error must not tell that another tenant's outcome exists.
        let outcome = outcome.filter(|outcome| correction.tenant.as_ref().is_none_or(|own| *own == whose(outcome)));
        let Some(outcome) = outcome else {
            return Err(NoLabel::Rejected(format!("no outcome has the id {id}; it is the message_id of a verdict")));
        };
        match &outcome {
            Outcome::Verdict(verdict) => {
                Ok((verdict.image.sha256.clone(), location(&verdict.image.reference()), Some(id)))
            }
            Outcome::Failure(failure) => {
                let (sha256, _) = self.content_of_image(&failure.tenant, &failure.image).await?;
                Ok((sha256, location(&failure.image), Some(id)))
            }
        }
    }

    /// The sha256 of the bytes: from the reference itself, from the latest verdict on it, or by fetching the object.
    async fn content_of_image(&self, tenant: &str, image: &ImageRef) -> Result<(String, Option<OutcomeId>), NoLabel> {
        self.allowed.admits(tenant, &image.bucket, &image.key).map_err(NoLabel::Rejected)?;
        if let Some(sha256) = &image.sha256 {
            return Ok((sha256.to_ascii_lowercase(), None));
        }
        if let Some(verdict) = self.ledger.latest(tenant, image).await? {
            return Ok((verdict.image.sha256, Some(verdict.verdict_id)));
        }
        match self.objects.fetch(image, self.max_object_bytes).await {
            Ok(object) => Ok((object.sha256, None)),
            Err(error) if error.is_transient() => Err(NoLabel::Failed(CorrectionError::Objects(error))),
            Err(error) => Err(NoLabel::Rejected(error.to_string())),
        }
    }
}

fn location(image: &ImageRef) -> String {
    format!("s3://{}/{}", image.bucket, image.key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use broker::InputQueue;
    use broker::memory::{Fault, Memory};

    struct Desk {
        broker: Memory,
        labels: Arc<labels::memory::Memory>,
        handler: CorrectionHandler,
    }

    impl Desk {
        fn new() -> Desk {
            let labels = Arc::new(labels::memory::Memory::new());
            let handler = CorrectionHandler {
                labels: labels.clone(),
                ledger: Arc::new(ledger::memory::Memory::new()),
                objects: Arc::new(objects::memory::Memory::new()),
                vocabulary: Vocabulary::built_in(),
                allowed: Allowed { buckets: vec!["uploads".into()], ..Allowed::default() },
                tenants: BTreeMap::new(),
                max_object_bytes: 1 << 20,
            };
            Desk { broker: Memory::new(1), labels, handler }
        }

        fn put(&self, bucket: &str, digit: &str) {
            let image = json!({"bucket": bucket, "key": "a", "sha256": digit.repeat(64)});
            let body = json!({"image": image, "origin": "real", "actor": "a"}).to_string().into_bytes();
            self.broker.put(InputQueue::Corrections, Message { body, ..Message::default() });
        }

        fn waiting(&self) -> usize {
            self.broker.ready(InputQueue::Corrections).len()
        }

        async fn drain(&self) -> Result<Drained, CorrectionError> {
            drain(&mut self.broker.corrections(), &self.handler).await
        }

        async fn until_labelled(&self, digit: &str) {
            let recorded = async || !self.labels.history(&digit.repeat(64)).await.unwrap().is_empty();
            while !recorded().await || self.broker.unacknowledged() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_correction_that_can_be_no_label_is_dead_lettered_with_its_reason() {
        let desk = Desk::new();
        desk.put("elsewhere", "a");
        desk.put("uploads", "b");
        assert_eq!(desk.drain().await.unwrap(), Drained { new: 1, known: 0, dead: 1 });
        assert_eq!(desk.waiting(), 0);
        let dead = desk.broker.dead();
        assert_eq!(dead.len(), 1);
        assert!(dead[0].properties.headers["x-assay-reason"].contains("objects.allowed_buckets"), "{dead:?}");
        assert_eq!(dead[0].properties.headers["x-assay-queue"], "memory.labels");
    }

    #[tokio::test]
    async fn a_correction_stays_in_its_queue_when_it_could_not_be_dead_lettered() {
        let desk = Desk::new();
        desk.put("elsewhere", "a");
        desk.broker.fail_publications([Fault::Lost]);
        let error = desk.drain().await.unwrap_err();
        assert!(matches!(error, CorrectionError::Broker(BrokerError::Unconfirmed(_))), "{error}");
        assert_eq!((desk.waiting(), desk.broker.dead().len()), (1, 0));
        assert_eq!(desk.drain().await.unwrap(), Drained { new: 0, known: 0, dead: 1 });
    }

    #[tokio::test]
    async fn listening_opens_the_queue_again_after_a_lost_connection() {
        let desk = Desk::new();
        let stop = CancellationToken::new();
        let open = async || -> Result<_, BrokerError> {
            let queue = desk.broker.corrections();
            Ok(Box::new(queue) as Box<dyn Corrections>)
        };
        let working = async {
            desk.put("uploads", "a");
            desk.until_labelled("a").await;
            desk.broker.crash();
            desk.put("uploads", "b");
            desk.until_labelled("b").await;
            stop.cancel();
        };
        let (drained, ()) = tokio::join!(listen(open, &desk.handler, &stop), working);
        assert_eq!(drained.unwrap(), Drained { new: 2, known: 0, dead: 0 });
        assert_eq!(desk.waiting(), 0);
    }
}
