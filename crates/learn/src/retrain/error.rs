//! Why a run did not come to a decision.

use std::path::{Path, PathBuf};

use tokio::task::JoinError;

use super::BeginError;
use super::comparison::ComparisonError;
use super::file_cache::FileCacheError;
use super::training_run::TrainingRunError;
use artefact::LoadError;
use database::DatabaseError;
use decoder::StartError;
use engine::OpenError;
use engine::self_test::SelfTestError;
use registry::{LeaseError, RegistryError};

#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Files(#[from] FileCacheError),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error(transparent)]
    Training(#[from] TrainingRunError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Device(#[from] OpenError),
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error("the recipe can't be written as JSON, so the run has no name: {0}")]
    Recipe(#[source] serde_json::Error),
    #[error("the report can't be written as JSON: {0}")]
    Report(#[source] serde_json::Error),
    #[error("{} can't be written: {source}", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("stopped; the next run goes on from the last checkpoint")]
    Stopped,
    #[error("a thread of the run ended early: {0}")]
    Interrupted(#[from] JoinError),
}

impl RetrainError {
    pub(super) fn unwritable(path: &Path, source: std::io::Error) -> RetrainError {
        RetrainError::Unwritable { path: path.to_owned(), source }
    }

    /// Whether somebody asked for it.
    pub fn is_a_stop(&self) -> bool {
        matches!(
            self,
            RetrainError::Stopped
                | RetrainError::Training(TrainingRunError::Stopped { .. } | TrainingRunError::StoppedEarly)
                | RetrainError::Comparison(ComparisonError::Stopped)
        )
    }
}
