//! `[registry]` of the configuration.

use serde::Deserialize;

/// Where model versions lie, and how often promotions are looked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A folder, or `s3://bucket/prefix`.
    pub store: String,
    /// Where artefacts of an object store are kept on this machine.
    pub cache: String,
    pub poll_s: u64,
}

impl Settings {
    /// What the types do not hold; the error names the key and how to fix it.
    pub fn validate(&self) -> Result<(), String> {
        let place = self.store.strip_prefix("s3://");
        if self.store.is_empty() || place.is_some_and(|place| place.is_empty() || place.starts_with('/')) {
            return Err(format!("registry.store = {:?} must be a folder or s3://bucket/prefix", self.store));
        }
        if place.is_some() && self.cache.is_empty() {
            return Err("registry.cache must name a folder where registry.store is in an object store".into());
        }
        if self.poll_s == 0 {
            return Err("registry.poll_s must be at least 1".into());
        }
        Ok(())
    }
}
