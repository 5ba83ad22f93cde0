//! Real or synthetic: figures of a detector's answers.
//!
//! Each takes weights, one for each image: a resample of the images counts some of them several times and others not at
//! all. `None` where a class that the figure needs has no weight.

use std::ops::Range;

/// What the detector said of an image, and what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Which image; several answers may be about one, perturbed in several ways.
    pub image: usize,
    /// By this answers are ranked: probabilities near 1 are all the same.
    pub logit: f32,
    pub probability: f32,
    pub synthetic: bool,
}

/// Answers in falling order of the logit.
#[derive(Clone, Debug)]
pub struct Ranking(Vec<Scored>);

impl Ranking {
    pub fn of(answers: impl IntoIterator<Item = Scored>) -> Ranking {
        let mut answers: Vec<Scored> = answers.into_iter().collect();
        answers.sort_by(|left, right| right.logit.total_cmp(&left.logit));
        Ranking(answers)
    }

    /// One score for each image, which is its logit and its probability in one.
    pub fn of_scores(scores: &[f32], synthetic: &[bool]) -> Ranking {
        let each = scores.iter().zip(synthetic).enumerate();
        Ranking::of(each.map(|(image, (&score, &synthetic))| Scored {
            image,
            logit: score,
            probability: score,
            synthetic,
        }))
    }

    pub fn scored(&self) -> &[Scored] {
        &self.0
    }

    /// The weights that count each image once.
    pub fn even(&self) -> Vec<f64> {
        vec![1.0; self.0.iter().map(|answer| answer.image + 1).max().unwrap_or_default()]
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
        let right = |answer: &Scored| (answer.probability >= threshold) == answer.synthetic;
        self.balanced(weights, |_| true, right)
    }

    /// The same of the images on which the detector decides: those whose probability is in the `uncertain` range are left out.
    pub fn balanced_accuracy_of_decided(&self, uncertain: &Range<f32>, weights: &[f64]) -> Option<f64> {
        let decided = |answer: &Scored| !uncertain.contains(&answer.probability);
        let right = |answer: &Scored| (answer.probability >= uncertain.end) == answer.synthetic;
        self.balanced(weights, decided, right)
    }

    /// Share of all images in the `uncertain` range.
    pub fn uncertain(&self, uncertain: &Range<f32>, weights: &[f64]) -> Option<f64> {
        let undecided = self.sum(weights, |answer| uncertain.contains(&answer.probability));
        share(undecided, self.sum(weights, |_| true))
    }

    /// Share of the real images that are called synthetic: at least the end of the `uncertain` range.
    pub fn false_alarms(&self, uncertain: &Range<f32>, weights: &[f64]) -> Option<f64> {
        let accused = self.sum(weights, |answer| !answer.synthetic && answer.probability >= uncertain.end);
        share(accused, self.total(weights, false))
    }

    /// Share of the synthetic images that are called real: below the start of the `uncertain` range.
    pub fn missed(&self, uncertain: &Range<f32>, weights: &[f64]) -> Option<f64> {
        let missed = self.sum(weights, |answer| answer.synthetic && answer.probability < uncertain.start);
        share(missed, self.total(weights, true))
    }

    /// Weight of the synthetic and of the real answers at each logit, from the highest logit down.
    pub(crate) fn steps<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
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
        counts: impl Fn(&Scored) -> bool,
        right: impl Fn(&Scored) -> bool,
    ) -> Option<f64> {
        let of_class = |class: bool| {
            let all = self.sum(weights, |answer| answer.synthetic == class && counts(answer));
            share(self.sum(weights, |answer| answer.synthetic == class && counts(answer) && right(answer)), all)
        };
        Some((of_class(false)? + of_class(true)?) / 2.0)
    }

    pub(crate) fn total(&self, weights: &[f64], class: bool) -> f64 {
        self.sum(weights, |answer| answer.synthetic == class)
    }

    pub(crate) fn sum(&self, weights: &[f64], counts: impl Fn(&Scored) -> bool) -> f64 {
        self.0.iter().filter(|answer| counts(answer)).map(|answer| weights[answer.image]).sum()
    }
}

