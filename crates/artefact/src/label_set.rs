//! The names that a model can give.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::Generator;

/// The classes of the generator classifier, in the order of its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelSet {
    /// Name and revision, for instance `imaginet-4@1`.
    pub id: String,
    pub generators: Vec<Generator>,
}

impl LabelSet {
    /// No generator classifier.
    pub fn none() -> LabelSet {
        LabelSet { id: "none@1".into(), generators: Vec::new() }
    }

    /// The four families that ImagiNet's identification track tells apart, in the order of its annotations.
    pub fn imaginet() -> LabelSet {
        let generator = |name: &str| Generator { label: name.into(), family: name.into() };
        let generators = ["gan", "stable-diffusion", "midjourney", "dall-e-3"].map(generator).to_vec();
        LabelSet { id: "imaginet-4@1".into(), generators }
    }
}
