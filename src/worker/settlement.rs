//! The end of each image: decide → record → publish → settle, for as many at a time as have gathered.
//!
//! The order is the promise: nothing is published that is not recorded, nothing acknowledged that is not
//! both. Whatever goes wrong before the end, the ticket drops, the message comes again, and the ledger knows
//! how far it had come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Condition;
use super::patience::with_patience;
use super::prepare::Arrived;
use crate::telemetry::traces;
use broker::{Broker, BrokerError, Publication};
use domain::delivery::Settlement as Answer;
use domain::{Context, Evidence, Failure, FailureCode, Judge, Outcome, Request};
use ledger::{Ledger, LedgerError, Recorded};

/// How an image ended, before it is recorded.
pub(super) enum Conclusion {
    /// By whom: the one who judged when the scores were found.
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
}

pub(super) struct Concluded {
    pub arrived: Arrived,
    pub conclusion: Conclusion,
    pub at: Instant,
}

pub(super) struct Settlement {
    pub broker: Arc<dyn Broker>,
    /// The broker's results exchange, by name.
    pub exchange: String,
    pub ledger: Arc<dyn Ledger>,
    pub condition: Arc<Condition>,
    /// How long finished work waits for a database or a broker that is away.
    pub patience: Duration,
    /// Most outcomes in one transaction.
    pub most: usize,
    pub abandon: CancellationToken,
}

