//! What is reviewed, and how many people are to look at it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::{Decision, LabelledOrigin, OutcomeId};

use crate::audit::Drawn;
use crate::draw::{Purpose, Salt};
use crate::source::Source;

/// One verdict that people are to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewItem {
    /// The verdict.
    pub outcome: OutcomeId,
    /// What it decided.
    pub decision: Decision,
    pub source: Source,
    /// Present where the verdict is in the audit sample, whatever source brought it here: it then counts for the estimates, so
    /// it is reviewed blind.
    pub audit: Option<Drawn>,
    pub scrutiny: Scrutiny,
}

/// How many people look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scrutiny {
    /// One.
    Single,
    /// Two, without seeing each other's answer; more where they don't agree.
    Double,
    /// The answer is known: each reviewer looks once, to be measured, and nothing is resolved.
    Golden(LabelledOrigin),
}

/// The share of the items that two people look at though one would do, 0 to 1: `review.double_share`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleShare(f64);

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`review.double_share` is {0}: give a share from 0 to 1, such as 0.1")]
pub struct DoubleShareError(f64);

impl DoubleShare {
    pub fn new(share: f64) -> Result<DoubleShare, DoubleShareError> {
        if (0.0..=1.0).contains(&share) { Ok(DoubleShare(share)) } else { Err(DoubleShareError(share)) }
    }
}

impl Scrutiny {
    /// Of an item that is not golden: two people for an appeal and for what is drawn by the hash of the outcome's id, the same
    /// way at each delivery; one for others. This draw and that of the audit are independent.
    pub fn of(source: Source, outcome: OutcomeId, double: DoubleShare, salt: &Salt) -> Scrutiny {
        if source == Source::Appeal || salt.draw(Purpose::DoubleReview, outcome) < double.0 {
            Scrutiny::Double
        } else {
            Scrutiny::Single
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn salt() -> Salt {
        Salt::new([3; 32]).unwrap()
    }

    fn doubled(source: Source, share: f64) -> usize {
        let of = |number| {
            Scrutiny::of(source, OutcomeId(Uuid::from_u128(number)), DoubleShare::new(share).unwrap(), &salt())
        };
        (0..10_000).filter(|&number| of(number) == Scrutiny::Double).count()
    }

    #[test]
    fn appeals_are_always_reviewed_twice_and_others_by_the_share() {
        assert_eq!(doubled(Source::Appeal, 0.0), 10_000);
        assert_eq!((doubled(Source::Audit, 0.0), doubled(Source::Audit, 1.0)), (0, 10_000));
        // A tenth, and five deviations.
        assert!(doubled(Source::Uncertain, 0.1).abs_diff(1000) < 150, "{}", doubled(Source::Uncertain, 0.1));
    }

    #[test]
    fn a_share_that_is_none_is_refused() {
        for share in [-0.1, 1.5, f64::NAN] {
            let error = DoubleShare::new(share).unwrap_err().to_string();
            assert!(error.contains("review.double_share"), "{error}");
        }
    }
}
