//! How often the detector is wrong, estimated from the audit sample.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::Decision;

use super::Estimate;
use super::calibration::CalibrationNumbers;
use super::sample::{AuditItem, DECISIONS, Sample, StratumCounts};
use super::share::{Cell, share};
use super::week::IsoWeek;
use crate::vote::Answer;

/// What the audit says of one model in one week.
///
/// The sample is stratified by decision; each answer counts with 1 over the probability with which it was drawn (Horvitz and
/// Thompson, Journal of the American Statistical Association 47, 1952), and within a stratum stands for those not reviewed too: that
/// is right as far as chance decides what is not reviewed. What people can't tell counts for no figure but its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditNumbers {
    pub model_version: String,
    /// In which the verdicts were made.
    pub week: IsoWeek,
    /// What was drawn, and what became of it: real, uncertain, synthetic.
    pub strata: [StratumCounts; 3],
    /// Of what is called synthetic, how much is.
    pub precision: Estimate,
    /// Of what is real, how much is called synthetic.
    pub false_alarms: Estimate,
    /// Of what is synthetic, how much is called real.
    pub misses: Estimate,
    /// Of what is called real, how much is synthetic.
    pub synthetic_among_called_real: Estimate,
    /// Of all verdicts, those of which people can't tell what the image is.
    pub cannot_tell: Estimate,
    pub calibration: CalibrationNumbers,
}

/// The numbers of each model version in each week that something was drawn in, in this order.
pub fn audit_numbers(items: &[AuditItem]) -> Vec<AuditNumbers> {
    let mut groups: BTreeMap<(&str, IsoWeek), Vec<&AuditItem>> = BTreeMap::new();
    for item in items {
        groups.entry((&item.model_version, IsoWeek::of(item.decided_at))).or_default().push(item);
    }
    groups.into_iter().map(|((version, week), items)| AuditNumbers::of(version, week, &Sample::of(&items))).collect()
}

const REAL: &[Answer] = &[Answer::Real];
const SYNTHETIC: &[Answer] = &[Answer::Synthetic];

impl AuditNumbers {
    fn of(version: &str, week: IsoWeek, sample: &Sample<'_>) -> AuditNumbers {
        let everywhere = |answers| DECISIONS.map(|decision| sample.cell(decision, answers));
        // `asked` and `rest`: which answers of which decisions.
        let figure = |asked: (Decision, &[Answer]), rest: &[(Decision, &[Answer])]| {
            let needed: Vec<Decision> = rest.iter().map(|(decision, _)| *decision).chain([asked.0]).collect();
            let cells: Vec<Cell> = rest.iter().map(|(decision, answers)| sample.cell(*decision, answers)).collect();
            known(sample, asked.0, &needed, || share(&[sample.cell(asked.0, asked.1)], &cells))
        };
        let is_complete = is_answered(sample, &DECISIONS);
        let (called_real, unsure, called_synthetic) = (Decision::Real, Decision::Uncertain, Decision::Synthetic);
        AuditNumbers {
            model_version: version.into(),
            week,
            strata: *sample.strata(),
            precision: figure((called_synthetic, SYNTHETIC), &[(called_synthetic, REAL)]),
            false_alarms: figure((called_synthetic, REAL), &[(called_real, REAL), (unsure, REAL)]),
            misses: figure((called_real, SYNTHETIC), &[(unsure, SYNTHETIC), (called_synthetic, SYNTHETIC)]),
            synthetic_among_called_real: figure((called_real, SYNTHETIC), &[(called_real, REAL)]),
            cannot_tell: if is_complete {
                share(&everywhere(&[Answer::CannotTell]), &everywhere(&[Answer::Real, Answer::Synthetic]))
            } else {
                Estimate::default()
            },
            calibration: if is_complete { CalibrationNumbers::of(sample) } else { CalibrationNumbers::default() },
        }
    }
}

/// A figure where something is known of the decision that it asks about, and nothing that was drawn of those needed is without
/// any answer: as if there were none of it, the figure would be wrong.
fn known(sample: &Sample<'_>, asked: Decision, needed: &[Decision], figure: impl Fn() -> Estimate) -> Estimate {
    let is_asked = sample.strata().iter().any(|stratum| stratum.decision == asked && stratum.answered() > 0);
    if is_asked && is_answered(sample, needed) { figure() } else { Estimate::default() }
}

fn is_answered(sample: &Sample<'_>, needed: &[Decision]) -> bool {
    let mut strata = sample.strata().iter().filter(|stratum| needed.contains(&stratum.decision));
    strata.all(|stratum| stratum.drawn == 0 || stratum.answered() > 0)
}

#[cfg(test)]
mod tests;