impl Settlement {
    /// Settles until every sender is gone, or, after an abandon, until nothing is left that was handed in.
    pub async fn run(self, mut concluded: mpsc::Receiver<Concluded>) {
        let mut gathered = Vec::with_capacity(self.most);
        loop {
            let count = tokio::select! {
                biased;
                count = concluded.recv_many(&mut gathered, self.most) => count,
                () = self.abandon.cancelled(), if !concluded.is_closed() => {
                    concluded.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            self.settle(std::mem::take(&mut gathered)).await;
        }
    }

    async fn settle(&self, concluded: Vec<Concluded>) {
        // Without a record the tickets drop, which puts the messages back.
        let Some(recorded) = self.record(concluded).await else { return };
        join_all(recorded.into_iter().map(|(arrived, outcome, news)| self.finish(arrived, outcome, news))).await;
    }

    /// Makes each conclusion durable; gives the outcome that stands for each.
    async fn record(&self, concluded: Vec<Concluded>) -> Option<Vec<(Arrived, Outcome, News)>> {
        let mut standing = Vec::new();
        let mut fresh = Vec::new();
        let mut outcomes = Vec::new();
        for Concluded { arrived, conclusion, at } in concluded {
            match self.decide(&arrived, conclusion, at) {
                (outcome, News::Fresh) => {
                    outcomes.push(outcome);
                    fresh.push(arrived);
                }
                (outcome, News::Standing) => standing.push((arrived, outcome, News::Standing)),
            }
        }
        if outcomes.is_empty() {
            return Some(standing);
        }
        let started = Instant::now();
        let recording: Vec<_> = fresh.iter().map(|arrived| traces::stage("record", &arrived.span)).collect();
        let recorded = with_patience(
            "recording outcomes",
            self.patience,
            &self.abandon,
            |error: &LedgerError| self.condition.ledger_failed(error),
            || self.ledger.record(&outcomes),
        )
        .await?;
        drop(recording);
        self.condition.ledger_is(None);
        self.condition.metrics.stage("record", started.elapsed());
        for ((arrived, outcome), recorded) in fresh.into_iter().zip(outcomes).zip(recorded) {
            match recorded {
                Recorded::New => {
                    self.condition.metrics.outcome(&outcome);
                    standing.push((arrived, outcome, News::Fresh));
                }
                Recorded::Standing(first) => standing.push((arrived, *first, News::Standing)),
            }
        }
        Some(standing)
    }

    fn decide(&self, arrived: &Arrived, conclusion: Conclusion, at: Instant) -> (Outcome, News) {
        let request = &arrived.job.request;
        let now = OffsetDateTime::now_utc();
        match conclusion {
            Conclusion::Standing(outcome) => (*outcome, News::Standing),
            Conclusion::Judged { mut evidence, judge } => {
                evidence.timing.record = at.elapsed().as_millis() as u64;
                (Outcome::Verdict(Box::new(judge.verdict(request, *evidence, now))), News::Fresh)
            }
            Conclusion::Failed { code, detail } => {
                let failure = Failure { supersedes: arrived.supersedes, ..Failure::new(request, code, detail, now) };
                (Outcome::Failure(Box::new(failure)), News::Fresh)
            }
        }
    }

    /// Publishes the outcome that stands and acknowledges the message.
    async fn finish(&self, arrived: Arrived, outcome: Outcome, news: News) {
        let Arrived { job, since, flight, span, .. } = arrived;
        let (request, ticket) = (job.request, job.ticket);
        let metrics = &self.condition.metrics;
        if let Err(reason) = conflict(&request, &outcome) {
            tracing::warn!(submission = request.key.submission_id, tenant = %request.key.tenant, reason, "conflict");
            metrics.settled("dead");
            metrics.conflict();
            traces::ended(&span, "dead", "conflict");
            return ticket.settle(Answer::Dead { reason });
        }
        let started = Instant::now();
        let publishing = traces::publish(&self.exchange, &outcome, &span);
        let context = traces::given_on(&request.context, &publishing);
        let publication = Publication { outcome: &outcome, context: &context };
        let published =
            with_patience("publishing outcomes", self.patience, &self.abandon, BrokerError::is_transient, || {
                self.broker.publish(publication)
            })
            .await;
        drop(publishing);
        if published.is_none() {
            metrics.settled("released");
            traces::ended(&span, "released", "unpublished");
            return ticket.settle(Answer::Released);
        }
        metrics.stage("publish", started.elapsed());
        metrics.processed(since.elapsed());
        if news == News::Standing {
            metrics.republished.inc();
        }
        metrics.settled("done");
        ticket.settle(Answer::Done);
        drop(flight);
        if let Outcome::Failure(failure) = &outcome {
            traces::failed(&span, failure.code);
        }
        traces::ended(&span, outcome.kind(), outcome.word());
        tell(&request, &context, &outcome, news, since.elapsed());
    }
}

/// Whether an outcome was made by this message or found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Fresh,
    Standing,
}

/// The same submission with another image contradicts what stands.
fn conflict(request: &Request, outcome: &Outcome) -> Result<(), String> {
    let first = outcome.image();
    if first.agrees_with(&request.image) {
        return Ok(());
    }
    Err(format!(
        "submission {:?} generation {} already has a {} for s3://{}/{}; for another image use another submission_id, \
         for a new verdict the next generation",
        request.key.submission_id,
        request.key.generation,
        outcome.kind(),
        first.bucket,
        first.key
    ))
}

/// The one log line of an outcome: what was found and of what first, then the image, the times, and how it came about.
/// The names of the fields are an interface (docs/observability.md). What strangers chose is text, never `%`: so a line break
/// in it is escaped, and begins no line of its own.
fn tell(request: &Request, context: &Context, outcome: &Outcome, news: News, total: Duration) {
    let Request { key, image, .. } = request;
    let total_ms = total.as_millis() as u64;
    let again = news == News::Standing;
    let trace = context.trace.id();
    let place = format!("s3://{}/{}", image.bucket, image.key);
    match outcome {
        Outcome::Verdict(verdict) => {
            let (seen, timing) = (&verdict.image, &verdict.timing_ms);
            tracing::info!(
                decision = verdict.decision.as_str(),
                synthetic = rounded(verdict.score.synthetic),
                generator = verdict.generator.as_ref().map(|generator| generator.label.as_str()),
                submission = key.submission_id,
                generation = key.generation,
                tenant = %key.tenant,
                image = place,
                format = seen.format.as_str(),
                width = seen.width,
                height = seen.height,
                bytes = seen.bytes,
                total_ms,
                queue_ms = timing.queue,
                fetch_ms = timing.fetch,
                decode_ms = timing.decode,
                batch_ms = timing.batch,
                infer_ms = timing.infer,
                model = %verdict.model.version,
                attempt = context.attempt,
                reused = verdict.reused_from.is_some(),
                again,
                trace,
                "verdict"
            );
        }
        Outcome::Failure(failure) => tracing::info!(
            code = failure.code.as_str(),
            detail = failure.detail,
            submission = key.submission_id,
            generation = key.generation,
            tenant = %key.tenant,
            image = place,
            total_ms,
            attempt = context.attempt,
            again,
            trace,
            "failure"
        ),
    }
}

/// Four places are enough to read, and are not a float's tail.
fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e4).round() / 1e4
}
