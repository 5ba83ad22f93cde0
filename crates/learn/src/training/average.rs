//! The moving average of all weights, which often judges better than the weights of the last step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::parameters::Parameters;
use artefact::Manifest;
use engine::weights::Weights;

/// How the average gets away from where training began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AverageStart {
    /// a = d · a + (1 − d) · w with d = min(decay, (1 + steps) / (10 + steps)): a random start is soon forgotten, but a window
    /// is never longer than a ninth of the steps so far.
    #[default]
    Ramp,
    /// With the bias corrected, as Adam's: all steps so far count as if the average had begun with the first of them. For good
    /// starts and long windows (a decay of 0.998 averages over 500 steps).
    Corrected,
}

/// An exponential moving average of all weights.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    start: AverageStart,
    tensors: BTreeMap<String, Tensor>,
}

impl Average {
    /// From where the parameters are.
    pub fn new(decay: f64, start: AverageStart, parameters: &Parameters) -> Average {
        let _no_grad = tch::no_grad_guard();
        let tensors = parameters.all().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        Average { decay, start, tensors }
    }

    /// As [`Average::weights`] gave it.
    pub fn resume(decay: f64, start: AverageStart, weights: &Weights, parameters: &Parameters) -> Average {
        let mut average = Average::new(decay, start, parameters);
        for (name, tensor) in &mut average.tensors {
            if let Some(stored) = weights.find(name) {
                tensor.copy_(stored);
            }
        }
        average
    }

    /// After step number `steps`, counted from 1.
    pub fn follow(&mut self, parameters: &Parameters, steps: u64) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        let share = self.share_of_step(steps);
        for (name, tensor) in parameters.all() {
            if let Some(average) = self.tensors.get_mut(name) {
                let _ = average.f_lerp_(tensor, share)?;
            }
        }
        Ok(())
    }

    /// How much of the average the weights after this step are.
    fn share_of_step(&self, steps: u64) -> f64 {
        match self.start {
            AverageStart::Ramp => 1.0 - self.decay.min((1 + steps) as f64 / (10 + steps) as f64),
            AverageStart::Corrected => {
                // By multiplications alone, which are the same on every machine.
                let all = (0..steps.min(100_000)).fold(1.0, |power, _| power * self.decay);
                (1.0 - self.decay) / (1.0 - all).max(f64::MIN_POSITIVE)
            }
        }
    }

    /// On the CPU.
    pub fn weights(&self) -> Weights {
        let _no_grad = tch::no_grad_guard();
        let mut weights = Weights::default();
        for (name, tensor) in &self.tensors {
            weights.insert(name.clone(), tensor.detach().to_device(Device::Cpu).contiguous().copy());
        }
        weights
    }
}

/// Why several models have no mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeanError {
    #[error("there is no model to take the mean of")]
    None,
    #[error(
        "{one} and {other} differ in their {what}; only models of one recipe, one start and the same classes, with different \
         seeds, have a mean that is a model"
    )]
    Different { one: String, other: String, what: &'static str },
    #[error("tensor {name} of {version} is missing or has another shape than in the first model")]
    Misfit { version: String, name: String },
}

/// The mean of the weights of several models of one recipe, in 32 bits ("model soup": Wortsman et al., arXiv 2203.05482).
/// Statistics of novelty have no mean; they and the calibration are fitted anew, on what the mean says.
pub fn mean_of(models: &[(&Manifest, &Weights)]) -> Result<Weights, MeanError> {
    let Some(((first, weights), others)) = models.split_first() else { return Err(MeanError::None) };
    for (other, _) in others {
        let differ = |what| MeanError::Different { one: first.version.clone(), other: other.version.clone(), what };
        if first.architecture != other.architecture {
            return Err(differ("architecture"));
        }
        if first.labels.id != other.labels.id {
            return Err(differ("classes"));
        }
        if first.lineage.parent != other.lineage.parent {
            return Err(differ("start"));
        }
        if without_seed(first) != without_seed(other) {
            return Err(differ("recipe"));
        }
    }
    let _no_grad = tch::no_grad_guard();
    let mut mean = Weights::default();
    for (name, tensor) in weights.iter().filter(|(name, _)| !name.starts_with("novelty.")) {
        // In 64 bits, so that the order of the models does not matter.
        let mut sum = tensor.to_kind(Kind::Double);
        for (manifest, other) in others {
            let fits = other.find(name).filter(|other| other.size() == tensor.size());
            let misfit = || MeanError::Misfit { version: manifest.version.clone(), name: name.clone() };
            sum += fits.ok_or_else(misfit)?.to_kind(Kind::Double);
        }
        mean.insert(name.clone(), (sum / models.len() as f64).to_kind(Kind::Float));
    }
    Ok(mean)
}

