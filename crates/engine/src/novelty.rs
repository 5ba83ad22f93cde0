//! How little an image resembles the generators that the model knows.
//!
//! The embedding is centred, projected to a space where the known generators' own spread is the same in every direction,
//! and its distance to the nearest generator's mean is compared with the distances of images that are known: the answer is
//! the share of these that lie nearer. The threshold for `unknown` is such a share. A model may count its doubt about the
//! generator as well: both are then standardised by known images, and added.

use tch::{Device, Kind, TchError, Tensor};

use crate::selfcon::normalise;
use crate::weights::Weights;
use artefact::novelty::{Doubt, Known};

/// The statistics, on their device.
#[derive(Debug)]
pub struct Novelty {
    unit: bool,
    doubt: Option<Doubt>,
    mean: Tensor,
    projection: Tensor,
    generators: Tensor,
    quantiles: Vec<f32>,
}

impl Novelty {
    /// From weights that were checked for [`shapes`](artefact::novelty::shapes).
    pub fn new(weights: &Weights, known: &Known, device: Device) -> Novelty {
        let of = |part: &str| weights.get(&format!("novelty.{part}")).to_kind(Kind::Float).to_device(device);
        let quantiles = Vec::try_from(of("quantiles").to_device(Device::Cpu)).expect("it has one dimension of numbers");
        Novelty {
            unit: known.unit,
            doubt: known.doubt,
            mean: of("mean"),
            projection: of("projection"),
            generators: of("generators"),
            quantiles,
        }
    }

    /// `[n, embedding]` → `[n]`, the distance of each to the nearest generator, on the same device.
    pub fn distances(&self, embedding: &Tensor) -> Result<Tensor, TchError> {
        let embedding = if self.unit { normalise(embedding)? } else { embedding.shallow_clone() };
        let projected = embedding.f_sub(&self.mean)?.f_matmul(&self.projection.f_transpose(0, 1)?)?;
        let apart = projected.f_unsqueeze(1)?.f_sub(&self.generators.f_unsqueeze(0)?)?;
        let squares = apart.f_square()?.f_sum_dim_intlist([2_i64].as_slice(), false, Kind::Float)?;
        squares.f_amin([1_i64].as_slice(), false)?.f_sqrt()
    }

    /// Of each distance, and the generators' probabilities beside it, the share of known images that are less novel.
    pub fn shares(&self, distances: &Tensor, generators: &[Vec<f32>]) -> Result<Vec<f32>, TchError> {
        let distances = Vec::<f32>::try_from(&distances.f_to_device(Device::Cpu)?)?;
        let shares = distances.into_iter().zip(generators).map(|(distance, probabilities)| {
            let confidence = probabilities.iter().copied().fold(0.0, f32::max);
            share_below(&self.quantiles, self.doubt.map_or(distance, |doubt| doubt.with(distance, confidence)))
        });
        Ok(shares.collect())
    }
}

/// Where a value lies among quantiles at equal shares, with straight lines between them; NaN stays NaN.
fn share_below(quantiles: &[f32], value: f32) -> f32 {
    if value.is_nan() {
        return value;
    }
    let steps = (quantiles.len() - 1) as f32;
    let after = quantiles.partition_point(|&quantile| quantile <= value);
    if after == 0 {
        return 0.0;
    }
    let Some(next) = quantiles.get(after) else { return 1.0 };
    let below = quantiles[after - 1];
    ((after - 1) as f32 + (value - below) / (next - below)) / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_interpolated_between_the_quantiles() {
        let quantiles = [1.0, 2.0, 2.0, 4.0, 8.0];
        for (value, share) in [(0.5, 0.0), (1.0, 0.0), (1.5, 0.125), (2.0, 0.5), (3.0, 0.625), (8.0, 1.0), (9.0, 1.0)] {
            assert!(
                (share_below(&quantiles, value) - share).abs() < 1e-6,
                "{value}: {}",
                share_below(&quantiles, value)
            );
        }
        assert!(share_below(&quantiles, f32::NAN).is_nan());
    }

    #[test]
    fn an_embedding_far_from_every_generator_is_novel() {
        let mut weights = Weights::default();
        weights.insert("novelty.mean", Tensor::from_slice(&[1.0_f32, 0.0]));
        // The second direction is ten times as wide as the first, and counts a tenth.
        weights.insert("novelty.projection", Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 0.1]).view([2, 2]));
        weights.insert("novelty.generators", Tensor::from_slice(&[0.0_f32, 0.0, 4.0, 0.0]).view([2, 2]));
        weights.insert("novelty.quantiles", Tensor::from_slice(&[0.0_f32, 1.0, 2.0]));
        let known = Known {
            statistic: Known::STATISTIC.into(),
            unit: false,
            dimensions: 2,
            generators: 2,
            quantiles: 3,
            doubt: None,
            limit: 0.9,
        };
        let novelty = Novelty::new(&weights, &known, Device::Cpu);
        let embedding = Tensor::from_slice(&[1.0_f32, 10.0, 5.0, 0.0, 1.0, 40.0]).view([3, 2]);
        let distances = novelty.distances(&embedding).unwrap();
        assert_eq!(Vec::<f32>::try_from(&distances).unwrap(), [1.0, 0.0, 4.0]);
        let generators = vec![vec![0.9, 0.1], vec![0.5, 0.5], vec![0.6, 0.4]];
        assert_eq!(novelty.shares(&distances, &generators).unwrap(), [0.5, 0.0, 1.0]);
        // (1 − 1)/2 + (0.9 − 0.9)/0.4, (0 − 1)/2 + (0.9 − 0.5)/0.4, (4 − 1)/2 + (0.9 − 0.6)/0.4
        let doubtful = Known { doubt: Some(Doubt { distance: (1.0, 2.0), confidence: (0.9, 0.4) }), ..known };
        let novelty = Novelty::new(&weights, &doubtful, Device::Cpu);
        let shares = novelty.shares(&distances, &generators).unwrap();
        assert!(shares.iter().zip([0.0, 0.25, 1.0]).all(|(share, wanted)| (share - wanted).abs() < 1e-5), "{shares:?}");
    }
}
