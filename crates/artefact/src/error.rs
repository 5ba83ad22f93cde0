//! Why a model can't be loaded, written or imported.

use std::path::PathBuf;

use crate::Misfit;

/// Why there is no detector.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "no model in {}: {detail}; make one with `assay model init --out DIR` or `assay model import CHECKPOINT --out DIR`, \
         and name its folder in detector.model", folder.display()
    )]
    NoModel { folder: PathBuf, detail: String },
    #[error(
        "the model is not signed by detector.public_key: {}: {detail}; have its maker sign it \
         (`minisign -S -m manifest.json`), or fetch it again", path.display()
    )]
    Signature { path: PathBuf, detail: String },
    #[error("the manifest {} is wrong: {detail}", path.display())]
    Manifest { path: PathBuf, detail: String },
    #[error("{} can't be read: {detail}", path.display())]
    Unreadable { path: PathBuf, detail: String },
    #[error("{} can't be written: {detail}", path.display())]
    Unwritable { path: PathBuf, detail: String },
    #[error("{} is not the file that its manifest names: its sha256 is {found} instead of {wanted}; fetch the model again", path.display())]
    Digest { path: PathBuf, wanted: String, found: String },
    #[error("{} does not fit the architecture: {misfit}", path.display())]
    Misfit { path: PathBuf, misfit: Misfit },
    #[error("the checkpoint {} can't be imported: {detail}", path.display())]
    Checkpoint { path: PathBuf, detail: String },
    #[error("{0}")]
    Device(String),
}
