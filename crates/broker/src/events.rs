//! What consumers are told beside outcomes.

use async_trait::async_trait;

use crate::error::BrokerError;
use domain::Erased;

/// Publishes to the results exchange. Every implementation promises:
/// - it returns `Ok` only once the broker has confirmed the message, whether or not a queue wants it;
/// - after an error the message may or may not have been published; publishing it again is right;
/// - after `close` it is `Closed`.
#[async_trait]
pub trait Events: Send + Sync {
    /// Under `erased.<tenant>`.
    async fn erased(&self, erased: &Erased) -> Result<(), BrokerError>;

    async fn close(&self);
}
