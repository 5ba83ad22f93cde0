//! What people decided of verdicts that they reviewed becomes the verdict of the next generation: recorded, published, acknowledged.
//!
//! The console only asks for it (the queue `assay.decisions`), so that the rules for outcomes have one place: the key is the database's,
//! and the unacknowledged message is the outbox. docs/adr/0029-decisions-by-people.md

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::condition::Condition;
use super::policies::PolicyInForce;
use super::settlement::Settler;
use crate::inbox::{self, Failed, Handled, Handler, InboxError};
use crate::moment::moment;
use crate::submission::{self, Generations};
use broker::wire::{self, Message};
use broker::{Broker, InboxQueue, Inboxes, Publication};
use domain::{
    Context, DecidedBy, Decision, GeneratorGuess, LabelledOrigin, Outcome, OutcomeId, Previous, ReviewDecision,
    Reviewed, SubmissionKey, Timing, Verdict, WorkerRef,
};
use ledger::{Gone, Ledger, Recorded};

/// So often another outcome takes the generation that was the next one, before it is left to the next delivery.
const TRIES: usize = 8;

/// Records what people decided.
pub(super) struct DecisionHandler {
    broker: Arc<dyn Broker>,
    ledger: Arc<dyn Ledger>,
    /// What follows from verdicts.
    policy: PolicyInForce,
    condition: Arc<Condition>,
    worker: WorkerRef,
}

#[async_trait]
impl Handler for DecisionHandler {
    fn what(&self) -> &'static str {
        "decisions of people"
    }

    async fn handle(&self, message: &Message) -> Result<Handled, InboxError> {
        match self.settle(message).await {
            Ok(is_new) => Ok(Handled::Done { is_new }),
            Err(Failed::Later(error)) => Err(error),
            Err(Failed::Rejected(reason)) => {
                tracing::warn!(reason, "a decision of people is dead-lettered");
                self.condition.metrics.dead_letter("decision");
                Ok(Handled::Rejected { reason })
            }
        }
    }
}

impl DecisionHandler {
    /// Gives whether the outcome is new.
    async fn settle(&self, message: &Message) -> Result<bool, Failed> {
        let decision = wire::read_decision(message).map_err(|error| Failed::Rejected(error.to_string()))?;
        for _ in 0..TRIES {
            let mut known =
                submission::generations(self.ledger.as_ref(), &decision.tenant, &decision.submission_id).await?;
            if known.outcomes.iter().all(|outcome| outcome.id() != decision.outcome_id) {
                known.outcomes.extend(self.ledger.outcome(decision.outcome_id).await?);
                known.outcomes.sort_by_key(|outcome| outcome.key().generation);
            }
            let mut verdict = match next(&decision, &known, &self.worker, OffsetDateTime::now_utc()) {
                Next::Verdict(verdict) => verdict,
                Next::Standing(outcome) => {
                    self.publish(outcome).await?;
                    return Ok(false);
                }
                Next::Nothing(why) => {
                    tracing::info!(decision = %decision.decision_id, why, "nothing follows from a decision of people");
                    return Ok(false);
                }
                Next::Never(reason) => return Err(Failed::Rejected(reason)),
            };
            verdict.policy = self.policy.borrow().as_ref().map(|policy| policy.apply(&verdict));
            let outcome = Outcome::Verdict(verdict);
            match self.ledger.record(std::slice::from_ref(&outcome)).await?.pop() {
                Some(Recorded::New) => {
                    self.condition.metrics.outcome(&outcome);
                    self.publish(&outcome).await?;
                    return Ok(true);
                }
                Some(Recorded::Refused(reason)) => {
                    return Err(Failed::Rejected(format!("the database refuses a value of its outcome: {reason}")));
                }
                // Another outcome was first: the next generation is a later one, or this very decision is recorded already.
                Some(Recorded::Standing(_) | Recorded::Gone(_)) | None => {}
            }
        }
        Err(Failed::Rejected(format!("the next generation was taken {TRIES} times by other outcomes; replay it later")))
    }

    async fn publish(&self, outcome: &Outcome) -> Result<(), Failed> {
        Ok(self.broker.publish(Publication { outcome, context: &Context::default() }).await?)
    }
}

impl DecisionHandler {
    /// One that records, publishes and counts as the settlement does.
    pub(crate) fn beside(settler: &Settler, worker: WorkerRef) -> DecisionHandler {
        DecisionHandler {
            broker: settler.broker.clone(),
            ledger: settler.ledger.clone(),
            policy: settler.policy.clone(),
            condition: settler.condition.clone(),
            worker,
        }
    }

    /// Takes decisions until `stop`. A worker that may not goes on without.
    pub(crate) fn take(self, inboxes: Arc<dyn Inboxes>, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let queue = (inboxes.as_ref(), InboxQueue::Decisions);
            if let Err(error) = inbox::listen(queue, &self, &stop).await {
                tracing::error!(
                    %error,
                    "this worker takes no decisions of people; `assay doctor` makes the queue, docs/least-rights.md has the rights"
                );
            }
        })
    }
}

