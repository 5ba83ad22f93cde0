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

use super::condition::Condition;
use super::handoff::{Arrived, Concluded, Conclusion};
use super::policies::PolicyInForce;
use super::retry::{OutageWait, retry_while_transient};
use crate::moment::moment;
use crate::telemetry::traces;
use broker::{Broker, BrokerError, Publication};
use domain::delivery::Settlement;
use domain::{Context, Failure, FailureCode, Outcome, Request};
use ledger::{Expired, Gone, Ledger, LedgerError, Recorded};

/// Settles what the other stages concluded.
pub(super) struct Settler {
    pub broker: Arc<dyn Broker>,
    /// The broker's results exchange, by name.
    pub exchange: String,
    pub ledger: Arc<dyn Ledger>,
    /// What follows from verdicts.
    pub policy: PolicyInForce,
    pub condition: Arc<Condition>,
    /// How long finished work waits for a broker that takes no publications.
    pub outage_wait: Duration,
    /// Most outcomes in one transaction.
    pub most: usize,
    pub abandon: CancellationToken,
}

impl Settler {
    /// Settles until every sender is gone, or, after an abandon, until nothing is left that was handed in.
    pub(crate) async fn run(self, mut concluded: mpsc::Receiver<Concluded>) {
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
        join_all(recorded.into_iter().map(|(arrived, outcome, source)| self.finish(arrived, outcome, source))).await;
    }

    /// Makes each conclusion durable; gives the outcome that stands for each.
    async fn record(&self, concluded: Vec<Concluded>) -> Option<Durable> {
        let mut durable = Vec::new();
        let mut fresh = Vec::new();
        let mut outcomes = Vec::new();
        for Concluded { arrived, conclusion, at } in concluded {
            match conclusion {
                Conclusion::Standing(outcome) => durable.push((arrived, *outcome, Source::Ledger)),
                Conclusion::Gone(gone) => self.answer_gone(arrived, &gone, &mut durable),
                Conclusion::Judged { mut evidence, judge } => {
                    evidence.timing.record = at.elapsed().as_millis() as u64;
                    let mut verdict = judge.verdict(&arrived.job.request, *evidence, OffsetDateTime::now_utc());
                    verdict.policy = self.policy.borrow().as_ref().map(|policy| policy.apply(&verdict));
                    outcomes.push(Outcome::Verdict(Box::new(verdict)));
                    fresh.push(arrived);
                }
                Conclusion::Failed { code, detail } => {
                    outcomes.push(Outcome::Failure(Box::new(failure(
                        &arrived,
                        code,
                        detail,
                        OffsetDateTime::now_utc(),
                    ))));
                    fresh.push(arrived);
                }
            }
        }
        if outcomes.is_empty() {
            return Some(durable);
        }
        let refused = self.make_durable(fresh, outcomes, &mut durable).await?;
        self.record_refused(refused, &mut durable).await?;
        Some(durable)
    }

    /// Records outcomes, and gives those that the database refuses, with its reason. It is waited for without end: given up, the
    /// messages would come again, each time one delivery nearer to the dead letters.
    async fn make_durable(
        &self,
        fresh: Vec<Arrived>,
        outcomes: Vec<Outcome>,
        durable: &mut Durable,
    ) -> Option<Refused> {
        let started = Instant::now();
        let recording: Vec<_> = fresh.iter().map(|arrived| traces::stage("record", &arrived.span)).collect();
        let recorded = retry_while_transient(
            "recording outcomes",
            OutageWait::Endless,
            &self.abandon,
            |error: &LedgerError| self.condition.record_ledger_failure(error),
            || self.ledger.record(&outcomes),
        )
        .await?;
        drop(recording);
        self.condition.set_ledger_error(None);
        self.condition.metrics.stage("record", started.elapsed());
        let mut refused = Vec::new();
        for ((arrived, outcome), recorded) in fresh.into_iter().zip(outcomes).zip(recorded) {
            match recorded {
                Recorded::New => {
                    self.condition.metrics.outcome(&outcome);
                    durable.push((arrived, outcome, Source::New));
                }
                Recorded::Standing(first) => durable.push((arrived, *first, Source::Ledger)),
                Recorded::Gone(gone) => self.answer_gone(arrived, &gone, durable),
                Recorded::Refused(reason) => refused.push((arrived, reason)),
            }
        }
        Some(refused)
    }

    /// A verdict that can't be recorded ends in a failure; where that can't be either, the message goes to the dead letters.
    async fn record_refused(&self, refused: Refused, durable: &mut Durable) -> Option<()> {
        if refused.is_empty() {
            return Some(());
        }
        let now = OffsetDateTime::now_utc();
        let failures = refused.iter().map(|(arrived, reason)| {
            let detail = format!("the database refuses a value of its outcome: {reason}");
            Outcome::Failure(Box::new(failure(arrived, FailureCode::InternalError, detail, now)))
        });
        let failures = failures.collect();
        let fresh = refused.into_iter().map(|(arrived, _)| arrived).collect();
        for (arrived, reason) in self.make_durable(fresh, failures, durable).await? {
            self.dead_letter(arrived, "refused", format!("the database refuses a value of its outcome: {reason}"));
        }
        Some(())
    }

