//! Model versions, which of them serves, and who may change that.
//!
//! Three ports: [`Registry`] (versions and promotions), [`Leases`] and [`TrainingRuns`], each with its promises. Artefacts lie
//! in a [`Store`]; [`lifecycle`] joins store and registry.

mod error;
mod held_lease;
mod leases;
pub mod lifecycle;
pub mod memory;
mod model;
pub mod postgres;
mod promotion;
mod settings;
pub mod store;
mod training_runs;
mod versions;

pub use error::RegistryError;
pub use held_lease::HeldLease;
pub use leases::{Acquired, By, Fenced, Lease, LeaseError, Leases};
pub use lifecycle::{Candidate, fetch_active, promote, register, roll_back};
pub use model::{Model, NewModel, Registered};
pub use promotion::{Change, Kind, Promotion};
pub use settings::Settings;
pub use store::{ArtefactError, Store};
pub use training_runs::{RecordedRun, Run, RunState, TrainingRuns};
pub use versions::Registry;
