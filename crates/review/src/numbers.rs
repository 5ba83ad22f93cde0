//! What the reviews say of the detector and of the reviewers.
//!
//! [`audit_numbers()`] estimates from the audit sample how often the detector is wrong, by model version and week; [`agreement()`] and
//! [`accuracy()`] say how far those who review can be relied on. All of it is measured against what people answer: where they
//! are wrong, these numbers are too. Intervals hold the truth with 95 % confidence; whether they do is tried in `simulation`.

mod accuracy;
mod agreement;
mod audit_numbers;
mod calibration;
mod sample;
mod share;
#[cfg(test)]
mod simulation;
mod week;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use accuracy::{Against, Mark, ReviewerAccuracy, accuracy};
pub use agreement::{PairAgreement, agreement};
pub use audit_numbers::{AuditNumbers, audit_numbers};
pub use calibration::{CalibrationBin, CalibrationNumbers};
pub use sample::{AuditItem, AuditReview, StratumCounts};
pub use week::{IsoWeek, WeekError};

/// An estimate, and the interval that holds the truth with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReviewEstimate")]
pub struct Estimate {
    /// null where nothing that was reviewed speaks of it.
    pub value: Option<f64>,
    pub interval: Option<[f64; 2]>,
    /// Reviewed items that it rests on.
    pub items: u64,
}

/// Deviations of a normal distribution that hold 95 % between them.
const DEVIATIONS: f64 = 1.959_963_984_540_054;
/// What an interval leaves out on each side.
const TAIL: f64 = 0.025;
const CONFIDENCE: f64 = 0.95;

impl Estimate {
    /// A share that was counted, each item once, with Wilson's interval.
    pub(crate) fn counted(hits: u64, items: u64) -> Estimate {
        let value = (items > 0).then(|| hits as f64 / items as f64);
        Estimate { value, interval: figures::wilson_interval(hits, items, CONFIDENCE), items }
    }
}

/// Where a growing function of a number from `low` to `high` reaches `wanted`; one of the ends where it does not in between.
fn reach(mut low: f64, mut high: f64, wanted: f64, grows: impl Fn(f64) -> f64) -> f64 {
    // Forty halvings leave less than a part in 10¹² of the range.
    for _ in 0..40 {
        let middle = low.midpoint(high);
        if grows(middle) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.midpoint(high)
}

/// [`figures::wilson_interval`] of a share among a number of items that need not be whole.
fn wilson(share: f64, items: f64) -> [f64; 2] {
    let spread = DEVIATIONS * DEVIATIONS / items;
    let middle = (share + spread / 2.0) / (1.0 + spread);
    let half = (spread * (share * (1.0 - share) + spread / 4.0)).sqrt() / (1.0 + spread);
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}
