//! Why a model can't be loaded, written or imported.

use std::path::PathBuf;

use crate::Misfit;

/// An error of another library, or a sentence of our own.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no detector.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "no model in {}: {cause}; name the shipped one in detector.model (models/small of the \
         sources; also looked for beside the program and in ASSAY_HOME), or make one by `assay model import CHECKPOINT --out DIR`", folder.display()
    )]
    NoModel {
        folder: PathBuf,
        #[source]
        cause: Cause,
    },
    #[error(
        "the model is not signed by detector.public_key: {}: {cause}; have its maker sign it \
         (`minisign -S -m manifest.json`), or fetch it again", path.display()
    )]
    Signature {
        path: PathBuf,
        #[source]
        cause: Cause,
    },
    #[error("the manifest {} is wrong: {detail}", path.display())]
    Manifest { path: PathBuf, detail: String },
    #[error("{} can't be read: {cause}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: Cause,
    },
    #[error("{} can't be written: {cause}", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        cause: Cause,
    },
    #[error("{} is not the file that its manifest names: its sha256 is {found} instead of {wanted}; fetch the model again", path.display())]
    Digest { path: PathBuf, wanted: String, found: String },
    #[error("{} does not fit the architecture: {misfit}", path.display())]
    Misfit { path: PathBuf, misfit: Box<Misfit> },
    #[error("the checkpoint {} can't be imported: {cause}", path.display())]
    Checkpoint {
        path: PathBuf,
        #[source]
        cause: Cause,
    },
}
