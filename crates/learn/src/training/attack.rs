//! The least change of pixels that turns a network's judgement: projected gradient descent (Madry et al., arXiv 1706.06083)
//! within a few levels of every pixel, by somebody who knows all weights.

use tch::{Kind, Tensor};

use super::encoder::TrainingError;
use super::heads;
use super::network::Network;
use super::parameters::Norms;
use artefact::Architecture;
use augment::Rng;
use engine::conv::Placement;
use engine::pixels::Pixels;
use engine::weights::Weights;

/// A step is this many times the farthest change, divided by the number of steps: far enough to reach every corner of what
/// is allowed, as in the paper's experiments.
const REACH: f64 = 2.5;
/// Images in the network at a time on a GPU; their activations are kept for the gradients. On a CPU one is fastest.
const ON_GPU: usize = 8;

/// What the attacker may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Levels of 255 by which each value of a pixel may differ.
    pub epsilon: u8,
    pub steps: u32,
}

/// A network whose weights are known and stay as they are.
#[derive(Debug)]
pub struct Attack {
    network: Network,
    pixels: Pixels,
    place: Placement,
}

impl Attack {
    /// From weights that [`Weights::check`] has found complete. The gradients are fp32, whatever the engine computes in.
    pub fn new(weights: &Weights, architecture: Architecture, place: Placement) -> Attack {
        let place = Placement { kind: Kind::Float, ..place };
        let network = Network::new(weights, architecture, place);
        network.parameters.freeze();
        Attack { network, pixels: Pixels::new(place), place }
    }

    /// Attacked images: as many bytes as in `bytes`, which holds RGB of `side × side` for each of `synthetic`, that is what
    /// they really are. None differs by more than the budget allows. Where a search begins follows from the seed and the image.
    pub fn on(
        &self,
        bytes: &[u8],
        side: usize,
        synthetic: &[bool],
        budget: Budget,
        seed: u64,
    ) -> Result<Vec<u8>, TrainingError> {
        if budget.epsilon == 0 || budget.steps == 0 {
            return Ok(bytes.to_vec());
        }
        let at_once = if self.place.device.is_cuda() { ON_GPU } else { 1 };
        let mut attacked = Vec::with_capacity(bytes.len());
        for (bytes, synthetic) in bytes.chunks(at_once * side * side * 3).zip(synthetic.chunks(at_once)) {
            attacked.extend(self.on_some(bytes, side, synthetic, budget, seed)?);
        }
        Ok(attacked)
    }

    fn on_some(
        &self,
        bytes: &[u8],
        side: usize,
        synthetic: &[bool],
        budget: Budget,
        seed: u64,
    ) -> Result<Vec<u8>, TrainingError> {
        let shape = [synthetic.len() as i64, side as i64, side as i64, 3];
        let of_device = |tensor: Tensor| tensor.f_view(shape)?.f_to_device(self.place.device)?.f_to_kind(Kind::Float);
        let own = of_device(Tensor::f_from_slice(bytes)?)?;
        let epsilon = f64::from(budget.epsilon);
        let low = own.f_sub_scalar(epsilon)?.f_clamp_min(0.0)?;
        let high = own.f_add_scalar(epsilon)?.f_clamp_max(255.0)?;
        // The wrong side of each: up for real images, down for synthetic ones. Only the gradient's sign counts, which for the
        // logit is the same as for the loss of the truth; but where the network is sure, that loss is flat.
        let wrong: Vec<f32> = synthetic.iter().map(|&synthetic| if synthetic { -1.0 } else { 1.0 }).collect();
        let wrong = Tensor::f_from_slice(&wrong)?.f_to_device(self.place.device)?;
        let begin = of_device(Tensor::f_from_slice(&starts(bytes, side, budget.epsilon, seed))?)?;
        let mut x = own.f_add(&begin)?.f_clamp_tensor(Some(&low), Some(&high))?;
        let step = REACH * epsilon / f64::from(budget.steps);
        for _ in 0..budget.steps {
            let leaf = x.f_detach()?.f_set_requires_grad(true)?;
            let logits = self.logits(&leaf)?;
            logits.f_mul(&wrong)?.f_sum(Kind::Float)?.f_backward()?;
            let uphill = leaf.f_grad()?.f_sign()?.f_mul_scalar(step)?;
            x = leaf.f_detach()?.f_add(&uphill)?.f_clamp_tensor(Some(&low), Some(&high))?;
        }
        // Both bounds are whole, so that whole levels lie within them too.
        let whole = x.f_round()?.f_to_kind(Kind::Uint8)?.f_to_device(tch::Device::Cpu)?;
        Ok(Vec::try_from(&whole.f_contiguous()?.f_view([-1])?)?)
    }