    fn dead_letter(&self, arrived: Arrived, word: &'static str, reason: String) {
        let key = &arrived.job.request.key;
        tracing::warn!(submission = key.submission_id, tenant = %key.tenant, reason, "{word}");
        self.condition.metrics.settled("dead");
        self.condition.metrics.dead_letter(word);
        traces::set_outcome(&arrived.span, "dead", word);
        arrived.job.ticket.settle(Settlement::Dead { reason });
    }

    /// A failure that follows from the message and the register: it is recorded nowhere, and a repetition gets the same again.
    fn answer_gone(&self, arrived: Arrived, gone: &Gone, durable: &mut Durable) {
        match gone {
            Gone::Expired(expired) => self.answer_expired(arrived, expired, durable),
            Gone::Erased { at } => {
                let detail = format!("it was erased at {}, and nothing under its id is judged again", moment(*at));
                let failure = failure(&arrived, FailureCode::Erased, detail, *at);
                durable.push((arrived, Outcome::Failure(Box::new(failure)), Source::Ledger));
            }
        }
    }

    fn answer_expired(&self, arrived: Arrived, expired: &Expired, durable: &mut Durable) {
        let image = &arrived.job.request.image;
        if !expired.agrees_with(image) {
            let key = &arrived.job.request.key;
            let reason = format!(
                "submission {:?} generation {} was used before, for another image than s3://{}/{}; for another image use another \
                 submission_id",
                key.submission_id, key.generation, image.bucket, image.key
            );
            return self.dead_letter(arrived, "conflict", reason);
        }
        let detail = format!(
            "its outcome was recorded at {} and is not kept any more; for a new one use the next generation",
            moment(expired.recorded_at)
        );
        let failure = failure(&arrived, FailureCode::Expired, detail, expired.recorded_at);
        durable.push((arrived, Outcome::Failure(Box::new(failure)), Source::Ledger));
    }

    /// Publishes the outcome that stands and acknowledges the message.
    async fn finish(&self, arrived: Arrived, outcome: Outcome, source: Source) {
        if let Err(reason) = conflict(&arrived.job.request, &outcome) {
            return self.dead_letter(arrived, "conflict", reason);
        }
        let Arrived { job, since, in_flight, span, .. } = arrived;
        let (request, ticket) = (job.request, job.ticket);
        let metrics = &self.condition.metrics;
        let started = Instant::now();
        let publishing = traces::publish(&self.exchange, &outcome, &span);
        let context = traces::context_of(&request.context, &publishing);
        let publication = Publication { outcome: &outcome, context: &context };
        let published = retry_while_transient(
            "publishing outcomes",
            OutageWait::For(self.outage_wait),
            &self.abandon,
            BrokerError::is_transient,
            || self.broker.publish(publication),
        )
        .await;
        drop(publishing);
        if published.is_none() {
            metrics.settled("released");
            traces::set_outcome(&span, "released", "unpublished");
            return ticket.settle(Settlement::Released);
        }
        metrics.stage("publish", started.elapsed());
        metrics.processed(since.elapsed());
        if source == Source::Ledger {
            metrics.republished.inc();
        }
        metrics.settled("done");
        ticket.settle(Settlement::Done);
        drop(in_flight);
        if let Outcome::Failure(failure) = &outcome {
            traces::set_failed(&span, failure.code);
        }
        traces::set_outcome(&span, outcome.kind(), outcome.word());
        log_outcome(&request, &context, &outcome, source, since.elapsed());
    }
}

/// What is recorded, and so may be published.
type Durable = Vec<(Arrived, Outcome, Source)>;
/// What the database refuses, with its reason.
type Refused = Vec<(Arrived, String)>;

fn failure(arrived: &Arrived, code: FailureCode, detail: String, at: OffsetDateTime) -> Failure {
    Failure { supersedes: arrived.predecessors.latest, ..Failure::new(&arrived.job.request, code, detail, at) }
}

/// Where an outcome comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// It was made for this message.
    New,
    /// The submission had it already.
    Ledger,
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
/// The names of the fields are an interface (docs/observability.md). What submitters chose is logged as text, never by `%`: a
/// line break in it is then escaped, and can't forge a line.
fn log_outcome(request: &Request, context: &Context, outcome: &Outcome, source: Source, total: Duration) {
    let Request { key, image, .. } = request;
    let total_ms = total.as_millis() as u64;
    let duplicate = source == Source::Ledger;
    let trace = context.trace.id();
    let place = format!("s3://{}/{}", image.bucket, image.key);
    match outcome {
        Outcome::Verdict(verdict) => {
            let (seen, timing) = (&verdict.image, &verdict.timing_ms);
            tracing::info!(
                decision = verdict.decision.as_str(),
                synthetic = rounded(verdict.score.synthetic),
                action = verdict.policy.as_ref().map(|policy| policy.action.as_str()),
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
                cached = verdict.reused_from.is_some(),
                duplicate,
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
            duplicate,
            trace,
            "failure"
        ),
    }
}

/// To four places: the digits behind them only make a line longer.
fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e4).round() / 1e4
}
