//! A share, estimated from items that stand for unequal numbers of verdicts.

use special::Gamma;

use super::{Estimate, TAIL, reach};

/// Reviewed items of one stratum that are the same in what is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    items: u64,
    /// Sum of their weights: how many verdicts they stand for.
    total: f64,
    /// Sum of the squares of their weights.
    squares: f64,
    /// The weight that one more such item would have, where there is none yet.
    typical: f64,
}

impl Cell {
    /// `typical`: the mean weight in the stratum.
    pub(super) fn new(typical: f64) -> Cell {
        Cell { typical, ..Cell::default() }
    }

    /// `weight` above 0.
    pub(super) fn add(&mut self, weight: f64) {
        self.items += 1;
        self.total += weight;
        self.squares += weight * weight;
    }

    /// The total, and its limits: as if so many items of equal weight had been found as have the same total and variance.
    fn limits(self) -> Limits {
        let weight = if self.items > 0 { self.squares / self.total } else { self.typical };
        if weight <= 0.0 {
            return Limits::default();
        }
        let [low, high] = count_limits(self.total / weight);
        Limits { low: weight * low, total: self.total, high: weight * high }
    }
}

/// The share of verdicts like `hits` among those like `hits` and `rest`, in which each cell is of another stratum or kind.
///
/// Drawn with a small probability, the items of each cell are a Poisson count of their own. A weighted count has the limits of the
/// count of equal weights with the same mean and variance (Fay and Feuer, Statistics in Medicine 16, 1997); a count has the
/// equal-tailed limits of the Jeffreys prior (Brown, Cai and DasGupta, Statistica Sinica 13, 2003). Limits of sums follow from
/// those of their parts (Zou and Donner, Statistics in Medicine 27, 2008), and those of a ratio of two sums by MOVER-R (Donner and
/// Zou, Statistical Methods in Medical Research 21, 2012; Newcombe, the same 25, 2016). Chosen by trial: the linearised variance,
/// with Wilson's interval for an effective sample size or with a logit transform, fails where strata are drawn unequally and errors are
/// rare, as a test in `simulation` shows.
pub(super) fn share(hits: &[Cell], rest: &[Cell]) -> Estimate {
    let items = hits.iter().chain(rest).map(|cell| cell.items).sum();
    let (hits, rest) = (Limits::of_sum(hits), Limits::of_sum(rest));
    let all = hits.total + rest.total;
    if all <= 0.0 {
        return Estimate { items, ..Estimate::default() };
    }
    let high = hits.highest_ratio_to(rest).map_or(1.0, |ratio| ratio / (1.0 + ratio));
    let low = rest.highest_ratio_to(hits).map_or(0.0, |ratio| 1.0 / (1.0 + ratio));
    Estimate { value: Some(hits.total / all), interval: Some([low, high]), items }
}

/// A total, and what it may be.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    low: f64,
    total: f64,
    high: f64,
}

impl Limits {
    fn of_sum(cells: &[Cell]) -> Limits {
        let parts: Vec<Limits> = cells.iter().map(|cell| cell.limits()).collect();
        let root = |distance: fn(&Limits) -> f64| parts.iter().map(|part| distance(part).powi(2)).sum::<f64>().sqrt();
        let total: f64 = parts.iter().map(|part| part.total).sum();
        let low = total - root(|part| part.total - part.low);
        Limits { low: low.max(0.0), total, high: total + root(|part| part.high - part.total) }
    }

    /// The upper limit of this total over another; `None` where there is none, as the other may be 0.
    fn highest_ratio_to(self, other: Limits) -> Option<f64> {
        let (product, below, above) = (
            self.total * other.total,
            other.low * (2.0 * other.total - other.low),
            self.high * (2.0 * self.total - self.high),
        );
        let root = (product * product - below * above).max(0.0).sqrt();
        (below > 0.0).then(|| (product + root) / below)
    }
}

