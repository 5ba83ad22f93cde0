//! Corrections become labels: from the queue, by way of the ledger and the object store, into the record.
//!
//! A correction is acknowledged once its label is committed, and goes to the dead letters with the reason if it never can
//! be one. Trouble of the moment ends the taking; what is not acknowledged comes again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use broker::BrokerError;
use broker::rabbit::{Corrections, Letter};
use broker::wire::{self, Message};
use database::DatabaseError;
use domain::{Correction, ImageRef, Outcome, OutcomeId, Subject};
use labels::{Label, Labels, Recorded, Source, Vocabulary};
use ledger::Ledger;
use objects::{Allowed, FetchError, Objects};

/// Makes labels of corrections.
pub struct Clerk {
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
pub struct Tally {
    pub new: u64,
    /// Said before, in the same words.
    pub known: u64,
    /// Moved to the dead letters.
    pub dead: u64,
}

/// Trouble of the moment: the correction stays in its queue.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Objects(FetchError),
}

/// Why a correction gives no label.
enum Refusal {
    /// It never will.
    Never(String),
    Now(TakeError),
}

impl<E: Into<TakeError>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::Now(error.into())
    }
}

/// Takes the corrections that are there, until none is.
pub async fn drain(queue: &mut Corrections, clerk: &Clerk) -> Result<Tally, TakeError> {
    let mut tally = Tally::default();
    while let Some(letter) = queue.take().await? {
        settle(queue, &letter, clerk, &mut tally).await?;
    }
    Ok(tally)
}

/// Takes corrections as they come, until `stop`. Trouble is waited out.
pub async fn listen(settings: &broker::Settings, clerk: &Clerk, stop: &CancellationToken) -> Result<Tally, TakeError> {
    let mut tally = Tally::default();
    let pauses = || {
        let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
        pauses.with_max_delay(Duration::from_secs(10)).without_max_times().with_jitter().build()
    };
    let mut pause = pauses();
    loop {
        let before = tally;
        let mut queue = None;
        let taken = listen_once(&mut queue, settings, clerk, &mut tally);
        let error = stop.run_until_cancelled(taken).await;
        if let Some(queue) = queue {
            queue.close().await;
        }
        let Some(error) = error else { return Ok(tally) };
        if matches!(&error, TakeError::Broker(error) if !error.is_transient()) {
            return Err(error);
        }
        if tally != before {
            pause = pauses();
        }
        let wait = pause.next().unwrap_or(Duration::from_secs(10));
        tracing::warn!(%error, pause_ms = wait.as_millis() as u64, "corrections wait in their queue");
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return Ok(tally);
        }
    }
}

/// Takes corrections until something goes wrong. The queue is the caller's, to be closed in an orderly way.
async fn listen_once(
    queue: &mut Option<Corrections>,
    settings: &broker::Settings,
    clerk: &Clerk,
    tally: &mut Tally,
) -> TakeError {
    let taking = async {
        let queue = queue.insert(Corrections::open(settings).await?);
        loop {
            let letter = queue.next().await?;
            settle(queue, &letter, clerk, tally).await?;
        }
    };
    let ended: Result<std::convert::Infallible, TakeError> = taking.await;
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn settle(queue: &Corrections, letter: &Letter, clerk: &Clerk, tally: &mut Tally) -> Result<(), TakeError> {
    match clerk.take_down(&letter.message).await? {
        Answer::Label(heard) => {
            letter.acknowledge().await?;
            match heard {
                Recorded::New => tally.new += 1,
                Recorded::Duplicate => tally.known += 1,
            }
        }
        Answer::Dead(reason) => {
            queue.bury(letter, &reason).await?;
            tally.dead += 1;
        }
    }
    Ok(())
}

/// What became of one correction; it is to be acknowledged, or moved to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Committed.
    Label(Recorded),
    Dead(String),
}

impl Clerk {
    /// Takes down what a message says, if it says something that can be.
    pub async fn take_down(&self, message: &Message) -> Result<Answer, TakeError> {
        let label = match self.label(message).await {
            Ok(label) => label,
            Err(Refusal::Never(reason)) => {
                tracing::warn!(reason, "a correction goes to the dead letters");
                return Ok(Answer::Dead(reason));
            }
            Err(Refusal::Now(error)) => return Err(error),
        };
        let heard = self.labels.record(std::slice::from_ref(&label)).await?;
        tracing::info!(
            sha256 = %label.sha256, origin = label.origin.as_str(), generator = label.generator.as_deref(),
            actor = %label.actor, "label"
        );
        Ok(Answer::Label(heard[0]))
    }

    async fn label(&self, message: &Message) -> Result<Label, Refusal> {
        let correction = wire::read_correction(message).map_err(|error| Refusal::Never(error.to_string()))?;
        if let Some(generator) = &correction.generator {
            let known = self.vocabulary.check_generator(generator);
            known.map_err(|problem| Refusal::Never(format!("`generator` {problem}")))?;
        }
        if let Some(content_type) = correction.content_type {
            let known = self.vocabulary.check_content_type(content_type);
            known.map_err(|problem| Refusal::Never(format!("`content_type` {problem}")))?;
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
    ) -> Result<(String, String, Option<OutcomeId>), Refusal> {
        let outcome = self.ledger.outcome(id).await?;
        let whose = |outcome: &Outcome| outcome.key().tenant;
        // Of another tenant's outcomes nobody learns even that they exist.
        let outcome = outcome.filter(|outcome| correction.tenant.as_ref().is_none_or(|own| *own == whose(outcome)));
        let Some(outcome) = outcome else {
            return Err(Refusal::Never(format!("no outcome has the id {id}; it is the message_id of a verdict")));
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

    /// What the bytes are: by the reference itself, by what was judged there, or by looking.
    async fn content_of_image(&self, tenant: &str, image: &ImageRef) -> Result<(String, Option<OutcomeId>), Refusal> {
        self.allowed.admits(tenant, &image.bucket, &image.key).map_err(Refusal::Never)?;
        if let Some(sha256) = &image.sha256 {
            return Ok((sha256.to_ascii_lowercase(), None));
        }
        if let Some(verdict) = self.ledger.latest(tenant, image).await? {
            return Ok((verdict.image.sha256, Some(verdict.verdict_id)));
        }
        match self.objects.fetch(image, self.max_object_bytes).await {
            Ok(object) => Ok((object.sha256, None)),
            Err(error) if error.is_transient() => Err(Refusal::Now(TakeError::Objects(error))),
            Err(error) => Err(Refusal::Never(error.to_string())),
        }
    }
}

fn location(image: &ImageRef) -> String {
    format!("s3://{}/{}", image.bucket, image.key)
}
