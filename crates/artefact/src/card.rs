//! What those who use a model's scores must know of the model.

use domain::{Judge, ModelRef, Policy, ThresholdSettings, WorkerRef};

use crate::LabelSet;

/// Version, labels and policy of a model.
#[derive(Clone, Debug)]
pub struct Card {
    pub version: String,
    /// Of the weights file, lower-case hexadecimal.
    pub sha256: String,
    /// False for random weights.
    pub trained: bool,
    pub labels: LabelSet,
    pub policy: Policy,
}

impl Card {
    /// What turns this model's scores into verdicts, by these thresholds as far as they are set.
    pub fn judge(&self, device: &str, thresholds: ThresholdSettings) -> Judge {
        Judge {
            model: ModelRef {
                version: self.version.clone(),
                sha256: self.sha256.clone(),
                labels: self.labels.id.clone(),
                trained: self.trained,
            },
            policy: self.policy.clone(),
            thresholds,
            generators: self.labels.generators.clone(),
            worker: WorkerRef { version: env!("CARGO_PKG_VERSION").into(), device: device.into() },
        }
    }
}