/// The limits of the mean of a Poisson count: of the gamma distribution with so many and a half. No items at all may be none.
fn count_limits(count: f64) -> [f64; 2] {
    let most = count + 10.0 * (count + 1.0).sqrt();
    let reached = |part: f64| reach(0.0, most, part, |mean| mean.inc_gamma(count + 0.5));
    [if count > 0.0 { reached(TAIL) } else { 0.0 }, reached(1.0 - TAIL)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(items: u64, weight: f64) -> Cell {
        let mut cell = Cell::new(weight);
        (0..items).for_each(|_| cell.add(weight));
        cell
    }

    #[test]
    fn the_limits_of_a_count_are_those_of_the_chi_square_tables() {
        // Half the quantiles of chi-square with 1, 3 and 21 degrees of freedom.
        for (count, low, high) in [(0.0, 0.0, 2.512), (1.0, 0.1079, 4.674), (10.0, 5.142, 17.739)] {
            let found = count_limits(count);
            assert!((found[0] - low).abs() < 1e-3 && (found[1] - high).abs() < 1e-3, "{count}: {found:?}");
        }
        let [low, high] = count_limits(1e6);
        assert!((low - 998_041.0).abs() < 5.0 && (high - 1_001_961.0).abs() < 5.0, "{low} {high}");
    }

    #[test]
    fn with_many_items_of_equal_weight_it_is_the_interval_of_the_textbook() {
        let found = share(&[cell(400, 1000.0)], &[cell(600, 1000.0)]);
        assert_eq!((found.value, found.items), (Some(0.4), 1000));
        let [low, high] = found.interval.unwrap();
        let half = 1.96 * (0.4_f64 * 0.6 / 1000.0).sqrt();
        assert!((low - (0.4 - half)).abs() < 2e-3 && (high - (0.4 + half)).abs() < 2e-3, "{low} {high}");
    }

    #[test]
    fn none_of_some_gives_no_certainty() {
        let found = share(&[cell(0, 1000.0)], &[cell(50, 1000.0)]);
        let [low, high] = found.interval.unwrap();
        assert_eq!((found.value, low), (Some(0.0), 0.0));
        assert!(high > 0.04 && high < 0.08, "{high}");
        // The few that a rare stratum could still hide weigh more.
        let heavy = share(&[cell(0, 5000.0)], &[cell(50, 1000.0)]).interval.unwrap();
        assert!(heavy[1] > 3.0 * high, "{heavy:?}");
        let all = share(&[cell(50, 1000.0)], &[cell(0, 1000.0)]).interval.unwrap();
        assert!((all[0] - (1.0 - high)).abs() < 1e-9 && all[1] == 1.0);
        assert_eq!(share(&[cell(0, 1.0)], &[cell(0, 1.0)]), Estimate::default());
        assert_eq!(share(&[], &[]), Estimate::default());
    }

    #[test]
    fn items_of_unequal_weight_say_less_than_as_many_of_equal_weight() {
        let mut unequal = Cell::new(1000.0);
        (0..20).for_each(|number| unequal.add(if number % 2 == 0 { 100.0 } else { 1900.0 }));
        let width = |hits| {
            let [low, high] = share(&[hits], &[cell(100, 1000.0)]).interval.unwrap();
            high - low
        };
        assert!(width(unequal) > 1.2 * width(cell(20, 1000.0)));
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_estimate_and_mirrors_the_rest(
            hits in prop::collection::vec((0..40_u64, 0.5..2000.0_f64), 1..4),
            rest in prop::collection::vec((0..400_u64, 0.5..2000.0_f64), 1..4), scale in 0.001..1000.0_f64,
        ) {
            let cells = |counts: &[(u64, f64)], scale: f64| -> Vec<Cell> {
                counts.iter().map(|(items, weight)| cell(*items, weight * scale)).collect()
            };
            let (hits_cells, rest_cells) = (cells(&hits, 1.0), cells(&rest, 1.0));
            let found = share(&hits_cells, &rest_cells);
            if let (Some(value), Some([low, high])) = (found.value, found.interval) {
                prop_assert!((0.0..=value + 1e-9).contains(&low) && (value - 1e-9..=1.0).contains(&high), "{:?}", found);
                prop_assert!(low < high);
                let [below, above] = share(&rest_cells, &hits_cells).interval.unwrap();
                prop_assert!((below - (1.0 - high)).abs() < 1e-9 && (above - (1.0 - low)).abs() < 1e-9);
                // It does not matter how many verdicts there are in all.
                let scaled = share(&cells(&hits, scale), &cells(&rest, scale)).interval.unwrap();
                prop_assert!((scaled[0] - low).abs() < 1e-6 && (scaled[1] - high).abs() < 1e-6);
            } else {
                prop_assert!(found.items == 0);
            }
        }
    }
}
