//! A range of numbers between 0 and 1, such as scores.

use serde::{Serialize, Serializer};

/// From `at_least` (included) to `below` (not included); one of the two may be absent, but not both.
///
/// A verdict's numbers are 32-bit floats, so a bound is the 32-bit float nearest to what the policy says, and both are compared
/// as such: a bound of `0.9` includes the score that the verdict's document shows as `0.9`, though both are a little less than
/// nine tenths. Without `below` 1 is included. What is not a number lies in no range, not even in one from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Range {
    /// From 0 to 1.
    #[serde(serialize_with = "shortest", skip_serializing_if = "Option::is_none")]
    pub(crate) at_least: Option<f32>,
    /// From 0 to 1.
    #[serde(serialize_with = "shortest", skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<f32>,
}

impl Range {
    pub(crate) fn holds(self, number: f32) -> bool {
        // What is not a number fails the comparison with the bound that there is.
        self.at_least.is_none_or(|least| number >= least) && self.below.is_none_or(|end| number < end)
    }

    /// Whether no number from 0 to 1 lies in it.
    pub(crate) fn is_empty(self) -> bool {
        self.start() >= self.end()
    }

    /// Whether whatever of 0 to 1 lies in this range, which is not empty, lies in the other one too.
    pub(crate) fn is_within(self, other: Range) -> bool {
        other.start() <= self.start() && self.end() <= other.end()
    }

    fn start(self) -> f32 {
        self.at_least.unwrap_or(0.0)
    }

    fn end(self) -> f32 {
        self.below.unwrap_or(f32::INFINITY)
    }
}

/// As text, without an exponent: the fewest digits that name this float. So `0.90` and `9e-1` are written alike.
fn shortest<S: Serializer>(bound: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
    match bound {
        Some(bound) => serializer.collect_str(bound),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(at_least: Option<f32>, below: Option<f32>) -> Range {
        Range { at_least, below }
    }

    #[test]
    fn a_range_holds_its_lower_bound_and_not_its_upper_one() {
        let middle = range(Some(0.35), Some(0.65));
        assert!(middle.holds(0.35) && middle.holds(0.65_f32.next_down()));
        assert!(!middle.holds(0.35_f32.next_down()) && !middle.holds(0.65));
        assert!(range(Some(0.9), None).holds(1.0) && range(None, Some(0.1)).holds(0.0));
        assert!(range(Some(0.0), None).holds(0.0) && !range(None, Some(1.0)).holds(1.0));
    }

    #[test]
    fn what_is_no_number_lies_in_no_range() {
        for bounds in [range(Some(0.0), None), range(None, Some(1.0)), range(Some(0.0), Some(1.0))] {
            assert!(!bounds.holds(f32::NAN));
        }
    }

    #[test]
    fn ranges_are_compared_exactly() {
        assert!(range(Some(0.5), Some(0.5)).is_empty() && range(None, Some(0.0)).is_empty());
        assert!(!range(Some(0.5), Some(0.5_f32.next_up())).is_empty() && !range(Some(1.0), None).is_empty());
        let high = range(Some(0.9), None);
        assert!(high.is_within(range(Some(0.9), None)) && high.is_within(range(Some(0.8), None)));
        assert!(!high.is_within(range(Some(0.9_f32.next_up()), None)) && !high.is_within(range(None, Some(1.0))));
        assert!(range(None, Some(0.2)).is_within(range(Some(0.0), Some(0.2))));
    }
}
