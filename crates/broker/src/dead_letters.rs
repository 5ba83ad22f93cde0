//! The queue of dead letters.

use async_trait::async_trait;

use crate::error::BrokerError;
use crate::queue::InputQueue;
use crate::wire::Message;

/// A message among the dead letters, with all its headers. It stays there until it is replayed or discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub message: Message,
    /// The queue that it came from; `None` where no header says so, or names a queue of another topology.
    pub origin: Option<InputQueue>,
    pub(crate) tag: u64,
}

/// Looks through the dead letters, replays and discards them. Every implementation promises:
/// - `next` gives the letters that were there when it was opened, oldest first, each once; at most [`MAX_LISTED`];
/// - what was neither replayed nor discarded is back in its place, in its order, after `close`;
/// - `replay` first publishes a confirmed copy with the body and headers that it first came with, its attempts counted anew,
///   and in `x-assay-queue` the queue that it is replayed to; then it takes the letter out. If publishing fails, the letter
///   stays; if only the second step fails, it is in both places;
/// - `discard` takes the letter out for good, and publishes nothing;
/// - when the connection is lost, every call is an error from then on: open another one.
#[async_trait]
pub trait DeadLetters: Send {
    /// Letters that are still to come.
    fn remaining(&self) -> u32;

    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError>;

    async fn replay(&mut self, letter: DeadLetter, to: InputQueue) -> Result<(), BrokerError>;

    async fn discard(&mut self, letter: DeadLetter) -> Result<(), BrokerError>;

    async fn close(self: Box<Self>);
}

/// Most letters that are looked at.
pub const MAX_LISTED: u32 = 10_000;
