//! The messages of an inbox, one by one, to whoever makes something of them: corrections, appeals, decisions of people.
//!
//! A message is acknowledged once what it asks for is durable, and is dead-lettered with the reason if that never can be.
//! A transient error ends the taking; what is not acknowledged is delivered again.

use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use broker::wire::Message;
use broker::{BrokerError, Inbox, InboxDelivery, InboxQueue, Inboxes};
use database::DatabaseError;
use objects::FetchError;

/// Makes something of messages.
#[async_trait]
pub trait Handler: Send + Sync {
    /// What the messages are, for the log: "corrections".
    fn what(&self) -> &'static str;

    /// Makes durable what a message asks for, as often as it comes.
    async fn handle(&self, message: &Message) -> Result<Handled, InboxError>;
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is durable: the message is to be acknowledged. `is_new`: it was not before.
    Done { is_new: bool },
    /// It never can be: the message is to be dead-lettered.
    Rejected { reason: String },
}

/// What became of the messages that were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub new: u64,
    /// Durable before.
    pub known: u64,
    /// Dead-lettered.
    pub dead: u64,
}

/// A transient error: the message stays in its queue.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Objects(FetchError),
}

impl InboxError {
    fn waiting_helps(&self) -> bool {
        match self {
            InboxError::Broker(error) => error.is_transient(),
            InboxError::Database(error) => error.is_transient(),
            InboxError::Objects(_) => true,
        }
    }
}

/// Why a message comes to nothing.
pub(crate) enum Failed {
    /// It always will: the reason.
    Rejected(String),
    /// It may yet.
    Later(InboxError),
}

impl<E: Into<InboxError>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed::Later(error.into())
    }
}

/// Takes the messages that are ready, until none is.
pub async fn drain(queue: &mut dyn Inbox, handler: &dyn Handler) -> Result<Drained, InboxError> {
    let mut drained = Drained::default();
    while let Some(delivery) = queue.take().await? {
        settle(queue, delivery, handler, &mut drained).await?;
    }
    Ok(drained)
}

/// Takes messages as they come, until `stop`. After a transient error it waits and opens the queue again.
pub async fn listen(
    (inboxes, queue): (&dyn Inboxes, InboxQueue),
    handler: &dyn Handler,
    stop: &CancellationToken,
) -> Result<Drained, InboxError> {
    let mut drained = Drained::default();
    let backoff = || {
        let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
        backoff.with_max_delay(Duration::from_secs(10)).without_max_times().with_jitter().build()
    };
    let mut pauses = backoff();
    loop {
        let before = drained;
        let mut opened = None;
        let taken = listen_once(&mut opened, (inboxes, queue), handler, &mut drained);
        let error = stop.run_until_cancelled(taken).await;
        if let Some(inbox) = opened {
            inbox.close().await;
        }
        let Some(error) = error else { return Ok(drained) };
        if !error.waiting_helps() {
            return Err(error);
        }
        if drained != before {
            pauses = backoff();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(10));
        tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "{} wait in their queue", handler.what());
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(drained);
        }
    }
}

/// Takes messages until an error. What it opens is the caller's, to be closed in an orderly way.
async fn listen_once(
    opened: &mut Option<Box<dyn Inbox>>,
    (inboxes, queue): (&dyn Inboxes, InboxQueue),
    handler: &dyn Handler,
    drained: &mut Drained,
) -> InboxError {
    let taking = async {
        let inbox = opened.insert(inboxes.open(queue).await?);
        loop {
            let delivery = inbox.next().await?;
            settle(inbox.as_mut(), delivery, handler, drained).await?;
        }
    };
    let ended: Result<std::convert::Infallible, InboxError> = taking.await;
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn settle(
    queue: &mut dyn Inbox,
    delivery: InboxDelivery,
    handler: &dyn Handler,
    drained: &mut Drained,
) -> Result<(), InboxError> {
    match handler.handle(&delivery.message).await? {
        Handled::Done { is_new } => {
            queue.acknowledge(delivery).await?;
            match is_new {
                true => drained.new += 1,
                false => drained.known += 1,
            }
        }
        Handled::Rejected { reason } => {
            queue.dead_letter(delivery, &reason).await?;
            drained.dead += 1;
        }
    }
    Ok(())
}
