//! What chance alone makes of a calibration error.

use super::bootstrap::{Figure, interval};
use super::ranking::{Answer, Ranking};
use crate::augment::Rng;

/// How often truths are thrown.
const ROUNDS: usize = 200;

/// The calibration error that these probabilities would show if every one of them were exactly true: the mean over throws of
/// which images are synthetic, and the range of 95 % of them. An error within it proves nothing. An image is thrown once,
/// for all answers about it.
pub(super) fn calibration_floor(ranking: &Ranking, seed: u64) -> Figure {
    let images = ranking.answers().iter().map(|answer| answer.image + 1).max().unwrap_or_default();
    let even = vec![1.0; images];
    let mut dice = Rng::of(seed, &[b"calibration floor"]);
    let thrown = (0..ROUNDS).filter_map(|_| {
        let truths: Vec<f64> = (0..images).map(|_| dice.unit()).collect();
        let throw =
            |answer: &Answer| Answer { synthetic: truths[answer.image] < f64::from(answer.probability), ..*answer };
        Ranking::of(ranking.answers().iter().map(throw)).calibration_error(&even)
    });
    let errors: Vec<f64> = thrown.collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    Figure { value: mean.is_finite().then_some(mean), interval: interval(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers about images of which the stated share is synthetic, each image looked at so often.
    fn ranking(images: usize, draws: usize) -> Ranking {
        let mut dice = Rng::new(4);
        Ranking::of((0..images).flat_map(|image| {
            let probability = dice.unit() as f32;
            let synthetic = dice.unit() < f64::from(probability);
            (0..draws).map(move |_| Answer { image, logit: probability, probability, synthetic })
        }))
    }

    #[test]
    fn what_is_true_shows_an_error_within_the_floor_and_what_is_not_one_above_it() {
        let truth = ranking(2000, 1);
        let floor = calibration_floor(&truth, 1);
        let [low, high] = floor.interval.unwrap();
        let error = truth.calibration_error(&[1.0; 2000]).unwrap();
        assert!(low <= error && error <= high, "{error} {floor:?}");
        let boastful = Ranking::of(truth.answers().iter().map(|answer| {
            let probability = if answer.probability > 0.5 { 0.97 } else { 0.03 };
            Answer { probability, ..*answer }
        }));
        let error = boastful.calibration_error(&[1.0; 2000]).unwrap();
        assert!(error > 2.0 * calibration_floor(&boastful, 1).interval.unwrap()[1], "{error}");
    }

    #[test]
    fn fewer_images_have_a_higher_floor_and_more_draws_of_them_no_lower_one() {
        let value = |images, draws| calibration_floor(&ranking(images, draws), 1).value.unwrap();
        assert!(value(100, 1) > 2.0 * value(2000, 1));
        assert!((value(100, 3) - value(100, 1)).abs() < 1e-9);
        assert_eq!(calibration_floor(&ranking(0, 1), 1), Figure::default());
    }
}
