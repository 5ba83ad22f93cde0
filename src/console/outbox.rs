//! What follows from reviews is written with them, and sent from here: at least once, each under an id of its own.

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::inbox::InboxError;
use broker::rabbit::{RabbitEvents, RabbitSubmitter};
use broker::wire;
use broker::{BrokerError, Event, Events, InboxQueue, RequestQueue, Settings, Submitter};
use domain::{AppealDecided, Context, ImageRef, Outcome, OutcomeId, Purpose, Request, ReviewDecision, SubmissionKey};
use ledger::Ledger;
use review::{OutboxKind, OutboxMessage, Postgres};

/// Messages in one round.
const MOST: u32 = 100;

/// Sends them.
pub struct Outbox {
    reviews: Postgres,
    ledger: Arc<dyn Ledger>,
    broker: Settings,
    /// Opened when something is to be sent: a console serves while there is no broker.
    lines: Option<Lines>,
}

struct Lines {
    submitter: Box<dyn Submitter>,
    events: Box<dyn Events>,
}

/// The image has changed since the verdict, or is wanted anew: the next generation is asked for.
#[derive(serde::Deserialize)]
struct Rejudge {
    outcome_id: OutcomeId,
}

impl Outbox {
    pub fn new(reviews: Postgres, ledger: Arc<dyn Ledger>, broker: Settings) -> Outbox {
        Outbox { reviews, ledger, broker, lines: None }
    }

    /// Sends what is not sent yet; gives how many messages that were. After an error what was sent is known as sent.
    pub async fn send(&mut self) -> Result<u64, InboxError> {
        let mut count = 0;
        loop {
            let waiting = self.reviews.unsent(MOST).await?;
            if waiting.is_empty() {
                return Ok(count);
            }
            for (place, message) in waiting.iter().enumerate() {
                if let Err(error) = self.send_one(message).await {
                    let rest: Vec<Uuid> = waiting.iter().skip(place).map(|message| message.id).collect();
                    self.reviews.give_back(&rest).await?;
                    return Err(error);
                }
                self.reviews.sent(&[message.id]).await?;
                count += 1;
            }
        }
    }

    async fn send_one(&mut self, message: &OutboxMessage) -> Result<(), InboxError> {
        let rejudged = match message.kind {
            OutboxKind::Rejudge => self.request(message).await?,
            OutboxKind::Decision | OutboxKind::Appeal => None,
        };
        let lines = self.lines().await?;
        let sent = match message.kind {
            OutboxKind::Decision => match read::<ReviewDecision>(message) {
                Some(decision) => lines.submitter.hand_in(InboxQueue::Decisions, &wire::decision(&decision)).await,
                None => Ok(()),
            },
            OutboxKind::Appeal => match read::<AppealDecided>(message) {
                Some(decided) => lines.events.publish(&Event::AppealDecided(decided)).await,
                None => Ok(()),
            },
            OutboxKind::Rejudge => match rejudged {
                Some(request) => {
                    let now = OffsetDateTime::now_utc();
                    lines.submitter.submit(RequestQueue::Live, &wire::request(&request, now)).await
                }
                None => Ok(()),
            },
        };
        if let Err(error) = sent {
            self.close().await;
            return Err(error.into());
        }
        Ok(())
    }

    /// The request for the generation after the one that was reviewed, for the object as it is now. `None` where that verdict is not kept.
    async fn request(&self, message: &OutboxMessage) -> Result<Option<Request>, InboxError> {
        let Some(Rejudge { outcome_id }) = read(message) else { return Ok(None) };
        let Some(Outcome::Verdict(verdict)) = self.ledger.outcome(outcome_id).await? else { return Ok(None) };
        let key = SubmissionKey { generation: verdict.generation.saturating_add(1), ..verdict.key() };
        let image = ImageRef { bucket: verdict.image.bucket, key: verdict.image.key, ..ImageRef::default() };
        let context = Context { message_id: Some(message.id.to_string()), ..Context::default() };
        Ok(Some(Request { key, image, deadline: None, purpose: Purpose::Live, metadata: verdict.metadata, context }))
    }

    async fn lines(&mut self) -> Result<&Lines, BrokerError> {
        if self.lines.is_none() {
            let submitter = Box::new(RabbitSubmitter::connect(&self.broker).await?);
            let events = Box::new(RabbitEvents::connect(&self.broker).await?);
            self.lines = Some(Lines { submitter, events });
        }
        Ok(self.lines.as_ref().expect("they were opened"))
    }

    pub async fn close(&mut self) {
        if let Some(Lines { submitter, events }) = self.lines.take() {
            submitter.close().await;
            events.close().await;
        }
    }
}

/// What the message says. One that a later version wrote in another form is left out, and told of: it would hold up the others.
fn read<T: serde::de::DeserializeOwned>(message: &OutboxMessage) -> Option<T> {
    let id: Uuid = message.id;
    match serde_json::from_value(message.document.clone()) {
        Ok(read) => Some(read),
        Err(error) => {
            tracing::error!(%id, kind = message.kind.as_str(), %error, "a message of the outbox can't be read and is not sent");
            None
        }
    }
}