fn without_seed(manifest: &Manifest) -> Option<serde_json::Value> {
    let mut recipe = manifest.lineage.recipe.clone()?;
    recipe.as_object_mut()?.remove("seed");
    Some(recipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::testing;

    #[test]
    fn a_ramp_forgets_the_start_before_the_decay_is_reached() {
        let mut weights = Weights::default();
        weights.insert("a", Tensor::from_slice(&[1.0_f32]));
        let parameters = Parameters::new(&weights, Device::Cpu);
        let mut average = Average::new(0.5, AverageStart::Ramp, &parameters);
        let value = |average: &Average| f64::try_from(average.weights().get("a")).unwrap();
        let _ = tch::no_grad(|| parameters.trained()["a"].shallow_clone().fill_(3.0));
        // The second step's own decay is 3/12, below the 0.5 that was asked for.
        average.follow(&parameters, 2).unwrap();
        assert!((value(&average) - 2.5).abs() < 1e-6);
        average.follow(&parameters, 1000).unwrap();
        assert!((value(&average) - 2.75).abs() < 1e-6);
        let again = Average::resume(0.5, AverageStart::Ramp, &average.weights(), &parameters);
        assert_eq!(value(&again), value(&average));
    }

    #[test]
    fn with_its_bias_corrected_an_average_is_that_of_all_steps_from_the_first() {
        let mut weights = Weights::default();
        weights.insert("a", Tensor::from_slice(&[1.0_f32]));
        let parameters = Parameters::new(&weights, Device::Cpu);
        let mut average = Average::new(0.998, AverageStart::Corrected, &parameters);
        for step in 1..=100_u64 {
            let _ = tch::no_grad(|| parameters.trained()["a"].shallow_clone().fill_(step as f64));
            average.follow(&parameters, step).unwrap();
        }
        let shares: Vec<f64> = (1..=100).map(|step| 0.998_f64.powi(100 - step)).collect();
        let sum: f64 = shares.iter().zip(1..).map(|(share, step)| share * f64::from(step)).sum();
        let wanted = sum / shares.iter().sum::<f64>();
        let found = f64::try_from(average.weights().get("a")).unwrap();
        assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
        assert!((average.share_of_step(1) - 1.0).abs() < 1e-12);
        assert!((average.share_of_step(10_000) - 0.002).abs() < 1e-9);
    }

    fn model(seed: u64, value: f32, version: &str) -> (Manifest, Weights) {
        let mut manifest = testing::manifest(version);
        manifest.lineage.recipe = Some(serde_json::json!({"seed": seed, "classes": "families"}));
        let mut weights = Weights::default();
        weights.insert("a", Tensor::from_slice(&[value, 2.0 * value]));
        weights.insert("novelty.mean", Tensor::from_slice(&[value]));
        (manifest, weights)
    }

    #[test]
    fn models_of_one_recipe_and_several_seeds_have_a_mean() {
        let (one, two) = (model(1, 1.0, "one"), model(2, 4.0, "two"));
        let mean = mean_of(&[(&one.0, &one.1), (&two.0, &two.1)]).unwrap();
        assert_eq!(Vec::<f32>::try_from(mean.get("a")).unwrap(), [2.5, 5.0]);
        assert!(mean.find("novelty.mean").is_none());
        assert_eq!(mean_of(&[]).unwrap_err(), MeanError::None);
    }

    #[test]
    fn models_that_differ_in_more_than_the_seed_are_refused_by_name() {
        let one = model(1, 1.0, "one");
        let refused =
            |other: &(Manifest, Weights)| mean_of(&[(&one.0, &one.1), (&other.0, &other.1)]).unwrap_err().to_string();
        let mut other = model(2, 1.0, "two");
        other.0.lineage.recipe = Some(serde_json::json!({"seed": 2, "classes": "generators"}));
        assert!(refused(&other).contains("one and two differ in their recipe"));
        let mut other = model(2, 1.0, "two");
        other.0.lineage.parent = Some("another".into());
        assert!(refused(&other).contains("start"));
        let mut other = model(2, 1.0, "two");
        other.1.insert("a", Tensor::from_slice(&[1.0_f32]));
        assert!(refused(&other).contains("tensor a of two"));
    }
}
