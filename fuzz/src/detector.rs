//! The artefact's and the checkpoint's readers, without libtorch: weights are never opened here.

#[path = "../../src/detector/architecture.rs"]
pub mod architecture;
#[path = "../../src/detector/manifest.rs"]
pub mod manifest;
#[path = "../../src/detector/pickle/mod.rs"]
pub mod pickle;
#[path = "../../src/detector/signature.rs"]
mod signature;
pub mod weights;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::moderation::{Generator, Policy};

/// As in `src/detector/mod.rs`, like what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSet {
    pub id: String,
    pub generators: Vec<Generator>,
}

#[derive(Clone, Debug)]
pub struct Card {
    pub version: String,
    pub sha256: String,
    pub trained: bool,
    pub labels: LabelSet,
    pub policy: Policy,
}

#[derive(Debug)]
pub enum LoadError {
    NoModel { folder: PathBuf, detail: String },
    Signature { path: PathBuf, detail: String },
    Manifest { path: PathBuf, detail: String },
    Unwritable { path: PathBuf, detail: String },
    Digest { path: PathBuf, wanted: String, found: String },
    Misfit { path: PathBuf, misfit: weights::Misfit },
}
