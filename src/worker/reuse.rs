//! The same bytes are scored once: what the ledger keeps of them answers for every later submission.
//!
//! Only identical bytes (by their sha256) of the same tenant, only scores of the very model that runs, and never when
//! a person asked for another look. To judge the same bytes of a submission again by the same weights is to read the logit of its
//! last verdict anew ([`Reuse::again`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::pace::{Pace, TOGETHER};
use domain::{Finding, Judge, Outcome, Predecessors, Purpose, Request, Verdict};
use ledger::{Content, Ledger};

/// Looks for earlier verdicts. Those that come in a stream gather, and go together.
pub(super) struct Reuse {
    questions: mpsc::Sender<Question>,
    ledger: Arc<dyn Ledger>,
    in_service: watch::Receiver<Arc<Judge>>,
}

/// What the model in service finds in the logit of a submission's last verdict.
pub(super) struct Again {
    pub earlier: Verdict,
    pub finding: Finding,
    pub judge: Arc<Judge>,
}

/// A verdict, and by whose model it was looked for.
type Earlier = (Verdict, Arc<Judge>);

struct Question {
    content: Content,
    answer: oneshot::Sender<Option<Earlier>>,
}

impl Reuse {
    /// Starts the task that asks the ledger; it ends when this is dropped.
    pub(crate) fn new(ledger: Arc<dyn Ledger>, judge: watch::Receiver<Arc<Judge>>, within: Duration) -> Reuse {
        let (questions, asked) = mpsc::channel(TOGETHER);
        tokio::spawn(answer(ledger.clone(), judge.clone(), within, asked));
        Reuse { questions, ledger, in_service: judge }
    }

    /// For a request to judge again that names the bytes: what the weights that judged them would say of them today. `None` where
    /// other weights did, where it takes the image, or where the database can't be asked.
    pub(crate) async fn again(&self, request: &Request, predecessors: &Predecessors) -> Option<Again> {
        let (Purpose::Reverdict, Some(_)) = (request.purpose, &request.image.sha256) else { return None };
        let before = predecessors.verdict.as_ref()?;
        let judge = self.in_service.borrow().clone();
        let Some(Outcome::Verdict(earlier)) = self.ledger.outcome(before.outcome_id).await.ok()? else { return None };
        let (asked, judged) = (&request.image, &earlier.image);
        let same =
            (&asked.bucket, &asked.key, &asked.sha256) == (&judged.bucket, &judged.key, &Some(judged.sha256.clone()));
        let finding = judge.find_again(&earlier).filter(|_| same)?;
        Some(Again { earlier: *earlier, finding, judge })
    }

    /// A verdict on the same bytes that the model in service would give again, and the judge that would. Where the database
    /// can't be asked there is none, and the image is scored.
    pub(crate) async fn earlier(&self, request: &Request, sha256: &str) -> Option<(Box<Verdict>, Arc<Judge>)> {
        if request.purpose == Purpose::Reverdict {
            return None;
        }
        let content = Content { tenant: request.key.tenant.clone(), sha256: sha256.to_string() };
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { content, answer }).await.ok()?;
        let (earlier, judge) = answered.await.ok()??;
        judge.stands_by(&earlier).then(|| (Box::new(earlier), judge))
    }
}

async fn answer(
    ledger: Arc<dyn Ledger>,
    in_service: watch::Receiver<Arc<Judge>>,
    within: Duration,
    mut asked: mpsc::Receiver<Question>,
) {
    let mut pace = Pace::new();
    let mut questions = Vec::with_capacity(TOGETHER);
    while let Some(first) = asked.recv().await {
        pace.wait().await;
        questions.push(first);
        while questions.len() < TOGETHER
            && let Ok(question) = asked.try_recv()
        {
            questions.push(question);
        }
        let contents: Vec<_> = questions.iter().map(|question| question.content.clone()).collect();
        let judge = in_service.borrow().clone();
        match ledger.scored(&contents, &judge.model, within).await {
            Ok(found) => {
                for (question, found) in questions.drain(..).zip(found) {
                    // Whoever asked may be gone after an abandon.
                    let _ = question.answer.send(found.map(|verdict| (verdict, judge.clone())));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "earlier verdicts can't be looked up: scoring instead");
                questions.clear();
            }
        }
    }
}