/// [`Ranking::auc`] of one score for each image.
pub fn auc(scores: &[f32], synthetic: &[bool]) -> Option<f64> {
    let ranking = Ranking::of_scores(scores, synthetic);
    ranking.auc(&ranking.even())
}

/// [`Ranking::balanced_accuracy`] at one half, of one probability for each image.
pub fn balanced_accuracy(probabilities: &[f32], synthetic: &[bool]) -> Option<f64> {
    let ranking = Ranking::of_scores(probabilities, synthetic);
    ranking.balanced_accuracy(0.5, &ranking.even())
}

/// A part of all; `None` where there is nothing.
pub fn share(part: f64, all: f64) -> Option<f64> {
    // An empty sum is -0.
    (all > 0.0).then(|| part / all + 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNCERTAIN: Range<f32> = 0.35..0.65;

    fn ranking(answers: &[(f32, bool)]) -> Ranking {
        let (scores, synthetic): (Vec<f32>, Vec<bool>) = answers.iter().copied().unzip();
        Ranking::of_scores(&scores, &synthetic)
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
        near(ranking.balanced_accuracy_of_decided(&UNCERTAIN, &even), 0.5);
        near(ranking.uncertain(&UNCERTAIN, &even), 2.0 / 6.0);
        near(ranking.false_alarms(&UNCERTAIN, &even), 1.0 / 3.0);
        near(ranking.missed(&UNCERTAIN, &even), 1.0 / 3.0);
        near(ranking.recall_at_false_alarms(0.01, &even), 1.0 / 3.0);
        near(ranking.recall_at_false_alarms(0.34, &even), 1.0 / 3.0);
        // Two alarms let .6 in, and with it .3: the third alarm comes only at .1.
        near(ranking.recall_at_false_alarms(0.67, &even), 1.0);
    }

    #[test]
    fn a_perfect_detector_is_perfect_and_a_blind_one_even() {
        let perfect = ranking(&[(0.1, false), (0.2, false), (0.8, true), (1.0, true)]);
        let even = [1.0; 4];
        near(perfect.auc(&even), 1.0);
        near(perfect.average_precision(&even), 1.0);
        near(perfect.balanced_accuracy(0.5, &even), 1.0);
        near(perfect.recall_at_false_alarms(0.01, &even), 1.0);
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
        near(real.false_alarms(&UNCERTAIN, &even), 0.5);
        assert_eq!(ranking(&[]).uncertain(&UNCERTAIN, &[]), None);
        assert_eq!((auc(&[0.1, 0.7], &[true; 2]), balanced_accuracy(&[0.1, 0.7], &[true; 2])), (None, None));
    }

    #[test]
    fn one_score_for_each_image_needs_no_weights() {
        let synthetic = [false, true, false, true, true];
        // Pairs: 0.9, 0.4 and 0.4 against 0.1 and 0.4: 1 + 1 + 1 + 1 + 0.5 + 0.5 of 6.
        near(auc(&[0.1, 0.9, 0.4, 0.4, 0.4], &synthetic), 5.0 / 6.0);
        near(balanced_accuracy(&[0.1, 0.9, 0.6, 0.4, 0.5], &synthetic), (2.0 / 3.0 + 0.5) / 2.0);
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_the_right_order(answers in prop::collection::vec((0_u8..6, any::<bool>()), 0..30)) {
            let answers: Vec<(f32, bool)> = answers.into_iter().map(|(score, is)| (f32::from(score), is)).collect();
            let of = |class: bool| answers.iter().filter(move |answer| answer.1 == class).map(|answer| answer.0);
            let pairs = of(true).flat_map(|synthetic| of(false).map(move |real| (synthetic, real)));
            let won: Vec<f64> = pairs.map(|(synthetic, real)| match synthetic.total_cmp(&real) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            }).collect();
            let ranking = ranking(&answers);
            match ranking.auc(&ranking.even()) {
                Some(auc) => prop_assert!((auc - won.iter().sum::<f64>() / won.len() as f64).abs() < 1e-9),
                None => prop_assert!(won.is_empty()),
            }
        }
    }
}
