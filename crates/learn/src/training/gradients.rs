//! The gradients of one batch, at the memory of a part of it.
//!
//! A contrastive loss compares every image with every other, so its batch can't be cut up; the network's activations,
//! which are what fills the memory, can. Gradient caching (Gao et al., arXiv 2101.06983): outputs of all chunks without
//! gradients → the loss on them, and its gradient at each output → every chunk once more, with gradients, times what was
//! cached. The sum is the gradient of the whole batch.

use tch::{Kind, TchError, Tensor};

use super::batch::Batch;
use super::network::Network;
use super::objective::Objective;
use super::parameters::Norms;
use engine::pixels::Pixels;

/// Adds the batch's gradients to those of the parameters, and gives its loss. `chunk`: images in the network at a time;
/// 0 for all of them, in one pass.
pub fn of_batch(
    network: &Network,
    objective: Objective,
    batch: &Batch,
    norms: Norms,
    chunk: usize,
) -> Result<f64, TchError> {
    let pixels = Pixels::new(network.place());
    let images = batch.pixels.len() / batch.stride();
    let outputs = |bytes: &[u8], norms| {
        let features = network.features(&pixels.of_bytes(bytes, batch.side)?, norms)?;
        objective.outputs(network, &features)
    };
    if chunk == 0 || chunk >= images {
        let loss = objective.loss(network, &outputs(&batch.pixels, norms)?, &batch.labels)?;
        loss.f_backward()?;
        return f64::try_from(loss.to_kind(Kind::Double));
    }

    let chunks = || batch.pixels.chunks(chunk * batch.stride());
    let parts = {
        let _no_grad = tch::no_grad_guard();
        chunks().map(|bytes| outputs(bytes, norms)).collect::<Result<Vec<_>, _>>()?
    };
    let whole = |place: usize| {
        let rows: Vec<&Tensor> = parts.iter().map(|outputs| &outputs[place]).collect();
        Ok(Tensor::f_cat(&rows, 0)?.set_requires_grad(true))
    };
    let leaves = (0..parts[0].len()).map(whole).collect::<Result<Vec<_>, TchError>>()?;
    let loss = objective.loss(network, &leaves, &batch.labels)?;
    loss.f_backward()?;

    // The running statistics have seen this batch.
    let again = if norms == Norms::Moving { Norms::Batch } else { norms };
    for (index, bytes) in chunks().enumerate() {
        let start = (index * chunk) as i64;
        let mut sum: Option<Tensor> = None;
        for (output, leaf) in outputs(bytes, again)?.iter().zip(&leaves) {
            let cached = leaf.grad().f_narrow(0, start, output.size()[0])?;
            let part = output.f_mul(&cached)?.f_sum(Kind::Float)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&part)?,
                None => part,
            });
        }
        sum.expect("an objective has outputs").f_backward()?;
    }
    f64::try_from(loss.to_kind(Kind::Double))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::training::testing::{self, furthest};
    use engine::conv::Placement;

    fn network() -> Network {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let place = Placement { device: Device::Cpu, kind: Kind::Float };
        Network::new(&testing::weights(architecture, 3), architecture, place)
    }

    const OBJECTIVES: [Objective; 3] = [
        Objective::Selfcon { temperature: 0.07, generators: 1.0 },
        Objective::Supcon { temperature: 0.07, generators: 1.0 },
        Objective::CrossEntropy { generators: 0.5, smoothing: 0.0 },
    ];

    #[test]
    fn chunks_give_the_gradients_of_the_whole_batch() {
        for objective in OBJECTIVES {
            let batch = testing::batch(10, 16, objective.views());
            let (whole, cached) = (network(), network());
            let loss = of_batch(&whole, objective, &batch, Norms::Frozen, 0).unwrap();
            // The last chunk is a short one.
            let cached_loss = of_batch(&cached, objective, &batch, Norms::Frozen, 3).unwrap();
            assert!((loss - cached_loss).abs() < 1e-5, "{loss} {cached_loss}");
            let mut moved = 0;
            for (name, tensor) in whole.parameters.trained() {
                let (wanted, found) = (tensor.grad(), cached.parameters.trained()[name].grad());
                assert_eq!(wanted.defined(), found.defined(), "{name}");
                if wanted.defined() {
                    moved += 1;
                    let most = f64::try_from(wanted.abs().max()).unwrap().max(1.0);
                    assert!(
                        furthest(&wanted, &found) / most < 1e-5,
                        "{objective:?} {name}: {}",
                        furthest(&wanted, &found)
                    );
                }
            }
            assert!(moved > 60, "{moved}");
        }
    }

    #[test]
    fn running_statistics_see_a_batch_once_whether_it_is_cut_or_not() {
        let objective = OBJECTIVES[0];
        let batch = testing::batch(8, 16, 1);
        let mean = |network: &Network| network.parameters.weights().get("encoder.layer1.0.bn1.running_mean").copy();
        let cached = network();
        of_batch(&cached, objective, &batch, Norms::Moving, 4).unwrap();
        let seen = mean(&cached);
        // Both chunks once, in evaluation order.
        let by_hand = network();
        for bytes in batch.pixels.chunks(4 * batch.stride()) {
            let images = Pixels::new(by_hand.place()).of_bytes(bytes, 16).unwrap();
            tch::no_grad(|| by_hand.features(&images, Norms::Moving)).unwrap();
        }
        assert!(furthest(&seen, &mean(&by_hand)) < 1e-6);
    }

    #[test]
    fn parameters_that_an_objective_does_not_use_have_no_gradient() {
        let network = network();
        of_batch(&network, OBJECTIVES[2], &testing::batch(4, 16, 1), Norms::Moving, 0).unwrap();
        assert!(!network.parameters.trained()["head.0.weight"].grad().defined());
        assert!(network.parameters.trained()["generators.3.weight"].grad().defined());
    }
}
