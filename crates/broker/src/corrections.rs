//! The queue of corrections.

use async_trait::async_trait;

use crate::error::BrokerError;
use crate::wire::Message;

/// A correction that stays in its queue until it is acknowledged or dead-lettered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectionDelivery {
    pub message: Message,
    pub redelivered: bool,
    pub(crate) tag: u64,
}

/// Takes corrections, over one connection. Every implementation promises:
/// - what is neither acknowledged nor dead-lettered is delivered again once the connection has ended, by `close` or otherwise;
/// - `dead_letter` first publishes a confirmed copy to the dead letters (body and headers untouched; reason, time and the
///   queue that it came from in `x-assay-*` headers) and then acknowledges; if that fails the correction stays unacknowledged;
/// - when the connection is lost, every call is an error from then on: open another one.
#[async_trait]
pub trait Corrections: Send {
    /// The next one that is ready; `None` when none is.
    async fn take(&mut self) -> Result<Option<CorrectionDelivery>, BrokerError>;

    /// Waits for the next one.
    async fn next(&mut self) -> Result<CorrectionDelivery, BrokerError>;

    /// Takes it out of its queue.
    async fn acknowledge(&mut self, delivery: CorrectionDelivery) -> Result<(), BrokerError>;

    /// Moves it to the dead letters.
    async fn dead_letter(&mut self, delivery: CorrectionDelivery, reason: &str) -> Result<(), BrokerError>;

    async fn close(self: Box<Self>);
}
