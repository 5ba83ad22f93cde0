//! Model versions.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

/// A version that is to be registered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewModel {
    pub version: String,
    /// Of the weights file, lower-case hexadecimal.
    pub sha256: String,
    /// A folder, or `s3://bucket/prefix`.
    pub location: String,
    /// `manifest.json`, byte for byte.
    pub manifest: String,
    pub metrics: Value,
    /// The version that it was trained from.
    pub parent: Option<String>,
    pub actor: String,
}

/// A registered version.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub entry: NewModel,
    pub registered_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    New,
    /// The very same was registered before.
    Known,
}
