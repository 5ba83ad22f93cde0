//! An unfinished training on disk, so that one that is killed goes on from its last checkpoint.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use artefact::LoadError;
use engine::weights::Weights;

const RECORD: &str = "progress.json";

/// A folder with `progress.json` and the state that it names. The record is replaced in one move, after the state is
/// safely on disk: a reader finds the old pair or the new one.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Of everything that the training follows from: recipe, architecture, images, labels and first weights.
    pub training: String,
    pub steps: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Mean loss of each finished epoch.
    pub losses: Vec<f64>,
    /// The file with the state.
    pub state: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint in {} can't be read: {source}; delete the folder to begin anew", folder.display())]
    Unreadable {
        folder: PathBuf,
        #[source]
        source: Cause,
    },
    #[error("a checkpoint can't be written to {}: {source}", folder.display())]
    Unwritable {
        folder: PathBuf,
        #[source]
        source: Cause,
    },
}

/// Of the record or of the state.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Weights(#[from] LoadError),
}

impl Checkpoint {
    /// `<out>.partial`, beside what is to be made.
    pub fn beside(out: &Path) -> Checkpoint {
        let mut name = out.as_os_str().to_owned();
        name.push(".partial");
        Checkpoint { folder: PathBuf::from(name) }
    }

    /// Of a part of the work, within this one.
    pub fn part(&self, name: &str) -> Checkpoint {
        Checkpoint { folder: self.folder.join(name) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last checkpoint; `None` if there is none.
    pub fn read(&self) -> Result<Option<(Progress, Weights)>, CheckpointError> {
        self.try_read().map_err(|source| CheckpointError::Unreadable { folder: self.folder.clone(), source })
    }

    /// Makes this the last checkpoint. `progress.state` is named here.
    pub fn write(&self, progress: Progress, state: &Weights) -> Result<(), CheckpointError> {
        let written = self.try_write(progress, state);
        written.map_err(|source| CheckpointError::Unwritable { folder: self.folder.clone(), source })
    }

    /// The training is finished, or begins anew.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn try_read(&self) -> Result<Option<(Progress, Weights)>, Cause> {
        let text = match std::fs::read(self.folder.join(RECORD)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let progress: Progress = serde_json::from_slice(&text)?;
        let (state, _) = Weights::read(&self.folder.join(&progress.state))?;
        Ok(Some((progress, state)))
    }

    fn try_write(&self, mut progress: Progress, state: &Weights) -> Result<(), Cause> {
        std::fs::create_dir_all(&self.folder)?;
        progress.state = format!("state-{:09}.safetensors", progress.steps);
        let path = self.folder.join(&progress.state);
        state.write(&path)?;
        let text = serde_json::to_vec_pretty(&progress)?;
        File::open(&path)?.sync_all()?;
        artefact::persist(&self.folder.join(RECORD), &text)?;
        // States that no record names: the one before, and what a kill left half written.
        for entry in std::fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("state-") && name != progress.state {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::untrained;

    fn state(seed: u64) -> Weights {
        untrained::weights("resnet18-nodown-16".parse().unwrap(), 0, seed as i64).below("origin.4.")
    }

    fn progress(steps: u64) -> Progress {
        Progress { training: "t".into(), steps, seconds: 1.5, losses: vec![0.5], state: String::new() }
    }

    #[test]
    fn only_the_last_checkpoint_is_kept_and_read() {
        let out = std::env::temp_dir().join(format!("assay-checkpoint-{}", uuid::Uuid::new_v4()));
        let checkpoint = Checkpoint::beside(&out);
        assert!(checkpoint.read().unwrap().is_none());
        for steps in [1, 2] {
            checkpoint.write(progress(steps), &state(steps)).unwrap();
        }
        // What a kill in the middle of writing the third leaves behind.
        std::fs::write(checkpoint.folder().join("state-000000003.safetensors"), b"half").unwrap();
        let (found, read) = checkpoint.read().unwrap().unwrap();
        assert_eq!((found.steps, read.sha256()), (2, state(2).sha256()));
        assert!(!checkpoint.folder().join("state-000000001.safetensors").exists());
        std::fs::write(checkpoint.folder().join(&found.state), b"spoiled").unwrap();
        assert!(checkpoint.read().unwrap_err().to_string().contains("delete the folder"));
        checkpoint.remove();
        assert!(!checkpoint.folder().exists());
    }
}
