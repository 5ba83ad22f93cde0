//! What consumers are told beside outcomes.

use async_trait::async_trait;

use crate::error::BrokerError;
use domain::{AppealDecided, Erased};

/// What consumers are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Under `erased.<tenant>`.
    Erased(Erased),
    /// Under `appeal.<tenant>.<result>`.
    AppealDecided(AppealDecided),
}

impl Event {
    /// The topic under which it is published.
    pub fn routing_key(&self) -> String {
        match self {
            Event::Erased(erased) => erased.routing_key(),
            Event::AppealDecided(decided) => decided.routing_key(),
        }
    }
}

/// Publishes to the results exchange. Every implementation promises:
/// - it returns `Ok` only once the broker has confirmed the message, whether or not a queue wants it;
/// - after an error the message may or may not have been published; publishing it again is right;
/// - after `close` it is `Closed`.
#[async_trait]
pub trait Events: Send + Sync {
    /// Under its routing key.
    async fn publish(&self, event: &Event) -> Result<(), BrokerError>;

    async fn close(&self);
}