    /// Of the origin, for pixels `[n, side, side, 3]` in levels from 0 to 255.
    fn logits(&self, levels: &Tensor) -> Result<Tensor, TrainingError> {
        let features = self.network.features(&self.pixels.normalise(levels)?, Norms::Frozen)?;
        Ok(heads::origin(&self.network.parameters, &features.embedding, Norms::Frozen, None)?)
    }
}

/// Anywhere within the budget, for each image by itself.
fn starts(bytes: &[u8], side: usize, epsilon: u8, seed: u64) -> Vec<f32> {
    let images = bytes.chunks_exact(side * side * 3);
    let start = |image: &[u8]| {
        let mut rng = Rng::of(seed, &[b"attack", &[epsilon], image]);
        let anywhere = move |_: &u8| (f64::from(epsilon) * (2.0 * rng.unit() - 1.0)) as f32;
        image.iter().map(anywhere).collect::<Vec<_>>()
    };
    images.flat_map(start).collect()
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::training::testing;

    const SIDE: usize = 32;

    fn attack() -> Attack {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let place = Placement { device: Device::Cpu, kind: Kind::Float };
        Attack::new(&testing::weights(architecture, 3), architecture, place)
    }

    /// Real and synthetic by turns, with the ends of the range among their bytes.
    fn images(count: usize) -> (Vec<u8>, Vec<bool>) {
        let bytes = (0..count * SIDE * SIDE * 3).map(|at| match at % 97 {
            0 => 0,
            1 => 255,
            _ => (at * 31 % 251) as u8,
        });
        (bytes.collect(), (0..count).map(|image| image % 2 == 1).collect())
    }

    /// How far each is on the wrong side.
    fn wrongness(attack: &Attack, bytes: &[u8], synthetic: &[bool]) -> Vec<f32> {
        let levels = Tensor::from_slice(bytes).view([synthetic.len() as i64, SIDE as i64, SIDE as i64, 3]);
        let logits = Vec::<f32>::try_from(attack.logits(&levels).unwrap()).unwrap();
        logits.iter().zip(synthetic).map(|(logit, &synthetic)| if synthetic { -logit } else { *logit }).collect()
    }

    fn farthest(left: &[u8], right: &[u8]) -> u8 {
        assert_eq!(left.len(), right.len());
        left.iter().zip(right).map(|(left, right)| left.abs_diff(*right)).max().unwrap()
    }

    #[test]
    fn an_attack_moves_every_image_to_the_wrong_side_and_a_larger_budget_moves_it_further() {
        let attack = attack();
        let (bytes, synthetic) = images(4);
        let mut before = wrongness(&attack, &bytes, &synthetic);
        for epsilon in [1, 2, 4] {
            let attacked = attack.on(&bytes, SIDE, &synthetic, Budget { epsilon, steps: 10 }, 7).unwrap();
            assert_eq!(farthest(&attacked, &bytes), epsilon, "the ball is reached and not left");
            let after = wrongness(&attack, &attacked, &synthetic);
            assert!(before.iter().zip(&after).all(|(before, after)| after > before), "{before:?} {after:?}");
            before = after;
        }
        // More than chance would do within the same ball.
        let noise = starts(&bytes, SIDE, 4, 3);
        let noisy: Vec<u8> = bytes.iter().zip(noise).map(|(byte, noise)| (f32::from(*byte) + noise) as u8).collect();
        let noisy = wrongness(&attack, &noisy, &synthetic);
        assert!(noisy.iter().zip(&before).all(|(noisy, attacked)| noisy < attacked), "{noisy:?} {before:?}");
    }

    #[test]
    fn the_same_seed_attacks_in_the_same_way_whatever_lies_beside_the_image() {
        let attack = attack();
        let (bytes, synthetic) = images(3);
        let budget = Budget { epsilon: 2, steps: 3 };
        let attacked =
            |bytes: &[u8], synthetic: &[bool], seed| attack.on(bytes, SIDE, synthetic, budget, seed).unwrap();
        let all = attacked(&bytes, &synthetic, 7);
        assert_eq!(all, attacked(&bytes, &synthetic, 7));
        assert_ne!(all, attacked(&bytes, &synthetic, 8));
        let last = 2 * SIDE * SIDE * 3..;
        assert_eq!(all[last.clone()], attacked(&bytes[last], &synthetic[2..], 7));
    }

    #[test]
    fn a_budget_of_zero_changes_nothing() {
        let attack = attack();
        let (bytes, synthetic) = images(2);
        assert_eq!(attack.on(&bytes, SIDE, &synthetic, Budget { epsilon: 0, steps: 10 }, 7).unwrap(), bytes);
    }
}
