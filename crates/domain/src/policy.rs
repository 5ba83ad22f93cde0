//! From a score to a decision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether an image is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Real,
    Synthetic,
    /// Between the thresholds: a person should look.
    Uncertain,
}

impl Decision {
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Real => "real",
            Decision::Synthetic => "synthetic",
            Decision::Uncertain => "uncertain",
        }
    }
}

/// Platt scaling of the origin logit: probability = σ(scale · logit + bias).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub scale: f32,
    pub bias: f32,
}

/// Probabilities of synthetic between which the answer is [`Decision::Uncertain`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Thresholds {
    /// Below it: real.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low: f32,
    /// At it or above: synthetic.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { low: 0.35, high: 0.65 }
    }
}

/// How a model's scores are read: everything that turns a logit into a decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pub calibration: Option<Calibration>,
    pub thresholds: Thresholds,
    /// Novelty at which the generator is called `unknown`; `None` if the model has no novelty statistics.
    pub novelty_limit: Option<f32>,
}

impl Policy {
    /// Probability that the image is synthetic, 0 to 1.
    pub fn probability(&self, logit: f32) -> f32 {
        let logit = match self.calibration {
            Some(Calibration { scale, bias }) => scale * logit + bias,
            None => logit,
        };
        1.0 / (1.0 + (-logit).exp())
    }

    pub fn decide(&self, probability: f32) -> Decision {
        if probability >= self.thresholds.high {
            Decision::Synthetic
        } else if probability < self.thresholds.low {
            Decision::Real
        } else {
            // NaN too: a number that is none must not accuse anybody.
            Decision::Uncertain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thresholds_decide_between_real_uncertain_and_synthetic() {
        let policy = Policy::default();
        assert_eq!(policy.decide(0.0), Decision::Real);
        assert_eq!(policy.decide(0.35), Decision::Uncertain);
        assert_eq!(policy.decide(0.649), Decision::Uncertain);
        assert_eq!(policy.decide(0.65), Decision::Synthetic);
        assert_eq!(policy.decide(f32::NAN), Decision::Uncertain);
    }

    #[test]
    fn calibration_moves_the_probability() {
        let plain = Policy::default();
        assert!((plain.probability(0.0) - 0.5).abs() < 1e-6);
        let calibrated = Policy { calibration: Some(Calibration { scale: 2.0, bias: 1.0 }), ..plain.clone() };
        assert!((calibrated.probability(1.0) - plain.probability(3.0)).abs() < 1e-6);
    }
}
