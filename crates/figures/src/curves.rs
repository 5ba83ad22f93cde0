//! What plots of a ranking are drawn from.

use serde::Serialize;

use crate::calibration::{bin_of, bins};
use crate::ranking::Ranking;

/// Points of a curve in a report.
const CURVE: usize = 200;
/// Bins of the stated probabilities.
const HISTOGRAM: usize = 25;

/// Curves of all answers, each counted once.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curves {
    /// Share of the real images accused, share of the synthetic ones found.
    pub roc: Vec<[f64; 2]>,
    /// Recall, precision.
    pub precision_recall: Vec<[f64; 2]>,
    /// Mean probability, share of synthetic images, images; of each of the [`CALIBRATION_BINS`](crate::CALIBRATION_BINS)
    /// bins that has any.
    pub reliability: Vec<[f64; 3]>,
    /// Images by their probability, from 0 to 1 in bins of equal width.
    pub histogram_real: Vec<usize>,
    pub histogram_synthetic: Vec<usize>,
}

impl Curves {
    pub fn of(ranking: &Ranking) -> Curves {
        let weights = ranking.even();
        let (all_real, all_synthetic) = (ranking.total(&weights, false), ranking.total(&weights, true));
        let (mut hits, mut alarms) = (0.0, 0.0);
        let (mut roc, mut precision_recall) = (vec![[0.0, 0.0]], Vec::new());
        for (synthetic, real) in ranking.steps(&weights) {
            hits += synthetic;
            alarms += real;
            roc.push([alarms / all_real.max(1.0), hits / all_synthetic.max(1.0)]);
            precision_recall.push([hits / all_synthetic.max(1.0), hits / (hits + alarms)]);
        }
        let histogram = |class: bool| {
            let mut counts = vec![0; HISTOGRAM];
            let of_class = ranking.scored().iter().filter(|scored| scored.synthetic == class);
            of_class.for_each(|scored| counts[bin_of(scored.probability, HISTOGRAM)] += 1);
            counts
        };
        let filled = bins(ranking, &weights).into_iter().filter(|bin| bin.weight > 0.0);
        let reliability =
            filled.map(|bin| [bin.probabilities / bin.weight, bin.synthetic / bin.weight, bin.weight]).collect();
        Curves {
            roc: thinned(roc),
            precision_recall: thinned(precision_recall),
            reliability,
            histogram_real: histogram(false),
            histogram_synthetic: histogram(true),
        }
    }
}

/// At most [`CURVE`] of the points, both ends among them.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let last = points.len().saturating_sub(1);
    if points.len() <= CURVE {
        return points;
    }
    (0..CURVE).map(|n| points[n * last / (CURVE - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_detector_finds_all_before_it_accuses_any() {
        let ranking = Ranking::of_scores(&[0.1, 0.2, 0.8, 1.0], &[false, false, true, true]);
        let curves = Curves::of(&ranking);
        assert_eq!(curves.roc, [[0.0, 0.0], [0.0, 0.5], [0.0, 1.0], [0.5, 1.0], [1.0, 1.0]]);
        assert_eq!(curves.precision_recall[1], [1.0, 1.0]);
    }

    #[test]
    fn reliability_and_histograms_count_every_image() {
        let synthetic = [true, true, false, false, false, false];
        let curves = Curves::of(&Ranking::of_scores(&[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], &synthetic));
        assert_eq!(curves.reliability.iter().map(|bin| bin[2]).collect::<Vec<_>>(), [3.0, 3.0]);
        assert_eq!((curves.histogram_real.iter().sum::<usize>(), curves.histogram_synthetic.iter().sum()), (4, 2));
    }

    #[test]
    fn long_curves_keep_both_ends() {
        let points: Vec<[f64; 2]> = (0..1001).map(|n| [f64::from(n), 0.0]).collect();
        let few = thinned(points);
        assert_eq!((few.len(), few[0][0], few[CURVE - 1][0]), (CURVE, 0.0, 1000.0));
    }
}
