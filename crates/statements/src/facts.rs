//! What a statement follows from: a verdict with its policy, and what people made of it.

use domain::{DecidedBy, Decision, LabelledOrigin, Policy, Score, Thresholds, Verdict};
use time::OffsetDateTime;

/// What a statement follows from. The policy is the verdict's own.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The generation that is in force: where people decided otherwise than the model, the one that followed from their review.
    pub verdict: &'a Verdict,
    /// `None` where no person took part in the decision.
    pub review: Option<Review>,
}

/// What people found, without who they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Review {
    pub found: LabelledOrigin,
    pub decided_at: OffsetDateTime,
}

/// How people's finding relates to the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// They found what the model had decided.
    Confirmed,
    /// They found the opposite.
    Overruled,
    /// The model had been uncertain.
    Decided,
}

impl Review {
    /// What a verdict says of the people who decided it; `None` where the model did.
    pub fn of(verdict: &Verdict) -> Option<Review> {
        let found = match (verdict.decided_by, verdict.decision) {
            (DecidedBy::Review, Decision::Real) => LabelledOrigin::Real,
            (DecidedBy::Review, Decision::Synthetic) => LabelledOrigin::Synthetic,
            _ => return None,
        };
        Some(Review { found, decided_at: verdict.decided_at })
    }

    pub fn resolution(self, score: &Score) -> Resolution {
        match model_decision(score) {
            Decision::Uncertain => Resolution::Decided,
            decision if decision == self.decision() => Resolution::Confirmed,
            _ => Resolution::Overruled,
        }
    }

    /// What was found, as a verdict would say it.
    pub(crate) fn decision(self) -> Decision {
        match self.found {
            LabelledOrigin::Real => Decision::Real,
            LabelledOrigin::Synthetic => Decision::Synthetic,
        }
    }
}

impl Resolution {
    pub fn as_str(self) -> &'static str {
        match self {
            Resolution::Confirmed => "confirmed",
            Resolution::Overruled => "overruled",
            Resolution::Decided => "decided",
        }
    }
}

/// What the model alone decides by its score and thresholds, which stay with a verdict that people decided.
pub(crate) fn model_decision(score: &Score) -> Decision {
    let thresholds = Thresholds { low: score.threshold_low, high: score.threshold_high };
    Policy { thresholds, ..Policy::default() }.decide(score.synthetic)
}
