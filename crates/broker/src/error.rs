//! What can go wrong at the broker.

/// The error of a library underneath.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the broker at {address} can't be reached: {source}; check broker.url and that RabbitMQ runs")]
    Unreachable { address: String, source: Cause },
    #[error("the broker refuses the login of {address}: {source}; check the user, password and vhost in broker.url")]
    Refused { address: String, source: Cause },
    #[error("the broker at {address} is not trusted: {explanation}")]
    Untrusted { address: String, explanation: String, source: Cause },
    #[error("{what} is missing or declared otherwise: {source}; {fix}")]
    Topology { what: String, source: Cause, fix: &'static str },
    #[error("nothing is bound to receive {routing_key:?} on {exchange:?}: bind a queue, or declare the topology again")]
    Unroutable { exchange: String, routing_key: String },
    #[error("the broker did not confirm a publication: {0}")]
    Unconfirmed(#[source] Unconfirmed),
    /// Connection or channel failed, or the broker closed it.
    #[error("{operation}: {source}")]
    Interrupted { operation: String, source: Cause },
    #[error("the broker connection is closed")]
    Closed,
}

/// Why a publication is not known to be safe. It may have arrived all the same.
#[derive(Debug, thiserror::Error)]
pub enum Unconfirmed {
    #[error("no confirmation within {seconds} s")]
    Timeout { seconds: u64 },
    #[error("the broker rejected it")]
    Rejected,
    #[error("the channel is not in confirm mode")]
    NotInConfirmMode,
    #[error("{0}")]
    Interrupted(#[source] Cause),
}

impl BrokerError {
    /// Whether it can pass with time, without anybody changing the configuration.
    pub fn is_transient(&self) -> bool {
        !matches!(self, BrokerError::Refused { .. } | BrokerError::Untrusted { .. } | BrokerError::Topology { .. })
    }
}
