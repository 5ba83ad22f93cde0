//! Requests onto their queues, and what goes to a queue of another kind.

use async_trait::async_trait;

use crate::error::BrokerError;
use crate::queue::{InboxQueue, RequestQueue};
use crate::wire::Message;

/// Publishes requests. Every implementation promises:
/// - `submit` returns `Ok` only once the broker has confirmed the message *and* its queue has it;
/// - `Unroutable` if there is no such queue; `Unconfirmed` if the message may or may not have arrived, so that submitting it
///   again may make a second copy;
/// - calls may run at the same time, each gets the confirmation of its own message;
/// - after `close` it is `Closed`.
#[async_trait]
pub trait Submitter: Send + Sync {
    async fn submit(&self, request_queue: RequestQueue, message: &Message) -> Result<(), BrokerError>;

    /// The same, to a queue whose messages are taken one by one.
    async fn hand_in(&self, inbox: InboxQueue, message: &Message) -> Result<(), BrokerError>;

    /// Messages that are ready, delivered to nobody, in all queues of this kind.
    async fn waiting(&self, request_queue: RequestQueue) -> Result<u32, BrokerError>;

    async fn close(&self);
}
