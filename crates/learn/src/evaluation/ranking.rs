//! Real or synthetic: figures of a detector's answers.
//!
//! Each takes weights, one for each image: a resample of the images counts some of them several times and others not at
//! all. `None` where a class that the figure needs has no weight.

use serde::Serialize;

use domain::Thresholds;

/// Bins of the reliability diagram, and of the calibration error.
const BINS: usize = 15;
/// Points of a curve in a report.
const CURVE: usize = 200;
const HISTOGRAM: usize = 25;

/// What the detector said of an image, and what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Which image; several answers may be about one, perturbed in several ways.
    pub image: usize,
    /// By this answers are ranked: probabilities near 1 are all the same.
    pub logit: f32,
    pub probability: f32,
    pub synthetic: bool,
}

/// Answers in falling order of the logit.
#[derive(Clone, Debug)]
pub struct Ranking(Vec<Answer>);

impl Ranking {
    pub fn of(answers: impl IntoIterator<Item = Answer>) -> Ranking {
        let mut answers: Vec<Answer> = answers.into_iter().collect();
        answers.sort_by(|left, right| right.logit.total_cmp(&left.logit));
        Ranking(answers)
    }

    pub fn answers(&self) -> &[Answer] {
        &self.0
    }

    /// The chance that a synthetic image ranks above a real one; a tie counts half.
    pub fn auc(&self, weights: &[f64]) -> Option<f64> {
        let (mut above, mut area) = (0.0, 0.0);
        for (synthetic, real) in self.steps(weights) {
            area += real * (above + synthetic / 2.0);
            above += synthetic;
        }
        share(area, self.total(weights, true) * self.total(weights, false))
    }

    /// Precision at each recall that is reached, weighted by the recall won: the step-wise area, without interpolation.
    pub fn average_precision(&self, weights: &[f64]) -> Option<f64> {
        let (mut hits, mut called, mut area) = (0.0, 0.0, 0.0);
        for (synthetic, real) in self.steps(weights) {
            hits += synthetic;
            called += synthetic + real;
            if called > 0.0 {
                area += synthetic * hits / called;
            }
        }
        share(area, self.total(weights, true))
    }

    /// The largest share of synthetic images found at a threshold that accuses at most this share of the real ones.
    pub fn recall_at_false_alarms(&self, most: f64, weights: &[f64]) -> Option<f64> {
        let (all_real, all_synthetic) = (self.total(weights, false), self.total(weights, true));
        share(all_real, all_real)?;
        let (mut hits, mut alarms, mut best) = (0.0, 0.0, 0.0);
        for (synthetic, real) in self.steps(weights) {
            hits += synthetic;
            alarms += real;
            if alarms > most * all_real {
                break;
            }
            best = hits;
        }
        share(best, all_synthetic)
    }

    /// Mean of both classes' shares that are on their side of one threshold.
    pub fn balanced_accuracy(&self, threshold: f32, weights: &[f64]) -> Option<f64> {
        let right = |answer: &Answer| (answer.probability >= threshold) == answer.synthetic;
        self.balanced(weights, |_| true, right)
    }

    /// The same of the images on which the detector decides: those between the thresholds are left out.
    pub fn balanced_accuracy_of_decided(&self, thresholds: Thresholds, weights: &[f64]) -> Option<f64> {
        let decided = |answer: &Answer| !is_uncertain(answer, thresholds);
        let right = |answer: &Answer| (answer.probability >= thresholds.high) == answer.synthetic;
        self.balanced(weights, decided, right)
    }

    /// Share of all images between the thresholds.
    pub fn uncertain(&self, thresholds: Thresholds, weights: &[f64]) -> Option<f64> {
        let uncertain = self.sum(weights, |answer| is_uncertain(answer, thresholds));
        share(uncertain, self.sum(weights, |_| true))
    }

    /// Share of the real images that are called synthetic.
    pub fn false_alarms(&self, thresholds: Thresholds, weights: &[f64]) -> Option<f64> {
        let accused = self.sum(weights, |answer| !answer.synthetic && answer.probability >= thresholds.high);
        share(accused, self.total(weights, false))
    }

    /// Share of the synthetic images that are called real.
    pub fn missed(&self, thresholds: Thresholds, weights: &[f64]) -> Option<f64> {
        let missed = self.sum(weights, |answer| answer.synthetic && answer.probability < thresholds.low);
        share(missed, self.total(weights, true))
    }

    /// Expected calibration error: how far, on average, the probability of synthetic is from the share that is, over bins
    /// of equal width (Guo et al., arXiv 1706.04599, on the probability of one class).
    pub fn calibration_error(&self, weights: &[f64]) -> Option<f64> {
        let all = self.sum(weights, |_| true);
        let bins = self.bins(weights);
        let gap = bins.iter().map(|bin| (bin.probabilities - bin.synthetic).abs()).sum();
        share(gap, all)
    }

