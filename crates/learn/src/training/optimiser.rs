//! From gradients to steps. All state is in plain sight, so that a job that was killed goes on as if it hadn't been.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::parameters::Parameters;
use engine::weights::Weights;

/// How a step follows from a gradient. Weight decay is for weights of convolutions and linear layers alone: norms and
/// biases, which have one dimension, are left out of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Rule {
    /// v = momentum · v + g + decay · w; w −= rate · v
    Sgd { momentum: f64, weight_decay: f64 },
    /// The same with a rate for each tensor: trust · |w| / |g + decay · w| (You et al., arXiv 1708.03888); plain SGD for
    /// norms and biases.
    Lars { momentum: f64, weight_decay: f64, trust: f64 },
    /// Adam with the decay apart from the gradient (Loshchilov and Hutter, arXiv 1711.05101).
    Adamw { beta1: f64, beta2: f64, weight_decay: f64 },
}

const ADAM_EPSILON: f64 = 1e-8;

/// A rule, and what it remembers of the steps so far.
#[derive(Debug)]
pub struct Optimiser {
    rule: Rule,
    /// Of each tensor that had a gradient: its momentum; for Adam the first and the second moment.
    first: BTreeMap<String, Tensor>,
    second: BTreeMap<String, Tensor>,
    steps: u64,
}

impl Optimiser {
    pub fn new(rule: Rule) -> Optimiser {
        Optimiser { rule, first: BTreeMap::new(), second: BTreeMap::new(), steps: 0 }
    }

    /// As [`Optimiser::state`] gave it after so many steps, beside these parameters.
    pub fn resume(rule: Rule, state: &Weights, steps: u64, parameters: &Parameters) -> Optimiser {
        let moments = |prefix: &str| {
            let like = |name: &str| parameters.trained().get(name).map(Tensor::device);
            let all = state.below(prefix);
            let moved = all.iter().filter_map(|(name, tensor)| Some((name.clone(), tensor.to_device(like(name)?))));
            moved.collect()
        };
        Optimiser { rule, first: moments("first."), second: moments("second."), steps }
    }

    /// `first.<tensor>` and `second.<tensor>`, on the CPU.
    pub fn state(&self) -> Weights {
        let mut state = Weights::default();
        for (prefix, moments) in [("first", &self.first), ("second", &self.second)] {
            for (name, tensor) in moments {
                state.insert(format!("{prefix}.{name}"), tensor.to_device(tch::Device::Cpu).contiguous().copy());
            }
        }
        state
    }

    /// Moves every parameter that has a gradient, each at its own rate.
    pub fn step(&mut self, parameters: &Parameters, rate: impl Fn(&str) -> f64) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        self.steps += 1;
        for (name, tensor) in parameters.trained() {
            let gradient = tensor.grad();
            if gradient.defined() {
                self.move_one(name, &mut tensor.shallow_clone(), &gradient, rate(name))?;
            }
        }
        Ok(())
    }

    fn move_one(&mut self, name: &str, tensor: &mut Tensor, gradient: &Tensor, rate: f64) -> Result<(), TchError> {
        let is_weight = tensor.dim() > 1;
        match self.rule {
            Rule::Sgd { momentum, weight_decay } => {
                let decayed = if is_weight { decay(gradient, tensor, weight_decay)? } else { gradient.shallow_clone() };
                let velocity = self.velocity(name, &decayed, momentum)?;
                let _ = tensor.f_sub_(&velocity.f_mul_scalar(rate)?)?;
            }
            Rule::Lars { momentum, weight_decay, trust } => {
                let scaled = if is_weight {
                    let decayed = decay(gradient, tensor, weight_decay)?;
                    let (weight, force) = (length(tensor)?, length(&decayed)?);
                    let own = if weight > 0.0 && force > 0.0 { trust * weight / force } else { 1.0 };
                    decayed.f_mul_scalar(own)?
                } else {
                    gradient.shallow_clone()
                };
                let velocity = self.velocity(name, &scaled, momentum)?;
                let _ = tensor.f_sub_(&velocity.f_mul_scalar(rate)?)?;
            }
            Rule::Adamw { beta1, beta2, weight_decay } => {
                if is_weight {
                    let _ = tensor.f_mul_scalar_(1.0 - rate * weight_decay)?;
                }
                let first = moment(&mut self.first, name, gradient, beta1)?;
                let second = moment(&mut self.second, name, &gradient.f_square()?, beta2)?;
                let steps = self.steps.min(1 << 30) as i32;
                let (unbiased1, unbiased2) = (1.0 - beta1.powi(steps), 1.0 - beta2.powi(steps));
                let size = second.f_sqrt()?.f_div_scalar(unbiased2.sqrt())?.f_add_scalar(ADAM_EPSILON)?;
                let _ = tensor.f_sub_(&first.f_div(&size)?.f_mul_scalar(rate / unbiased1)?)?;
            }
        }
        Ok(())
    }

    /// momentum · v + g, from now on
    fn velocity(&mut self, name: &str, gradient: &Tensor, momentum: f64) -> Result<Tensor, TchError> {
        if let Some(velocity) = self.first.get_mut(name) {
            let _ = velocity.f_mul_scalar_(momentum)?.f_add_(gradient)?;
            return Ok(velocity.shallow_clone());
        }
        self.first.insert(name.to_string(), gradient.copy());
        Ok(gradient.shallow_clone())
    }
}

