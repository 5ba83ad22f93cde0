//! Why the registry changed nothing.

use crate::leases::{Fenced, LeaseError};
use crate::store::ArtefactError;
use database::DatabaseError;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    #[error("version {version} is registered already, as another model; give this one another version")]
    Taken { version: String },
    #[error("no model {version:?} is registered; `assay model list` shows what is")]
    Unknown { version: String },
    #[error(
        "the active model is {} now, not {}: nothing was changed; see `assay model list` and decide again",
        named(.active), named(.expected)
    )]
    Moved { active: Option<String>, expected: Option<String> },
    #[error(
        "no model is active; register one (`assay model register DIR`) and promote it (`assay model promote VERSION`)"
    )]
    NothingActive,
    #[error("no model was active before {active}: there is nothing to go back to")]
    NothingBefore { active: String },
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

fn named(version: &Option<String>) -> &str {
    version.as_deref().unwrap_or("none")
}

impl From<LeaseError> for RegistryError {
    fn from(error: LeaseError) -> RegistryError {
        match error {
            LeaseError::Database(error) => error.into(),
            LeaseError::Fenced(fenced) => fenced.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_active() {
        let moved = RegistryError::Moved { active: Some("2".into()), expected: None };
        assert!(moved.to_string().starts_with("the active model is 2 now, not none"), "{moved}");
    }
}
