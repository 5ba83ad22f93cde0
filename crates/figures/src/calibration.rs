//! Whether stated probabilities are true, and what chance alone makes of the error.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::bootstrap::{Figure, interval};
use crate::ranking::{Ranking, Scored, share};

/// Bins of equal width over the probability, of the expected calibration error and of the reliability diagram. Manifest, gate
/// and reports have the same, so that their `ece` can be compared. More bins would have fewer images each, and a gate that
/// refuses for noise: the held-out images of a retrain run are often a few hundred.
pub const CALIBRATION_BINS: usize = 10;
/// How often truths are drawn for the floor.
const ROUNDS: usize = 200;

impl Ranking {
    /// Expected calibration error: how far, on average, the probability of synthetic is from the share that is, over
    /// [`CALIBRATION_BINS`] bins of equal width (Guo et al., arXiv 1706.04599, on the probability of one class).
    pub fn calibration_error(&self, weights: &[f64]) -> Option<f64> {
        let all = self.sum(weights, |_| true);
        let gap = bins(self, weights).iter().map(|bin| (bin.probabilities - bin.synthetic).abs()).sum();
        share(gap, all)
    }
}

/// [`Ranking::calibration_error`] of one probability for each image.
pub fn calibration_error(probabilities: &[f32], synthetic: &[bool]) -> Option<f64> {
    let ranking = Ranking::of_scores(probabilities, synthetic);
    ranking.calibration_error(&ranking.even())
}

/// The calibration error that these probabilities would show if every one of them were exactly true: the mean over draws of
/// which images are synthetic, and the range of 95 % of them. An error within it proves nothing. An image is drawn once,
/// for all answers about it.
pub fn calibration_floor(ranking: &Ranking, seed: u64) -> Figure {
    let even = ranking.even();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let drawn = (0..ROUNDS).filter_map(|_| {
        let truths: Vec<f64> = even.iter().map(|_| random.random()).collect();
        let draw =
            |answer: &Scored| Scored { synthetic: truths[answer.image] < f64::from(answer.probability), ..*answer };
        Ranking::of(ranking.scored().iter().map(draw)).calibration_error(&even)
    });
    let errors: Vec<f64> = drawn.collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    Figure { value: mean.is_finite().then_some(mean), interval: interval(errors) }
}

/// What fell into one bin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bin {
    pub weight: f64,
    /// Sum of the stated probabilities, by weight.
    pub probabilities: f64,
    pub synthetic: f64,
}

pub(crate) fn bins(ranking: &Ranking, weights: &[f64]) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); CALIBRATION_BINS];
    for answer in ranking.scored() {
        let (bin, weight) = (&mut bins[bin_of(answer.probability, CALIBRATION_BINS)], weights[answer.image]);
        bin.weight += weight;
        bin.probabilities += weight * f64::from(answer.probability);
        bin.synthetic += if answer.synthetic { weight } else { 0.0 };
    }
    bins
}

pub(crate) fn bin_of(probability: f32, bins: usize) -> usize {
    ((f64::from(probability) * bins as f64) as usize).min(bins - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers about images of which the stated share is synthetic, each image answered so often.
    fn ranking(images: usize, draws: usize) -> Ranking {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
        Ranking::of((0..images).flat_map(|image| {
            let probability: f32 = random.random();
            let synthetic = random.random::<f32>() < probability;
            (0..draws).map(move |_| Scored { image, logit: probability, probability, synthetic })
        }))
    }

    #[test]
    fn the_calibration_error_is_the_mean_gap_over_the_bins() {
        // Two bins: at .9 two of four are synthetic (a gap of .4), at .1 none of four (a gap of .1).
        let probabilities = [0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1];
        let synthetic = [true, true, false, false, false, false, false, false];
        let error = calibration_error(&probabilities, &synthetic).unwrap();
        assert!((error - 0.25).abs() < 1e-6, "{error}");
        // The same pairs by weights.
        let fewer = Ranking::of_scores(&[0.9, 0.9, 0.1], &[true, false, false]);
        assert!((fewer.calibration_error(&[2.0, 2.0, 4.0]).unwrap() - 0.25).abs() < 1e-6);
        assert_eq!(calibration_error(&[], &[]), None);
    }

    #[test]
    fn there_are_ten_bins_and_one_belongs_to_the_last() {
        assert_eq!([0.0, 0.099, 0.101, 0.5, 1.0].map(|p| bin_of(p, CALIBRATION_BINS)), [0, 0, 1, 5, 9]);
        assert_eq!(bin_of(f32::NAN, CALIBRATION_BINS), 0);
    }

    #[test]
    fn what_is_true_shows_an_error_within_the_floor_and_what_is_not_one_above_it() {
        let truth = ranking(2000, 1);
        let floor = calibration_floor(&truth, 1);
        let [low, high] = floor.interval.unwrap();
        let error = truth.calibration_error(&[1.0; 2000]).unwrap();
        assert!(low <= error && error <= high, "{error} {floor:?}");
        let overconfident = Ranking::of(truth.scored().iter().map(|answer| {
            let probability = if answer.probability > 0.5 { 0.97 } else { 0.03 };
            Scored { probability, ..*answer }
        }));
        let error = overconfident.calibration_error(&[1.0; 2000]).unwrap();
        assert!(error > 2.0 * calibration_floor(&overconfident, 1).interval.unwrap()[1], "{error}");
    }

    #[test]
    fn fewer_images_have_a_higher_floor_and_more_answers_about_each_no_lower_one() {
        let value = |images, draws| calibration_floor(&ranking(images, draws), 1).value.unwrap();
        assert!(value(100, 1) > 2.0 * value(2000, 1));
        assert!((value(100, 3) - value(100, 1)).abs() < 1e-9);
        assert_eq!(calibration_floor(&ranking(0, 1), 1), Figure::default());
    }
}
