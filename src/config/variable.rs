//! How keys are called in the environment.

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("ASSAY__{}", key.to_uppercase().replace('.', "__"))
}
