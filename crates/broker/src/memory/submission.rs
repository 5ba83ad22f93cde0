//! Publishing requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::state::{Queue, Shared};
use crate::error::BrokerError;
use crate::queue::{InboxQueue, InputQueue, RequestQueue};
use crate::submission::Submitter;
use crate::wire::message::Message;

pub struct MemorySubmitter {
    shared: Arc<Shared>,
    closed: AtomicBool,
}

impl MemorySubmitter {
    pub(super) fn new(shared: Arc<Shared>) -> MemorySubmitter {
        MemorySubmitter { shared, closed: AtomicBool::new(false) }
    }

    async fn publish(&self, queue: InputQueue, message: &Message) -> Result<(), BrokerError> {
        // As over a network, others get their turn.
        tokio::task::yield_now().await;
        if self.closed.load(Ordering::Relaxed) {
            return Err(BrokerError::Closed);
        }
        self.shared.publish(queue, message.clone())
    }
}

#[async_trait]
impl Submitter for MemorySubmitter {
    async fn submit(&self, request_queue: RequestQueue, message: &Message) -> Result<(), BrokerError> {
        self.publish(InputQueue::Requests(request_queue), message).await
    }

    async fn hand_in(&self, inbox: InboxQueue, message: &Message) -> Result<(), BrokerError> {
        self.publish(InputQueue::Inbox(inbox), message).await
    }

    async fn waiting(&self, request_queue: RequestQueue) -> Result<u32, BrokerError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(BrokerError::Closed);
        }
        let ready = self.shared.lock().ready(Queue::Input(InputQueue::Requests(request_queue))).len();
        Ok(u32::try_from(ready).unwrap_or(u32::MAX))
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}
