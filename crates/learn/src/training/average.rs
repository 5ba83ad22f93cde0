//! The moving average of all weights, which often judges better than the weights of the last step.

use std::collections::BTreeMap;

use tch::{Device, TchError, Tensor};

use super::parameters::Parameters;
use engine::weights::Weights;

/// a = d · a + (1 − d) · w after each step, with d = min(decay, (1 + steps) / (10 + steps)), so that the random start is
/// soon forgotten.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    tensors: BTreeMap<String, Tensor>,
}

impl Average {
    /// From where the parameters are.
    pub fn new(decay: f64, parameters: &Parameters) -> Average {
        let _no_grad = tch::no_grad_guard();
        Average { decay, tensors: parameters.all().map(|(name, tensor)| (name.clone(), tensor.copy())).collect() }
    }

    /// As [`Average::weights`] gave it.
    pub fn resume(decay: f64, weights: &Weights, parameters: &Parameters) -> Average {
        let mut average = Average::new(decay, parameters);
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
        let decay = self.decay.min((1 + steps) as f64 / (10 + steps) as f64);
        for (name, tensor) in parameters.all() {
            if let Some(average) = self.tensors.get_mut(name) {
                let _ = average.f_lerp_(tensor, 1.0 - decay)?;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_at_its_own_pace() {
        let mut weights = Weights::default();
        weights.insert("a", Tensor::from_slice(&[1.0_f32]));
        let parameters = Parameters::new(&weights, Device::Cpu);
        let mut average = Average::new(0.5, &parameters);
        let value = |average: &Average| f64::try_from(average.weights().get("a")).unwrap();
        let _ = tch::no_grad(|| parameters.trained()["a"].shallow_clone().fill_(3.0));
        // The second step's own decay is 3/12, below the 0.5 that was asked for.
        average.follow(&parameters, 2).unwrap();
        assert!((value(&average) - 2.5).abs() < 1e-6);
        average.follow(&parameters, 1000).unwrap();
        assert!((value(&average) - 2.75).abs() < 1e-6);
        let again = Average::resume(0.5, &average.weights(), &parameters);
        assert_eq!(value(&again), value(&average));
    }
}