    /// Everything that a plot needs, unweighted.
    pub fn curves(&self) -> Curves {
        let weights = vec![1.0; self.0.iter().map(|answer| answer.image + 1).max().unwrap_or_default()];
        let (all_real, all_synthetic) = (self.total(&weights, false), self.total(&weights, true));
        let (mut hits, mut alarms) = (0.0, 0.0);
        let (mut roc, mut precision_recall) = (vec![[0.0, 0.0]], Vec::new());
        for (synthetic, real) in self.steps(&weights) {
            hits += synthetic;
            alarms += real;
            roc.push([alarms / all_real.max(1.0), hits / all_synthetic.max(1.0)]);
            precision_recall.push([hits / all_synthetic.max(1.0), hits / (hits + alarms)]);
        }
        let histogram = |class: bool| {
            let mut counts = vec![0; HISTOGRAM];
            let of_class = self.0.iter().filter(|answer| answer.synthetic == class);
            of_class.for_each(|answer| counts[bin_of(answer.probability, HISTOGRAM)] += 1);
            counts
        };
        let bins = self.bins(&weights).into_iter().filter(|bin| bin.weight > 0.0);
        let reliability =
            bins.map(|bin| [bin.probabilities / bin.weight, bin.synthetic / bin.weight, bin.weight]).collect();
        Curves {
            roc: thinned(roc),
            precision_recall: thinned(precision_recall),
            reliability,
            histogram_real: histogram(false),
            histogram_synthetic: histogram(true),
        }
    }

    /// Weight of the synthetic and of the real answers at each logit, from the highest logit down.
    fn steps<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.0.chunk_by(|left, right| left.logit == right.logit).map(|tied| {
            tied.iter().fold((0.0, 0.0), |(synthetic, real), answer| {
                let weight = weights[answer.image];
                if answer.synthetic { (synthetic + weight, real) } else { (synthetic, real + weight) }
            })
        })
    }

    fn balanced(
        &self,
        weights: &[f64],
        counts: impl Fn(&Answer) -> bool,
        right: impl Fn(&Answer) -> bool,
    ) -> Option<f64> {
        let of_class = |class: bool| {
            let all = self.sum(weights, |answer| answer.synthetic == class && counts(answer));
            share(self.sum(weights, |answer| answer.synthetic == class && counts(answer) && right(answer)), all)
        };
        Some((of_class(false)? + of_class(true)?) / 2.0)
    }

    fn bins(&self, weights: &[f64]) -> Vec<Bin> {
        let mut bins = vec![Bin::default(); BINS];
        for answer in &self.0 {
            let (bin, weight) = (&mut bins[bin_of(answer.probability, BINS)], weights[answer.image]);
            bin.weight += weight;
            bin.probabilities += weight * f64::from(answer.probability);
            bin.synthetic += if answer.synthetic { weight } else { 0.0 };
        }
        bins
    }

    fn total(&self, weights: &[f64], class: bool) -> f64 {
        self.sum(weights, |answer| answer.synthetic == class)
    }

    fn sum(&self, weights: &[f64], counts: impl Fn(&Answer) -> bool) -> f64 {
        self.0.iter().filter(|answer| counts(answer)).map(|answer| weights[answer.image]).sum()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    weight: f64,
    probabilities: f64,
    synthetic: f64,
}

/// What plots are drawn from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curves {
    /// Share of the real images accused, share of the synthetic ones found.
    pub roc: Vec<[f64; 2]>,
    /// Recall, precision.
    pub precision_recall: Vec<[f64; 2]>,
    /// Mean probability, share of synthetic images, images; of each bin that has any.
    pub reliability: Vec<[f64; 3]>,
    /// Images by their probability, from 0 to 1 in bins of equal width.
    pub histogram_real: Vec<usize>,
    pub histogram_synthetic: Vec<usize>,
}

fn is_uncertain(answer: &Answer, thresholds: Thresholds) -> bool {
    (thresholds.low..thresholds.high).contains(&answer.probability)
}

fn bin_of(probability: f32, bins: usize) -> usize {
    ((f64::from(probability) * bins as f64) as usize).min(bins - 1)
}

