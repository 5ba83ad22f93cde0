//! Queues whose messages are taken one by one: corrections, decisions of people, appeals.

use async_trait::async_trait;

use crate::error::BrokerError;
use crate::queue::InboxQueue;
use crate::wire::Message;

/// A message that stays in its queue until it is acknowledged or dead-lettered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxDelivery {
    pub message: Message,
    pub redelivered: bool,
    pub(crate) tag: u64,
}

/// Opens them.
#[async_trait]
pub trait Inboxes: Send + Sync {
    /// Over a connection of its own.
    async fn open(&self, queue: InboxQueue) -> Result<Box<dyn Inbox>, BrokerError>;
}

/// Takes the messages of one of them, over one connection. Every implementation promises:
/// - what is neither acknowledged nor dead-lettered is delivered again once the connection has ended, by `close` or otherwise;
/// - `dead_letter` first publishes a confirmed copy to the dead letters (body and headers untouched; reason, time and the
///   queue that it came from in `x-assay-*` headers) and then acknowledges; if that fails the message stays unacknowledged;
/// - when the connection is lost, every call is an error from then on: open another one.
#[async_trait]
pub trait Inbox: Send {
    /// The next one that is ready; `None` when none is.
    async fn take(&mut self) -> Result<Option<InboxDelivery>, BrokerError>;

    /// Waits for the next one.
    async fn next(&mut self) -> Result<InboxDelivery, BrokerError>;

    /// Takes it out of its queue.
    async fn acknowledge(&mut self, delivery: InboxDelivery) -> Result<(), BrokerError>;

    /// Moves it to the dead letters.
    async fn dead_letter(&mut self, delivery: InboxDelivery, reason: &str) -> Result<(), BrokerError>;

    async fn close(self: Box<Self>);
}
