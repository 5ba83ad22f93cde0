//! The self-test of an artefact: what the model said of computed images when it was made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model said of computed images when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// How the images are computed: "ramps@1".
    pub images: String,
    /// Origin logits, in the order of the images.
    pub logits: Vec<f32>,
    /// Probabilities of the generators.
    pub generators: Vec<Vec<f32>>,
}
