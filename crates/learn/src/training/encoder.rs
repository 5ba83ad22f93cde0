//! The first stage: an encoder, step by step, from batches to weights.

use serde::{Deserialize, Serialize};
use tch::TchError;

use super::average::{Average, AverageStart};
use super::batch::Batch;
use super::folds::FoldError;
use super::gradients;
use super::network::Network;
use super::objective::Objective;
use super::optimiser::{Optimiser, Rule};
use super::parameters::{Norms, Parameters};
use super::sampling::Sampling;
use super::schedule::Schedule;
use artefact::Architecture;
use engine::conv::Placement;
use engine::weights::Weights;

/// `[encoder]` of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub objective: Objective,
    pub epochs: u64,
    /// Images of one step.
    pub batch: usize,
    /// Of these in the network at a time; 0 for all, which takes the most memory and the least time.
    #[serde(default)]
    pub chunk: usize,
    pub norms: PlannedNorms,
    #[serde(default)]
    pub sampling: Sampling,
    pub optimiser: Rule,
    pub schedule: Schedule,
    /// Whether the classifiers are trained first, on the encoder as it is given: cross-entropy then has no random heads to
    /// pull at a good encoder (LP-FT: Kumar et al., arXiv 2202.10054).
    #[serde(default)]
    pub heads_first: bool,
    #[serde(default)]
    pub paces: Paces,
    /// Decay of the moving average that becomes the encoder; `None`: the weights of the last step do.
    #[serde(default)]
    pub average: Option<f64>,
    #[serde(default)]
    pub average_start: AverageStart,
}

/// Shares of the schedule's rate, by depth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paces {
    /// Of each layer, compared with the one above it: what lies near the pixels is general, and should change less.
    pub layer: f64,
    /// Of classifiers and projections, compared with the last layer.
    pub heads: f64,
}

impl Default for Paces {
    fn default() -> Paces {
        Paces { layer: 1.0, heads: 1.0 }
    }
}

impl Paces {
    /// The share of a tensor.
    pub fn of(&self, name: &str) -> f64 {
        let Some(part) = name.strip_prefix("encoder.") else { return self.heads };
        // The stem lies below the first layer, the sub-network beside the heads.
        let layer = part.strip_prefix("layer").and_then(|rest| rest[..1].parse::<i32>().ok());
        match layer {
            Some(layer) => self.layer.powi(4 - layer),
            None if part.starts_with("selfcon") => self.heads,
            None => self.layer.powi(4),
        }
    }
}

/// What batch norms do while the encoder trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedNorms {
    /// They normalise by each batch (each chunk, where it is cut) and remember.
    Batch,
    /// They keep the statistics of the weights that training began with: for fine-tuning with few images.
    Frozen,
}

