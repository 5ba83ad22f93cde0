//! Whether the stated probabilities are true, by the audit sample.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use special::Error;

use figures::{CALIBRATION_BINS, Ranking};

use super::sample::{AuditItem, DECISIONS, Sample};
use super::share::{Cell, share};
use super::{CONFIDENCE, DEVIATIONS, Estimate, reach};
use crate::vote::Answer;

/// How far stated probabilities are from what people find, over bins of equal width. What people can't tell is left out. Empty where
/// a decision that was drawn has no answer at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationNumbers {
    pub bins: Vec<CalibrationBin>,
    /// The expected calibration error, without what chance adds to it. Its interval begins at 0 where chance alone explains what was
    /// counted.
    pub error: Estimate,
    /// The same as it is counted: always above 0, and the more so the fewer were reviewed.
    pub error_as_counted: Option<f64>,
    /// What would be counted on average if every stated probability were true.
    pub error_by_chance: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReviewCalibrationBin")]
pub struct CalibrationBin {
    /// Stated probabilities of synthetic: from this one on,
    pub from: f64,
    /// and below this one; 1 belongs to the last bin.
    pub to: f64,
    /// Its part of the verdicts, 0 to 1.
    pub share: f64,
    /// The mean of the stated probabilities; null in an empty bin.
    pub stated: Option<f64>,
    /// How much of it is synthetic.
    pub synthetic: Estimate,
}

impl CalibrationNumbers {
    pub(super) fn of(sample: &Sample<'_>) -> CalibrationNumbers {
        let clear: Vec<Clear> = sample.answered().filter_map(Clear::of).collect();
        let total: f64 = clear.iter().map(|item| item.weight).sum();
        let bins: Vec<Bin> = (0..CALIBRATION_BINS).map(|number| Bin::of(number, &clear, total)).collect();
        let spread = clear.iter().map(|item| (item.weight / total).powi(2)).sum();
        let gaps = Gaps { bins: bins.iter().filter(|bin| bin.share > 0.0).copied().collect(), spread };
        let counted = counted_error(&clear);
        CalibrationNumbers {
            bins: bins.iter().enumerate().map(|(number, bin)| bin.numbers(number, sample)).collect(),
            error: counted.map(|counted| gaps.estimate(counted, clear.len() as u64)).unwrap_or_default(),
            error_as_counted: counted,
            error_by_chance: counted.map(|_| gaps.at(0.0).mean),
        }
    }
}

/// An image of which people could tell what it is.
struct Clear {
    probability: f32,
    is_synthetic: bool,
    weight: f64,
}

impl Clear {
    fn of((item, answer, weight): (&AuditItem, Answer, f64)) -> Option<Clear> {
        let is_synthetic = match answer {
            Answer::Real => false,
            Answer::Synthetic => true,
            Answer::CannotTell => return None,
        };
        item.synthetic.is_finite().then_some(Clear { probability: item.synthetic, is_synthetic, weight })
    }
}

fn counted_error(clear: &[Clear]) -> Option<f64> {
    let (probabilities, truths): (Vec<f32>, Vec<bool>) =
        clear.iter().map(|item| (item.probability, item.is_synthetic)).unzip();
    let weights: Vec<f64> = clear.iter().map(|item| item.weight).collect();
    Ranking::of_scores(&probabilities, &truths).calibration_error(&weights)
}

fn bin_of(probability: f32) -> usize {
    ((f64::from(probability) * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1)
}

/// What fell into one bin.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    /// Its part of all weights.
    share: f64,
    stated: f64,
    /// How far the share that is synthetic lies above the stated one, as if half an item of each more had been seen: where none
    /// was, it may still be.
    gap: f64,
    /// 1 over the number of items of equal weight that would say as much.
    per_item: f64,
    /// By how much the stated probabilities' own differences lessen the variance of a single truth.
    within: f64,
}

impl Bin {
    fn of(number: usize, clear: &[Clear], total: f64) -> Bin {
        let inside: Vec<&Clear> = clear.iter().filter(|item| bin_of(item.probability) == number).collect();
        let sum = |of: &dyn Fn(&Clear) -> f64| inside.iter().map(|item| of(item)).sum::<f64>();
        let (weights, squares) = (sum(&|item| item.weight), sum(&|item| item.weight.powi(2)));
        if weights <= 0.0 {
            return Bin::default();
        }
        let mean = |of: &dyn Fn(&Clear) -> f64| sum(&|item| item.weight * of(item)) / weights;
        let stated = mean(&|item| f64::from(item.probability));
        let found = mean(&|item| if item.is_synthetic { 1.0 } else { 0.0 });
        let per_item = squares / weights.powi(2);
        Bin {
            share: weights / total,
            stated,
            gap: (found + 0.5 * per_item) / (1.0 + per_item) - stated,
            per_item,
            within: mean(&|item| (f64::from(item.probability) - stated).powi(2)),
        }
    }

