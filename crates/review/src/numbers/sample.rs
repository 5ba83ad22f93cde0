//! The audit sample: what was drawn, what became of it, and what it stands for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use domain::Decision;

use super::share::Cell;
use crate::audit::Drawn;
use crate::vote::Answer;

/// A verdict of the audit sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditItem {
    pub model_version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub decided_at: OffsetDateTime,
    pub drawn: Drawn,
    /// The verdict's probability that the image is synthetic, 0 to 1.
    pub synthetic: f32,
    pub review: AuditReview,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditReview {
    /// What its votes came to.
    Answered(Answer),
    /// It may still be reviewed.
    Waiting,
    /// There was no room for it, or the image is gone.
    NotReviewed,
}

/// What became of the verdicts of one decision that were drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReviewStratum")]
pub struct StratumCounts {
    pub decision: Decision,
    /// How many verdicts there are, estimated: each that was drawn stands for 1 over the probability with which it was.
    pub verdicts: f64,
    pub drawn: u64,
    pub real: u64,
    pub synthetic: u64,
    pub cannot_tell: u64,
    pub waiting: u64,
    pub not_reviewed: u64,
}

impl StratumCounts {
    pub fn answered(&self) -> u64 {
        self.real + self.synthetic + self.cannot_tell
    }

    fn of(decision: Decision, items: &[&AuditItem]) -> StratumCounts {
        let drawn: Vec<&&AuditItem> = items.iter().filter(|item| item.drawn.stratum == decision).collect();
        let count = |review| drawn.iter().filter(|item| item.review == review).count() as u64;
        StratumCounts {
            decision,
            verdicts: drawn.iter().map(|item| 1.0 / item.drawn.inclusion).sum(),
            drawn: drawn.len() as u64,
            real: count(AuditReview::Answered(Answer::Real)),
            synthetic: count(AuditReview::Answered(Answer::Synthetic)),
            cannot_tell: count(AuditReview::Answered(Answer::CannotTell)),
            waiting: count(AuditReview::Waiting),
            not_reviewed: count(AuditReview::NotReviewed),
        }
    }
}

/// A sample with the weights of what was answered in it.
pub(super) struct Sample<'a> {
    items: Vec<(&'a AuditItem, Answer)>,
    strata: [StratumCounts; 3],
    /// By what the weight of an answered item of a stratum is multiplied, since it stands for those that were not as well.
    standing_for: [f64; 3],
}

impl<'a> Sample<'a> {
    /// Items whose probability of being drawn is none are left out: no weight follows from it.
    pub(super) fn of(items: &[&'a AuditItem]) -> Sample<'a> {
        let items: Vec<&AuditItem> =
            items.iter().copied().filter(|item| is_probability(item.drawn.inclusion)).collect();
        let strata = DECISIONS.map(|decision| StratumCounts::of(decision, &items));
        let answered = |item: &&'a AuditItem| match item.review {
            AuditReview::Answered(answer) => Some((*item, answer)),
            AuditReview::Waiting | AuditReview::NotReviewed => None,
        };
        let answered: Vec<(&AuditItem, Answer)> = items.iter().filter_map(answered).collect();
        let standing_for = strata.map(|stratum| {
            let of_stratum = answered.iter().filter(|(item, _)| item.drawn.stratum == stratum.decision);
            let weights: f64 = of_stratum.map(|(item, _)| 1.0 / item.drawn.inclusion).sum();
            if weights > 0.0 { stratum.verdicts / weights } else { 0.0 }
        });
        Sample { items: answered, strata, standing_for }
    }

    pub(super) fn strata(&self) -> &[StratumCounts; 3] {
        &self.strata
    }

    /// Of a decision those with these answers.
    pub(super) fn cell(&self, decision: Decision, answers: &[Answer]) -> Cell {
        self.cell_of(decision, |_, answer| answers.contains(&answer))
    }

    /// Of a decision those for which something holds.
    pub(super) fn cell_of(&self, decision: Decision, holds: impl Fn(&AuditItem, Answer) -> bool) -> Cell {
        let stratum = self.strata[place(decision)];
        let mut cell = Cell::new(stratum.verdicts / stratum.answered().max(1) as f64);
        let wanted = self.items.iter().filter(|(item, answer)| item.drawn.stratum == decision && holds(item, *answer));
        wanted.for_each(|(item, _)| cell.add(self.weight(item)));
        cell
    }

    /// What was answered, with the weight of each.
    pub(super) fn answered(&self) -> impl Iterator<Item = (&'a AuditItem, Answer, f64)> {
        self.items.iter().map(|(item, answer)| (*item, *answer, self.weight(item)))
    }

    fn weight(&self, item: &AuditItem) -> f64 {
        self.standing_for[place(item.drawn.stratum)] / item.drawn.inclusion
    }
}

/// The strata, in the order of the score.
pub(super) const DECISIONS: [Decision; 3] = [Decision::Real, Decision::Uncertain, Decision::Synthetic];

/// The place of a decision in [`DECISIONS`].
fn place(decision: Decision) -> usize {
    match decision {
        Decision::Real => 0,
        Decision::Uncertain => 1,
        Decision::Synthetic => 2,
    }
}

fn is_probability(inclusion: f64) -> bool {
    inclusion > 0.0 && inclusion <= 1.0
}
