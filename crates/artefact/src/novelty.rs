//! What a manifest says of novelty: how little an image resembles the generators that the model knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, Shapes};

/// What the manifest says of the statistics in the weights file: `novelty.mean`, `novelty.projection`,
/// `novelty.generators` and `novelty.quantiles`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// How the statistic is computed: "whitened-nearest-mean@1".
    pub statistic: String,
    /// Whether embeddings are scaled to length 1 first.
    pub unit: bool,
    /// Dimensions of the projection.
    pub dimensions: i64,
    /// Generators with a mean.
    pub generators: i64,
    /// Distances of known images, from the nearest to the farthest, at equal shares.
    pub quantiles: i64,
    /// null: distances alone count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Novelty at which a generator is called unknown.
    pub limit: f32,
}

/// Of known images: mean and deviation of the distance, and of the largest probability of a generator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Doubt {
    pub distance: (f32, f32),
    pub confidence: (f32, f32),
}

impl Doubt {
    /// How far the distance lies above its mean and the confidence below its own, in deviations.
    pub fn with(&self, distance: f32, confidence: f32) -> f32 {
        (distance - self.distance.0) / self.distance.1 + (self.confidence.0 - confidence) / self.confidence.1
    }
}

impl Known {
    pub const STATISTIC: &'static str = "whitened-nearest-mean@1";

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.statistic != Known::STATISTIC {
            return Err(format!(
                "novelty.statistic is {:?}; this version of assay computes {:?}",
                self.statistic,
                Known::STATISTIC
            ));
        }
        if self.dimensions < 1 || self.generators < 1 || self.quantiles < 2 || !(0.0..=1.0).contains(&self.limit) {
            return Err("novelty needs a dimension, a generator, two quantiles and a limit from 0 to 1".into());
        }
        if self.doubt.is_some_and(|doubt| !(doubt.distance.1 > 0.0 && doubt.confidence.1 > 0.0)) {
            return Err("novelty.doubt needs deviations above 0".into());
        }
        Ok(())
    }
}

/// The tensors that go with what the manifest says.
pub fn shapes(known: &Known, architecture: Architecture) -> Shapes {
    let embedding = architecture.embedding();
    Shapes::from([
        ("novelty.mean".into(), vec![embedding]),
        ("novelty.projection".into(), vec![known.dimensions, embedding]),
        ("novelty.generators".into(), vec![known.generators, known.dimensions]),
        ("novelty.quantiles".into(), vec![known.quantiles]),
    ])
}
