//! Why a run did not come to a decision.

use std::path::{Path, PathBuf};

use super::BeginError;
use super::comparison::ComparisonError;
use super::course::CourseError;
use super::fetch::CacheError;
use artefact::LoadError;
use database::DatabaseError;
use decoder::StartError;
use engine::golden::GoldenError;
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
    Cache(#[from] CacheError),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error(transparent)]
    Course(#[from] CourseError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error("{} can't be written: {detail}", path.display())]
    Unwritable { path: PathBuf, detail: String },
    #[error("stopped; the next run goes on from the last checkpoint")]
    Stopped,
    #[error("the work broke down: {0}")]
    Broken(String),
}

impl RetrainError {
    pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> RetrainError {
        RetrainError::Unwritable { path: path.to_owned(), detail: error.to_string() }
    }

    /// Whether somebody asked for it.
    pub fn is_a_stop(&self) -> bool {
        matches!(
            self,
            RetrainError::Stopped
                | RetrainError::Course(CourseError::Stopped { .. } | CourseError::StoppedEarly)
                | RetrainError::Comparison(ComparisonError::Stopped)
        )
    }
}
