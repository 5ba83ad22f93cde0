//! Taking the messages of a queue one by one.

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::state::{Queue, Shared};
use crate::error::BrokerError;
use crate::inbox::{Inbox, InboxDelivery};
use crate::queue::{InboxQueue, InputQueue};
use crate::wire::headers;

pub struct MemoryInbox {
    shared: Arc<Shared>,
    connection: u64,
    queue: InboxQueue,
    /// Delivered by this handle, in order; some may be settled.
    tags: Vec<u64>,
}

impl MemoryInbox {
    pub(super) fn open(shared: Arc<Shared>, queue: InboxQueue) -> MemoryInbox {
        let connection = shared.lock().connection;
        MemoryInbox { shared, connection, queue, tags: Vec::new() }
    }

    fn take_now(&mut self) -> Result<Option<InboxDelivery>, BrokerError> {
        let delivered = self.shared.lock_for(self.connection)?.deliver(Queue::Input(InputQueue::Inbox(self.queue)));
        let Some((tag, ready)) = delivered else { return Ok(None) };
        self.tags.push(tag);
        Ok(Some(InboxDelivery { message: ready.message, redelivered: ready.redelivered, tag }))
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn take(&mut self) -> Result<Option<InboxDelivery>, BrokerError> {
        self.take_now()
    }

    async fn next(&mut self) -> Result<InboxDelivery, BrokerError> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(delivery) = self.take_now()? {
                return Ok(delivery);
            }
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    async fn acknowledge(&mut self, delivery: InboxDelivery) -> Result<(), BrokerError> {
        let mut state = self.shared.lock_for(self.connection)?;
        state.unacknowledged.remove(&delivery.tag).map(drop).ok_or(BrokerError::Closed)
    }

    async fn dead_letter(&mut self, delivery: InboxDelivery, reason: &str) -> Result<(), BrokerError> {
        let topology = &self.shared.topology;
        let added = headers::of_dead_letter(reason, &topology.inbox(self.queue), OffsetDateTime::now_utc());
        let mut state = self.shared.lock_for(self.connection)?;
        let held = state.unacknowledged.get(&delivery.tag).ok_or(BrokerError::Closed)?;
        let mut copy = held.message.clone();
        copy.properties.headers.extend(added.map(|(name, value)| (name.to_string(), value)));
        state.publish("", &topology.dead(), |state| state.push_back(Queue::Dead, copy))?;
        state.unacknowledged.remove(&delivery.tag);
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for MemoryInbox {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.lock_for(self.connection) {
            state.requeue(self.tags.drain(..));
        }
        self.shared.notify();
    }
}
