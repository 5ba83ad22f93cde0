//! How a command ends: its exit code and what it says.

use crate::config::ConfigError;
use crate::submission::LookUpError;
use crate::worker::{PolicyError, Unproven, WorkerError};
use artefact::LoadError;
use broker::BrokerError;
use decoder::StartError;
use engine::OpenError;
use ledger::LedgerError;
use objects::StoreError;

/// An end other than success.
#[derive(Debug)]
pub struct End {
    code: u8,
    /// `None` where everything has been said already.
    message: Option<String>,
}

#[allow(clippy::needless_pass_by_value, reason = "an error ends where it is made into an end")]
impl End {
    /// The work failed.
    pub fn work(message: impl ToString) -> End {
        End { code: 1, message: Some(message.to_string()) }
    }

    /// Usage or configuration.
    pub fn usage(message: impl ToString) -> End {
        End { code: 2, message: Some(message.to_string()) }
    }

    /// A dependency can't be reached.
    pub fn unreachable(message: impl ToString) -> End {
        End { code: 3, message: Some(message.to_string()) }
    }

    /// The same end with nothing left to say.
    pub fn silent(self) -> End {
        End { message: None, ..self }
    }

    pub fn code(&self) -> u8 {
        self.code
    }

    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl From<ConfigError> for End {
    fn from(error: ConfigError) -> End {
        End::usage(error)
    }
}

impl From<BrokerError> for End {
    fn from(error: BrokerError) -> End {
        match error {
            BrokerError::Refused { .. } | BrokerError::Untrusted { .. } | BrokerError::Topology { .. } => {
                End::usage(error)
            }
            _ => End::unreachable(error),
        }
    }
}

impl From<LedgerError> for End {
    fn from(error: LedgerError) -> End {
        match error {
            LedgerError::Unreachable { .. } => End::unreachable(error),
            LedgerError::LoginRefused { .. }
            | LedgerError::NotMigrated { .. }
            | LedgerError::Untrusted { .. }
            | LedgerError::Forbidden { .. }
            | LedgerError::Encoding { .. }
            | LedgerError::Pooled { .. } => End::usage(error),
            _ => End::work(error),
        }
    }
}

impl From<PolicyError> for End {
    fn from(error: PolicyError) -> End {
        match error {
            PolicyError::Database(error) => error.into(),
            PolicyError::Unreadable { .. } => End::work(error),
        }
    }
}

impl From<LookUpError> for End {
    fn from(error: LookUpError) -> End {
        match error {
            LookUpError::Impossible(words) => End::usage(words),
            LookUpError::Database(error) => error.into(),
        }
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> End {
        match error {
            StoreError::Unreachable { .. } => End::unreachable(error),
            StoreError::Untrusted { .. } | StoreError::Refused { .. } => End::usage(error),
            StoreError::Bucket { .. } => End::work(error),
        }
    }
}

impl From<StartError> for End {
    fn from(error: StartError) -> End {
        End::usage(error)
    }
}

impl From<OpenError> for End {
    fn from(error: OpenError) -> End {
        End::usage(error)
    }
}

impl From<LoadError> for End {
    fn from(error: LoadError) -> End {
        End::usage(error)
    }
}

impl From<WorkerError> for End {
    fn from(error: WorkerError) -> End {
        match error {
            WorkerError::Broker(error) => error.into(),
            WorkerError::Unproven(Unproven::Ledger(error)) => error.into(),
            WorkerError::Unproven(Unproven::Broker(error)) => error.into(),
            WorkerError::Unproven(Unproven::Edge { .. }) => End::unreachable(error),
            WorkerError::PrefetchTooDeep { .. } => End::usage(error),
            _ => End::work(error),
        }
    }
}
