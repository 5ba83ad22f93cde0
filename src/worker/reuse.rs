//! The same bytes are scored once: what the ledger keeps of them answers for every later submission.
//!
//! Only identical bytes (by their sha256) of the same tenant, only scores of the very model that runs, and never when
//! a person asked for another look.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::ledger::{Content, Ledger};
use crate::moderation::{Judge, Purpose, Request, Verdict};

/// Images asked about with one question.
const LOOKUP: usize = 64;

/// Looks for earlier verdicts. While one question is on its way the next ones gather, and go together.
pub(super) struct Reuse {
    judge: Judge,
    questions: mpsc::Sender<Question>,
}

struct Question {
    content: Content,
    answer: oneshot::Sender<Option<Verdict>>,
}

impl Reuse {
    /// Works until it is dropped.
    pub fn of(ledger: Arc<dyn Ledger>, judge: Judge) -> Reuse {
        let (questions, asked) = mpsc::channel(LOOKUP);
        tokio::spawn(answer(ledger, judge.clone(), asked));
        Reuse { judge, questions }
    }

    /// A verdict on the same bytes that this model would repeat word for word. Trouble with the database is no
    /// trouble here: the image is scored.
    pub async fn earlier(&self, request: &Request, sha256: &str) -> Option<Box<Verdict>> {
        if request.purpose == Purpose::Reverdict {
            return None;
        }
        let content = Content { tenant: request.key.tenant.clone(), sha256: sha256.to_string() };
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { content, answer }).await.ok()?;
        let earlier = answered.await.ok()??;
        self.judge.stands_by(&earlier).then(|| Box::new(earlier))
    }
}

async fn answer(ledger: Arc<dyn Ledger>, judge: Judge, mut asked: mpsc::Receiver<Question>) {
    let mut questions = Vec::with_capacity(LOOKUP);
    while asked.recv_many(&mut questions, LOOKUP).await > 0 {
        let contents: Vec<_> = questions.iter().map(|question| question.content.clone()).collect();
        match ledger.scored(&contents, &judge.model).await {
            Ok(found) => {
                for (question, found) in questions.drain(..).zip(found) {
                    // Whoever asked may be gone after an abandon.
                    let _ = question.answer.send(found);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "earlier verdicts can't be looked up: scoring instead");
                questions.clear();
            }
        }
    }
}
