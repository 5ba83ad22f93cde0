//! Looking through the dead letters, replaying and discarding them.

use std::sync::Arc;

use async_trait::async_trait;

use super::state::{Queue, Shared};
use crate::dead_letters::{DeadLetter, DeadLetters, MAX_LISTED};
use crate::error::BrokerError;
use crate::queue::InputQueue;
use crate::wire::headers::{self, is_dead_letter_header};
use crate::wire::message::Message;

pub struct MemoryDeadLetters {
    shared: Arc<Shared>,
    connection: u64,
    unread: u32,
    /// Handed out by this handle, in order; some may be replayed.
    tags: Vec<u64>,
}

impl MemoryDeadLetters {
    pub(super) fn open(shared: Arc<Shared>) -> MemoryDeadLetters {
        let state = shared.lock();
        let (connection, unread) = (state.connection, state.ready(Queue::Dead).len() as u32);
        drop(state);
        MemoryDeadLetters { shared, connection, unread: unread.min(MAX_LISTED), tags: Vec::new() }
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    fn remaining(&self) -> u32 {
        self.unread
    }

    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError> {
        let mut state = self.shared.lock_for(self.connection)?;
        let delivered = if self.unread > 0 { state.deliver(Queue::Dead) } else { None };
        let Some((tag, ready)) = delivered else {
            self.unread = 0;
            return Ok(None);
        };
        self.unread -= 1;
        self.tags.push(tag);
        let message = ready.message;
        let named = headers::origin_queue(&message.properties.headers);
        let origin = named.and_then(|queue| self.shared.topology.input_named(queue));
        Ok(Some(DeadLetter { message, origin, tag }))
    }

    async fn replay(&mut self, letter: DeadLetter, to: InputQueue) -> Result<(), BrokerError> {
        let state = self.shared.lock_for(self.connection)?;
        let unacknowledged = state.unacknowledged.get(&letter.tag).ok_or(BrokerError::Closed)?;
        let copy =
            replayed(unacknowledged.message.clone(), &self.shared.topology.input(to, &unacknowledged.message.body));
        drop(state);
        self.shared.publish(to, copy)?;
        let mut state = self.shared.lock_for(self.connection)?;
        state.unacknowledged.remove(&letter.tag).map(drop).ok_or(BrokerError::Closed)
    }

    async fn discard(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        let mut state = self.shared.lock_for(self.connection)?;
        state.unacknowledged.remove(&letter.tag).map(drop).ok_or(BrokerError::Closed)
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for MemoryDeadLetters {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.lock_for(self.connection) {
            state.requeue(self.tags.drain(..));
        }
        self.shared.notify();
    }
}

fn replayed(mut message: Message, queue: &str) -> Message {
    message.properties.headers.retain(|name, _| !is_dead_letter_header(name));
    message.properties.headers.insert(headers::QUEUE.into(), queue.into());
    message
}
