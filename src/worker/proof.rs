//! What is tried before the worker says that it is ready: one statement, one publication, one request to the store.

use super::guard::guarded;
use super::store_health::StoreHealth;
use broker::{Broker, BrokerError};
use ledger::{Ledger, LedgerError};

/// Why the worker could not do its job.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("{edge} can't be used: {detail}; `assay doctor` looks at each part")]
    Edge { edge: &'static str, detail: String },
}

pub(super) async fn prove(broker: &dyn Broker, ledger: &dyn Ledger, store: &StoreHealth) -> Result<(), Unproven> {
    let panicked =
        |edge| move |_| Unproven::Edge { edge, detail: "its client panicked, and the log says where".into() };
    guarded(ledger.prove()).await.map_err(panicked("the database"))??;
    guarded(broker.prove()).await.map_err(panicked("the broker"))??;
    let asked = guarded(store.ask()).await.map_err(panicked("the object store"))?;
    asked.map_err(|error| Unproven::Edge { edge: "the object store", detail: error.to_string() })
}
