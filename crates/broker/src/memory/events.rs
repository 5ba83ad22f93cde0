//! Publishing what consumers are told beside outcomes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::state::Shared;
use crate::error::BrokerError;
use crate::events::{Event, Events};
use crate::wire;

pub struct MemoryEvents {
    shared: Arc<Shared>,
    closed: AtomicBool,
}

impl MemoryEvents {
    pub(super) fn new(shared: Arc<Shared>) -> MemoryEvents {
        MemoryEvents { shared, closed: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Events for MemoryEvents {
    async fn publish(&self, event: &Event) -> Result<(), BrokerError> {
        // As over a network, others get their turn.
        tokio::task::yield_now().await;
        if self.closed.load(Ordering::Relaxed) {
            return Err(BrokerError::Closed);
        }
        let (exchange, routing_key) = (self.shared.topology.verdicts(), event.routing_key());
        let message = wire::event(event);
        let published = self.shared.lock().publish(&exchange, &routing_key.clone(), |state| {
            state.notices.push((routing_key, message));
        });
        self.shared.notify();
        match published {
            // Nobody wants it.
            Err(BrokerError::Unroutable { .. }) => Ok(()),
            answer => answer,
        }
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}