    fn numbers(self, number: usize, sample: &Sample<'_>) -> CalibrationBin {
        let of = |wanted: Answer| -> Vec<Cell> {
            let is_inside = |item: &AuditItem| item.synthetic.is_finite() && bin_of(item.synthetic) == number;
            // A decision of which nothing is in this bin says nothing about it.
            let decisions = DECISIONS.into_iter().filter(|decision| {
                sample.answered().any(|(item, ..)| item.drawn.stratum == *decision && is_inside(item))
            });
            let holds = |item: &AuditItem, answer| answer == wanted && is_inside(item);
            decisions.map(|decision| sample.cell_of(decision, holds)).collect()
        };
        let width = 1.0 / CALIBRATION_BINS as f64;
        CalibrationBin {
            from: number as f64 * width,
            to: (number + 1) as f64 * width,
            share: self.share,
            stated: (self.share > 0.0).then_some(self.stated),
            synthetic: share(&of(Answer::Synthetic), &of(Answer::Real)),
        }
    }
}

/// The gaps of all bins, as far as they are truth and not chance.
///
/// The counted error is a sum of absolute values and so never 0, whatever the truth: it is no estimate by itself. It is compared
/// with what would be counted if the gaps were `scale` times those seen: a folded normal distribution in each bin (Leone, Nelson and
/// Nottingham, Technometrics 3, 1961), and a normal one for their sum. The estimate is the error at the scale for which the
/// counted one is the mean; the interval is of those scales for which the counted one is among the likely 95 %, in the order of
/// likelihood ratios (Feldman and Cousins, Physical Review D 57, 1998), for the error can't be below 0: with equal tails a sample
/// that by luck fits too well would prove that there is none.
struct Gaps {
    bins: Vec<Bin>,
    /// Sum of the squares of all weights, over the square of their sum.
    spread: f64,
}

/// What would be counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// The true error.
    error: f64,
    mean: f64,
    deviation: f64,
}

/// Scales beyond it leave every bin wholly real or wholly synthetic.
const LARGEST_SCALE: f64 = 1e6;

impl Gaps {
    fn estimate(&self, counted: f64, items: u64) -> Estimate {
        let least = self.at(0.0).mean;
        // Where the counted error lies at this scale, and what is likely there; each falls with the scale.
        let place = |scale: f64| {
            let Counted { mean, deviation, .. } = self.at(scale);
            ((counted - mean) / deviation, likely((mean - least) / deviation))
        };
        let low = largest_scale(|scale| {
            let (place, [_, most]) = place(scale);
            place > most
        });
        let high = largest_scale(|scale| {
            let (place, [fewest, _]) = place(scale);
            place >= fewest
        });
        let middle = largest_scale(|scale| place(scale).0 > 0.0);
        let [low, value, high] = [low, middle, high].map(|scale| self.at(scale).error);
        Estimate { value: Some(value), interval: Some([low, high]), items }
    }

    fn at(&self, scale: f64) -> Counted {
        let (mut error, mut squares, mut mean, mut variance) = (0.0, 0.0, 0.0, 0.0);
        for bin in &self.bins {
            let share = (bin.stated + scale * bin.gap).clamp(0.0, 1.0);
            let gap = (share - bin.stated).abs();
            let deviation = ((share * (1.0 - share) - bin.within).max(0.0) * bin.per_item).sqrt();
            let (folded, folded_variance) = folded_normal(gap, deviation);
            error += bin.share * gap;
            squares += bin.share * gap * gap;
            mean += bin.share * folded;
            variance += bin.share * bin.share * folded_variance;
        }
        // How much falls into each bin is chance too.
        variance += (squares - error * error).max(0.0) * self.spread;
        Counted { error, mean, deviation: variance.sqrt().max(f64::MIN_POSITIVE) }
    }
}

/// The largest scale up to which something holds; 0 where it does not from there on.
fn largest_scale(holds: impl Fn(f64) -> bool) -> f64 {
    if !holds(0.0) {
        return 0.0;
    }
    let mut high = 1.0;
    while high < LARGEST_SCALE && holds(high) {
        high *= 2.0;
    }
    reach(0.0, high, 0.5, |scale| if holds(scale) { 0.0 } else { 1.0 })
}

/// The 95 % of a standard normal variable that come first in the order of likelihood ratios, when its mean can't be lower than it
/// is by more than `above` deviations.
fn likely(above: f64) -> [f64; 2] {
    let fewest = |most: f64| if above >= most { -most } else { -(most * most + above * above) / (2.0 * above) };
    let held = |most: f64| normal(most) - if above > 0.0 { normal(fewest(most)) } else { 0.0 };
    let most = reach(0.0, 2.0 * DEVIATIONS, CONFIDENCE, held);
    [if above > 0.0 { fewest(most) } else { f64::NEG_INFINITY }, most]
}

/// Mean and variance of the absolute value of a normal variable.
fn folded_normal(mean: f64, deviation: f64) -> (f64, f64) {
    if deviation <= 0.0 {
        return (mean.abs(), 0.0);
    }
    let place = mean / deviation;
    let density = (-place * place / 2.0).exp() * (2.0 / std::f64::consts::PI).sqrt();
    let folded = deviation * density + mean * (1.0 - 2.0 * normal(-place));
    (folded, (mean * mean + deviation * deviation - folded * folded).max(0.0))
}

/// The standard normal distribution function.
fn normal(place: f64) -> f64 {
    0.5 * (1.0 - (-place / std::f64::consts::SQRT_2).error())
}

#[cfg(test)]
mod tests;