/// What is to become of a decision.
#[derive(Debug, PartialEq)]
enum Next<'a> {
    /// The verdict of the next generation.
    Verdict(Box<Verdict>),
    /// It is recorded already.
    Standing(&'a Outcome),
    /// What it says is said already, or people have decided again since.
    Nothing(&'static str),
    /// It can't be recorded: why.
    Never(String),
}

/// What is to become of a decision on a submission of which this is known, in the order of the generations.
fn next<'a>(decision: &ReviewDecision, known: &'a Generations, worker: &WorkerRef, now: OffsetDateTime) -> Next<'a> {
    if let Some(Gone::Erased { at }) = &known.gone {
        return Next::Never(format!("the submission was erased at {}; nothing of it is decided again", moment(*at)));
    }
    let verdicts = || known.outcomes.iter().filter_map(|outcome| as_verdict(outcome).map(|verdict| (outcome, verdict)));
    let is_of_it =
        |verdict: &Verdict| verdict.review.as_ref().is_some_and(|review| review.decision_id == decision.decision_id);
    if let Some((outcome, _)) = verdicts().find(|(_, verdict)| is_of_it(verdict)) {
        return Next::Standing(outcome);
    }
    let reviewed = verdicts().find(|(_, verdict)| {
        verdict.verdict_id == decision.outcome_id
            && verdict.tenant == decision.tenant
            && verdict.submission_id == decision.submission_id
    });
    let (Some((_, reviewed)), Some((_, latest)), Some(last)) =
        (reviewed, verdicts().next_back(), known.outcomes.last())
    else {
        return Next::Never(format!(
            "the verdict {} of submission {:?} that was reviewed is not there, or not kept any more; ask for the next generation",
            decision.outcome_id, decision.submission_id
        ));
    };
    if latest.image.sha256 != reviewed.image.sha256 {
        return Next::Never("the submission has another image by now than the one that was reviewed".into());
    }
    if latest.decided_by == DecidedBy::Review && latest.decided_at > decision.decided_at {
        return Next::Nothing("people have decided again since");
    }
    let decided = match decision.decision {
        LabelledOrigin::Real => Decision::Real,
        LabelledOrigin::Synthetic => Decision::Synthetic,
    };
    if latest.decision == decided {
        return Next::Nothing("the latest verdict says the same");
    }
    let Some(generation) = last.key().generation.checked_add(1).filter(|next| i32::try_from(*next).is_ok()) else {
        return Next::Never("the submission has no next generation left".into());
    };
    Next::Verdict(Box::new(verdict(decision, decided, reviewed, (latest, last.id(), generation), worker, now)))
}

fn as_verdict(outcome: &Outcome) -> Option<&Verdict> {
    match outcome {
        Outcome::Verdict(verdict) => Some(verdict),
        Outcome::Failure(_) => None,
    }
}

/// Image, scores and model are those of the verdict that was reviewed.
fn verdict(
    decision: &ReviewDecision,
    decided: Decision,
    reviewed: &Verdict,
    (latest, supersedes, generation): (&Verdict, OutcomeId, u32),
    worker: &WorkerRef,
    now: OffsetDateTime,
) -> Verdict {
    let key =
        SubmissionKey { tenant: decision.tenant.clone(), submission_id: decision.submission_id.clone(), generation };
    let generator = decision.generator.as_ref().filter(|_| decided == Decision::Synthetic);
    Verdict {
        verdict_id: OutcomeId::of(&key),
        decision: decided,
        // What the model guessed, where it did; nothing where people name another one.
        generator: match generator {
            Some(named) => Some(named_by_people(named, reviewed)),
            None => reviewed.generator.clone().filter(|_| decided == Decision::Synthetic),
        },
        generation,
        reused_from: Some(reviewed.reused_from.unwrap_or(reviewed.verdict_id)),
        supersedes: Some(supersedes),
        previous: Some(Previous::of(latest)),
        policy: None,
        decided_by: DecidedBy::Review,
        review: Some(Reviewed {
            decision_id: decision.decision_id,
            outcome_id: decision.outcome_id,
            grounds: decision.grounds.clone(),
            reviewers: decision.reviewers.clone(),
        }),
        attempt: 1,
        timing_ms: Timing::default(),
        batch_size: 0,
        decided_at: now,
        worker: worker.clone(),
        ..reviewed.clone()
    }
}

/// The model's own guess if it is the same generator; otherwise the name alone.
fn named_by_people(named: &str, reviewed: &Verdict) -> GeneratorGuess {
    let same = reviewed.generator.clone().filter(|guess| guess.label == named);
    same.unwrap_or_else(|| GeneratorGuess {
        label: named.into(),
        family: domain::judge::UNKNOWN.into(),
        confidence: None,
        novelty: None,
        candidates: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