/// Why training can't go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error("the network failed: {}", first_line(.0))]
    Network(#[from] TchError),
    #[error("the loss of step {step} is no number; lower schedule.rate in the recipe")]
    Diverged { step: u64 },
    #[error("{0}")]
    TooLittle(String),
    #[error(transparent)]
    Folds(#[from] FoldError),
}

/// The C++ stack trace that follows tells nobody anything.
fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

/// An encoder in training.
#[derive(Debug)]
pub struct Encoder {
    plan: Plan,
    network: Network,
    optimiser: Optimiser,
    average: Option<Average>,
    steps: u64,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub loss: f64,
    pub rate: f64,
}

impl Encoder {
    /// From weights that [`Weights::check`] has found complete.
    pub fn new(plan: Plan, weights: &Weights, architecture: Architecture, place: Placement) -> Encoder {
        let network = Network::new(weights, architecture, place);
        let average = plan.average.map(|decay| Average::new(decay, plan.average_start, &network.parameters));
        Encoder { plan, optimiser: Optimiser::new(plan.optimiser), network, average, steps: 0 }
    }

    /// As it was when it gave this state after so many steps.
    pub fn resume(plan: Plan, state: &Weights, steps: u64, architecture: Architecture, place: Placement) -> Encoder {
        let network = Network::new(&state.below("network."), architecture, place);
        let resumed = |decay| Average::resume(decay, plan.average_start, &state.below("average."), &network.parameters);
        let average = plan.average.map(resumed);
        let optimiser = Optimiser::resume(plan.optimiser, &state.below("optimiser."), steps, &network.parameters);
        Encoder { plan, network, optimiser, average, steps }
    }

    /// Everything that the next step depends on, beside its batch and the number of steps so far.
    pub fn state(&self) -> Weights {
        let mut state = self.network.parameters.weights().under("network.");
        state.extend(self.optimiser.state().under("optimiser."));
        if let Some(average) = &self.average {
            state.extend(average.weights().under("average."));
        }
        state
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Learns from one batch; `steps` is how many there will have been in the end.
    pub fn step(&mut self, batch: &Batch, steps: u64) -> Result<Step, TrainingError> {
        let norms = match self.plan.norms {
            PlannedNorms::Batch => Norms::Moving,
            PlannedNorms::Frozen => Norms::Frozen,
        };
        let rate = self.plan.schedule.at(self.steps, steps);
        let parameters: &Parameters = &self.network.parameters;
        parameters.clear();
        let loss = gradients::of_batch(&self.network, self.plan.objective, batch, norms, self.plan.chunk)?;
        if !loss.is_finite() {
            return Err(TrainingError::Diverged { step: self.steps });
        }
        self.optimiser.step(parameters, |name| rate * self.plan.paces.of(name))?;
        self.steps += 1;
        if let Some(average) = &mut self.average {
            average.follow(parameters, self.steps)?;
        }
        Ok(Step { loss, rate })
    }

    /// The network as it would serve now.
    pub fn weights(&self) -> Weights {
        self.average.as_ref().map_or_else(|| self.network.parameters.weights(), Average::weights)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::training::testing::{self, furthest};

    const PLACE: Placement = Placement { device: Device::Cpu, kind: Kind::Float };

    fn plan() -> Plan {
        Plan {
            objective: Objective::Selfcon { temperature: 0.1, generators: 1.0 },
            epochs: 1,
            batch: 12,
            chunk: 5,
            norms: PlannedNorms::Batch,
            sampling: Sampling::Plain,
            heads_first: false,
            paces: Paces::default(),
            optimiser: Rule::Adamw { beta1: 0.9, beta2: 0.99, weight_decay: 1e-4 },
            schedule: Schedule { rate: 2e-3, warm_up: 0.0, floor: 0.0 },
            average: Some(0.9),
            average_start: AverageStart::Ramp,
        }
    }

    #[test]
    fn the_loss_falls() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let mut encoder = Encoder::new(plan(), &testing::weights(architecture, 3), architecture, PLACE);
        let batch = testing::batch(12, 16, 1);
        let losses: Vec<f64> = (0..8).map(|_| encoder.step(&batch, 8).unwrap().loss).collect();
        assert!(losses[7] < 0.8 * losses[0], "{losses:?}");
    }

    #[test]
    fn going_on_from_a_state_gives_the_same_as_not_stopping() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let mut encoder = Encoder::new(plan(), &testing::weights(architecture, 3), architecture, PLACE);
        let batches = [testing::batch(6, 16, 1), testing::batch(8, 16, 1)];
        encoder.step(&batches[0], 2).unwrap();
        let mut resumed = Encoder::resume(plan(), &encoder.state(), encoder.steps(), architecture, PLACE);
        assert_eq!(encoder.step(&batches[1], 2).unwrap(), resumed.step(&batches[1], 2).unwrap());
        let (straight, resumed) = (encoder.weights(), resumed.weights());
        for (name, tensor) in straight.iter() {
            assert_eq!(furthest(tensor, resumed.get(name)), 0.0, "{name}");
        }
    }

    #[test]
    fn layers_near_the_pixels_have_smaller_rates() {
        let paces = Paces { layer: 0.5, heads: 3.0 };
        let found =
            ["origin.1.weight", "encoder.layer4.0.conv1.weight", "encoder.layer3.1.bn1.bias", "encoder.conv1.weight"];
        assert_eq!(found.map(|name| paces.of(name)), [3.0, 1.0, 0.5, 0.0625]);
        assert_eq!(paces.of("encoder.selfcon_layer.1.bias"), 3.0);
    }

    #[test]
    fn a_rate_that_is_too_high_ends_the_training_with_its_name() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let mut wild = plan();
        wild.optimiser = Rule::Sgd { momentum: 0.0, weight_decay: 0.0 };
        wild.schedule.rate = 1e30;
        let mut encoder = Encoder::new(wild, &testing::weights(architecture, 3), architecture, PLACE);
        let batch = testing::batch(6, 16, 1);
        let error = (0..4).find_map(|_| encoder.step(&batch, 4).err()).unwrap().to_string();
        assert!(error.contains("schedule.rate"), "{error}");
    }
}
