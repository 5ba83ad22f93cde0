//! What the detector says about one image, before any decision.

/// The raw answer of the network for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Origin logit: above 0 leans synthetic, below 0 leans real. Uncalibrated.
    pub logit: f32,
    /// Softmax over the label set of the model, in its order; empty if the model has no generator classifier.
    pub generators: Vec<f32>,
    /// How little the image resembles any known generator, 0 (well known) to 1 (never seen);
    /// `None` if the model carries no novelty statistics.
    pub novelty: Option<f32>,
}