pub(super) fn share(part: f64, all: f64) -> Option<f64> {
    // An empty sum is -0.
    (all > 0.0).then(|| part / all + 0.0)
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

    const DEFAULT: Thresholds = Thresholds { low: 0.35, high: 0.65 };

    /// Each of its own image; the probability is also the logit.
    fn ranking(answers: &[(f32, bool)]) -> Ranking {
        let answer = |(image, &(probability, synthetic)): (usize, &(f32, bool))| Answer {
            image,
            logit: probability,
            probability,
            synthetic,
        };
        Ranking::of(answers.iter().enumerate().map(answer))
    }

    fn near(found: Option<f64>, wanted: f64) {
        assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-6), "{found:?} instead of {wanted}");
    }

    /// Three synthetic, three real, two of them tied: .9s .8r .6s .6r .3s .1r
    fn mixed() -> Ranking {
        ranking(&[(0.1, false), (0.9, true), (0.6, false), (0.6, true), (0.3, true), (0.8, false)])
    }

    #[test]
    fn figures_are_those_that_a_hand_computes() {
        let (ranking, even) = (mixed(), [1.0; 6]);
        // .9 beats 3 real ones, .6 beats one and ties one, .3 beats one: 5.5 of 9.
        near(ranking.auc(&even), 5.5 / 9.0);
        // Recall 1/3 at precision 1, 2/3 at 2/4, 1 at 3/5.
        near(ranking.average_precision(&even), (1.0 + 0.5 + 0.6) / 3.0);
        // Found at .5: .9 and .6 of the synthetic; .1 of the real.
        near(ranking.balanced_accuracy(0.5, &even), (2.0 / 3.0 + 1.0 / 3.0) / 2.0);
        // .6 and .6 are undecided: of the synthetic .9 is right, .3 wrong; of the real .1 right, .8 wrong.
        near(ranking.balanced_accuracy_of_decided(DEFAULT, &even), 0.5);
        near(ranking.uncertain(DEFAULT, &even), 2.0 / 6.0);
        near(ranking.false_alarms(DEFAULT, &even), 1.0 / 3.0);
        near(ranking.missed(DEFAULT, &even), 1.0 / 3.0);
        near(ranking.recall_at_false_alarms(0.01, &even), 1.0 / 3.0);
        near(ranking.recall_at_false_alarms(0.34, &even), 1.0 / 3.0);
        // Two alarms let .6 in, and with it .3: the third alarm comes only at .1.
        near(ranking.recall_at_false_alarms(0.67, &even), 1.0);
    }

    #[test]
    fn the_calibration_error_is_the_mean_gap_over_the_bins() {
        // Two bins: at .9 two of four are synthetic (a gap of .4), at .1 none of four (a gap of .1).
        let answers = [(0.9, true), (0.9, true), (0.9, false), (0.9, false)].into_iter().chain([(0.1, false); 4]);
        let ranking = ranking(&answers.collect::<Vec<_>>());
        near(ranking.calibration_error(&[1.0; 8]), 0.25);
        let curves = ranking.curves();
        assert_eq!(curves.reliability.len(), 2);
        assert_eq!((curves.histogram_real.iter().sum::<usize>(), curves.histogram_synthetic.iter().sum()), (6, 2));
    }

    #[test]
    fn a_perfect_detector_is_perfect_and_a_blind_one_even() {
        let perfect = ranking(&[(0.1, false), (0.2, false), (0.8, true), (1.0, true)]);
        let even = [1.0; 4];
        near(perfect.auc(&even), 1.0);
        near(perfect.average_precision(&even), 1.0);
        near(perfect.balanced_accuracy(0.5, &even), 1.0);
        near(perfect.recall_at_false_alarms(0.01, &even), 1.0);
        let curves = perfect.curves();
        assert_eq!((curves.roc.first(), curves.roc.last()), (Some(&[0.0, 0.0]), Some(&[1.0, 1.0])));
        let blind = ranking(&[(0.5, false), (0.5, true), (0.5, false), (0.5, true)]);
        near(blind.auc(&even), 0.5);
        near(blind.average_precision(&even), 0.5);
    }

    #[test]
    fn a_weight_of_two_is_an_image_twice() {
        let twice = ranking(&[
            (0.1, false),
            (0.9, true),
            (0.6, false),
            (0.6, true),
            (0.3, true),
            (0.8, false),
            (0.3, true),
            (0.1, false),
        ]);
        let weights = [2.0, 1.0, 1.0, 1.0, 2.0, 1.0];
        let (ranking, even) = (mixed(), [1.0; 8]);
        near(ranking.auc(&weights), twice.auc(&even).unwrap());
        near(ranking.average_precision(&weights), twice.average_precision(&even).unwrap());
        near(ranking.balanced_accuracy(0.5, &weights), twice.balanced_accuracy(0.5, &even).unwrap());
        near(ranking.calibration_error(&weights), twice.calibration_error(&even).unwrap());
        // Left out altogether: no real image is left to compare with.
        assert_eq!(ranking.auc(&[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]), None);
    }

    #[test]
    fn without_one_of_the_classes_there_is_no_figure() {
        let real = ranking(&[(0.1, false), (0.7, false)]);
        let even = [1.0; 2];
        assert_eq!(
            (real.auc(&even), real.average_precision(&even), real.balanced_accuracy(0.5, &even)),
            (None, None, None)
        );
        assert_eq!(real.recall_at_false_alarms(0.01, &even), None);
        near(real.false_alarms(DEFAULT, &even), 0.5);
        let nothing = ranking(&[]);
        assert_eq!((nothing.calibration_error(&[]), nothing.uncertain(DEFAULT, &[])), (None, None));
    }
}