fn decay(gradient: &Tensor, tensor: &Tensor, weight_decay: f64) -> Result<Tensor, TchError> {
    gradient.f_add(&tensor.f_mul_scalar(weight_decay)?)
}

fn length(tensor: &Tensor) -> Result<f64, TchError> {
    f64::try_from(tensor.f_norm()?.f_to_kind(Kind::Double)?)
}

/// β · m + (1 − β) · g, from now on
fn moment(
    moments: &mut BTreeMap<String, Tensor>,
    name: &str,
    gradient: &Tensor,
    beta: f64,
) -> Result<Tensor, TchError> {
    if !moments.contains_key(name) {
        moments.insert(name.to_string(), gradient.f_zeros_like()?);
    }
    let moment = moments.get_mut(name).expect("it was put there");
    let _ = moment.f_lerp_(gradient, 1.0 - beta)?;
    Ok(moment.shallow_clone())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// A matrix (1, 2) with gradient (0.5, −1) and a bias 1 with gradient 2.
    fn parameters() -> Parameters {
        let mut weights = Weights::default();
        weights.insert("layer.weight", Tensor::from_slice(&[1.0_f32, 2.0]).view([1, 2]));
        weights.insert("layer.bias", Tensor::from_slice(&[1.0_f32]));
        Parameters::new(&weights, Device::Cpu)
    }

    fn pull(parameters: &Parameters) {
        parameters.clear();
        let force = Tensor::from_slice(&[0.5_f32, -1.0]).view([1, 2]);
        let trained = parameters.trained();
        ((&trained["layer.weight"] * force).sum(Kind::Float) + (&trained["layer.bias"] * 2.0).sum(Kind::Float))
            .backward();
    }

    fn after(rule: Rule, steps: usize) -> Vec<f64> {
        let parameters = parameters();
        let mut optimiser = Optimiser::new(rule);
        for _ in 0..steps {
            pull(&parameters);
            optimiser.step(&parameters, |_| 0.1).unwrap();
        }
        values(&parameters)
    }

    fn values(parameters: &Parameters) -> Vec<f64> {
        let weights = parameters.weights();
        let all = Tensor::cat(&[weights.get("layer.weight").view(-1), weights.get("layer.bias").view(-1)], 0);
        Vec::<f64>::try_from(all.to_kind(Kind::Double)).unwrap()
    }

    fn near(found: &[f64], wanted: [f64; 3]) {
        assert!(found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-5), "{found:?} instead of {wanted:?}");
    }

    #[test]
    fn sgd_with_momentum_decays_weights_but_not_biases() {
        let rule = Rule::Sgd { momentum: 0.9, weight_decay: 0.1 };
        // g = (0.5, −1) + 0.1 · (1, 2) = (0.6, −0.8)
        near(&after(rule, 1), [0.94, 2.08, 0.8]);
        // v = 0.9 · (0.6, −0.8) + (0.594, −0.792) = (1.134, −1.512); bias: 0.9 · 2 + 2 = 3.8
        near(&after(rule, 2), [0.94 - 0.1134, 2.08 + 0.1512, 0.42]);
    }

    #[test]
    fn lars_steps_by_the_length_of_the_weight() {
        // |w| = √5, |g| = √1.25: 0.1 · 0.02 · 2 · (0.5, −1)
        near(&after(Rule::Lars { momentum: 0.0, weight_decay: 0.0, trust: 0.02 }, 1), [0.998, 2.004, 0.8]);
    }

    #[test]
    fn adamw_steps_by_the_sign_at_first() {
        let rule = Rule::Adamw { beta1: 0.9, beta2: 0.999, weight_decay: 0.5 };
        near(&after(rule, 1), [0.95 - 0.1, 1.9 + 0.1, 0.9]);
        near(&after(rule, 2), [0.85 * 0.95 - 0.1, 2.0 * 0.95 + 0.1, 0.8]);
    }

    #[test]
    fn going_on_from_a_state_is_not_to_have_stopped() {
        for rule in [
            Rule::Sgd { momentum: 0.9, weight_decay: 0.1 },
            Rule::Lars { momentum: 0.9, weight_decay: 0.1, trust: 0.02 },
            Rule::Adamw { beta1: 0.9, beta2: 0.99, weight_decay: 0.1 },
        ] {
            let first = parameters();
            let mut optimiser = Optimiser::new(rule);
            pull(&first);
            optimiser.step(&first, |_| 0.1).unwrap();
            let second = Parameters::new(&first.weights(), Device::Cpu);
            let mut optimiser = Optimiser::resume(rule, &optimiser.state(), 1, &second);
            pull(&second);
            optimiser.step(&second, |_| 0.1).unwrap();
            assert_eq!(values(&second), after(rule, 2), "{rule:?}");
        }
    }
}
