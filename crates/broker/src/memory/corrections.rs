//! Taking corrections from their queue.

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::state::{Queue, Shared};
use crate::corrections::{CorrectionDelivery, Corrections};
use crate::error::BrokerError;
use crate::queue::InputQueue;
use crate::wire::headers;

pub struct MemoryCorrections {
    shared: Arc<Shared>,
    connection: u64,
    /// Delivered by this handle, in order; some may be settled.
    tags: Vec<u64>,
}

impl MemoryCorrections {
    pub(super) fn open(shared: Arc<Shared>) -> MemoryCorrections {
        let connection = shared.lock().connection;
        MemoryCorrections { shared, connection, tags: Vec::new() }
    }

    fn take_now(&mut self) -> Result<Option<CorrectionDelivery>, BrokerError> {
        let delivered = self.shared.lock_for(self.connection)?.deliver(Queue::Input(InputQueue::Corrections));
        let Some((tag, ready)) = delivered else { return Ok(None) };
        self.tags.push(tag);
        Ok(Some(CorrectionDelivery { message: ready.message, redelivered: ready.redelivered, tag }))
    }
}

#[async_trait]
impl Corrections for MemoryCorrections {
    async fn take(&mut self) -> Result<Option<CorrectionDelivery>, BrokerError> {
        self.take_now()
    }

    async fn next(&mut self) -> Result<CorrectionDelivery, BrokerError> {
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

    async fn acknowledge(&mut self, delivery: CorrectionDelivery) -> Result<(), BrokerError> {
        let mut state = self.shared.lock_for(self.connection)?;
        state.unacknowledged.remove(&delivery.tag).map(drop).ok_or(BrokerError::Closed)
    }

    async fn dead_letter(&mut self, delivery: CorrectionDelivery, reason: &str) -> Result<(), BrokerError> {
        let topology = &self.shared.topology;
        let added = headers::of_dead_letter(reason, &topology.labels(), OffsetDateTime::now_utc());
        let mut state = self.shared.lock_for(self.connection)?;
        let correction = state.unacknowledged.get(&delivery.tag).ok_or(BrokerError::Closed)?;
        let mut copy = correction.message.clone();
        copy.properties.headers.extend(added.map(|(name, value)| (name.to_string(), value)));
        state.publish("", &topology.dead(), |state| state.push_back(Queue::Dead, copy))?;
        state.unacknowledged.remove(&delivery.tag);
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for MemoryCorrections {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.lock_for(self.connection) {
            state.requeue(self.tags.drain(..));
        }
        self.shared.notify();
    }
}
