//! Corrections become labels: checked against the ledger and the object store, into the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::inbox::{Failed, Handled, Handler, InboxError};
use broker::wire::{self, Message};
use domain::{Correction, ImageRef, Outcome, OutcomeId, Subject};
use labels::{Label, Labels, Recorded, Source, Vocabulary};
use ledger::Ledger;
use objects::{Allowed, Objects};

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

#[async_trait]
impl Handler for CorrectionHandler {
    fn what(&self) -> &'static str {
        "corrections"
    }

    /// Records the label that a message asks for, if it can be one.
    async fn handle(&self, message: &Message) -> Result<Handled, InboxError> {
        let label = match self.label(message).await {
            Ok(label) => label,
            Err(Failed::Rejected(reason)) => {
                tracing::warn!(reason, "a correction is dead-lettered");
                return Ok(Handled::Rejected { reason });
            }
            Err(Failed::Later(error)) => return Err(error),
        };
        let heard = self.labels.record(std::slice::from_ref(&label)).await?;
        tracing::info!(
            sha256 = %label.sha256, origin = label.origin.as_str(), generator = label.generator.as_deref(),
            actor = %label.actor, "label"
        );
        Ok(Handled::Done { is_new: heard[0] == Recorded::New })
    }
}

impl CorrectionHandler {
    async fn label(&self, message: &Message) -> Result<Label, Failed> {
        let correction = wire::read_correction(message).map_err(|error| Failed::Rejected(error.to_string()))?;
        if let Some(generator) = &correction.generator {
            let known = self.vocabulary.check_generator(generator);
            known.map_err(|problem| Failed::Rejected(format!("`generator` {problem}")))?;
        }
        if let Some(content_type) = correction.content_type {
            let known = self.vocabulary.check_content_type(content_type);
            known.map_err(|problem| Failed::Rejected(format!("`content_type` {problem}")))?;
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
            drawn_as: None,
            grounds: Vec::new(),
            trains: true,
        })
    }

    async fn content_of_outcome(
        &self,
        id: OutcomeId,
        correction: &Correction,
    ) -> Result<(String, String, Option<OutcomeId>), Failed> {
        let outcome = self.ledger.outcome(id).await?;
        let whose = |outcome: &Outcome| outcome.key().tenant;
        // The error must not tell that another tenant's outcome exists.
        let outcome = outcome.filter(|outcome| correction.tenant.as_ref().is_none_or(|own| *own == whose(outcome)));
        let Some(outcome) = outcome else {
            return Err(Failed::Rejected(format!("no outcome has the id {id}; it is the message_id of a verdict")));
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
    async fn content_of_image(&self, tenant: &str, image: &ImageRef) -> Result<(String, Option<OutcomeId>), Failed> {
        self.allowed.admits(tenant, &image.bucket, &image.key).map_err(Failed::Rejected)?;
        if let Some(sha256) = &image.sha256 {
            return Ok((sha256.to_ascii_lowercase(), None));
        }
        if let Some(verdict) = self.ledger.latest(tenant, image).await? {
            return Ok((verdict.image.sha256, Some(verdict.verdict_id)));
        }
        match self.objects.fetch(image, self.max_object_bytes).await {
            Ok(object) => Ok((object.sha256, None)),
            Err(error) if error.is_transient() => Err(Failed::Later(InboxError::Objects(error))),
            Err(error) => Err(Failed::Rejected(error.to_string())),
        }
    }
}

fn location(image: &ImageRef) -> String {
    format!("s3://{}/{}", image.bucket, image.key)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::inbox::{Drained, drain, listen};
    use broker::memory::{Fault, Memory};
    use broker::{BrokerError, InboxQueue, InputQueue};

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
            self.broker.put(InputQueue::Inbox(InboxQueue::Corrections), Message { body, ..Message::default() });
        }

        fn waiting(&self) -> usize {
            self.broker.ready(InputQueue::Inbox(InboxQueue::Corrections)).len()
        }

        async fn drain(&self) -> Result<Drained, InboxError> {
            drain(&mut self.broker.inbox(InboxQueue::Corrections), &self.handler).await
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
        assert!(matches!(error, InboxError::Broker(BrokerError::Unconfirmed(_))), "{error}");
        assert_eq!((desk.waiting(), desk.broker.dead().len()), (1, 0));
        assert_eq!(desk.drain().await.unwrap(), Drained { new: 0, known: 0, dead: 1 });
    }

    #[tokio::test]
    async fn listening_opens_the_queue_again_after_a_lost_connection() {
        let desk = Desk::new();
        let stop = CancellationToken::new();
        let working = async {
            desk.put("uploads", "a");
            desk.until_labelled("a").await;
            desk.broker.crash();
            desk.put("uploads", "b");
            desk.until_labelled("b").await;
            stop.cancel();
        };
        let (drained, ()) =
            tokio::join!(listen((&desk.broker, InboxQueue::Corrections), &desk.handler, &stop), working);
        assert_eq!(drained.unwrap(), Drained { new: 2, known: 0, dead: 0 });
        assert_eq!(desk.waiting(), 0);
    }
}
