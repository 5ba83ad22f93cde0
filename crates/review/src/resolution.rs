//! What the votes on an item come to.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::{Decision, LabelledOrigin};

use crate::item::{ReviewItem, Scrutiny};
use crate::vote::{Answer, ReviewGround, Vote};

/// What an item needs next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReviewStep")]
pub enum Step {
    Wanted(Wanted),
    Resolved(Resolution),
    /// Those who decide could not tell. It is kept as that, and makes no label.
    Unresolved(Unresolved),
}

/// Whose vote an item waits for; never that of somebody who has voted on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    First,
    /// By somebody else.
    Second,
    /// The first two don't agree: by a third person, or by a lead, which decides at once.
    ThirdOrLead,
    /// Three don't agree: by a lead.
    Lead,
    /// Of a golden item: by everybody, once.
    Each,
}

/// What an image is, as people have found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolution {
    pub answer: LabelledOrigin,
    pub decided: Decided,
    /// Those who gave this answer, in the order of their votes.
    pub by: Vec<String>,
    /// Theirs, each once.
    pub grounds: Vec<ReviewGround>,
    /// The generator that they name, if those who name one name the same; otherwise the one of a lead who decided.
    pub generator: Option<String>,
    /// Whether the label may be trained on.
    pub trains: bool,
    /// Whether it differs from what the verdict decided, so that a next generation is asked for. An uncertain verdict differs
    /// from every answer.
    pub overturns: bool,
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// One vote was enough.
    Alone,
    /// The first two agree.
    Agreed,
    /// More gave this answer than any other.
    Majority,
    Lead,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unresolved {
    pub decided: Decided,
    /// Those who could not tell.
    pub by: Vec<String>,
}

/// What becomes of an answer that only the look of the image speaks for: `review.train_by_eye`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByEye {
    /// It is kept, and not trained on.
    #[default]
    Kept,
    Trains,
}

/// What an item needs after these votes, in the order in which they were cast.
///
/// The first votes that decide do so for good: what comes after them changes nothing.
pub fn step(item: &ReviewItem, votes: &[Vote], by_eye: ByEye) -> Step {
    let found = (1..=votes.len()).find_map(|count| {
        let decided = decide(item.scrutiny, &votes[..count])?;
        Some((decided, &votes[..count]))
    });
    match found {
        Some(((answer, decided), votes)) => settle(item.decision, answer, decided, votes, by_eye),
        None => Step::Wanted(wanted(item.scrutiny, votes.len())),
    }
}

fn wanted(scrutiny: Scrutiny, votes: usize) -> Wanted {
    match (scrutiny, votes) {
        (Scrutiny::Golden(_), _) => Wanted::Each,
        (_, 0) => Wanted::First,
        (_, 1) => Wanted::Second,
        (_, 2) => Wanted::ThirdOrLead,
        (_, _) => Wanted::Lead,
    }
}

/// Whether the last of these votes decides, and how.
fn decide(scrutiny: Scrutiny, votes: &[Vote]) -> Option<(Answer, Decided)> {
    match (scrutiny, votes) {
        (Scrutiny::Golden(_), _) | (_, []) | (Scrutiny::Double, [_]) => None,
        (Scrutiny::Single, [vote, ..]) => Some((vote.answer, Decided::Alone)),
        (Scrutiny::Double, [first, second]) => {
            (first.answer == second.answer).then_some((first.answer, Decided::Agreed))
        }
        (Scrutiny::Double, [.., last]) if last.role.leads() => Some((last.answer, Decided::Lead)),
        (Scrutiny::Double, _) => majority(votes).map(|answer| (answer, Decided::Majority)),
    }
}

/// The answer that more give than any other.
fn majority(votes: &[Vote]) -> Option<Answer> {
    let count = |answer: Answer| votes.iter().filter(|vote| vote.answer == answer).count();
    Answer::ALL
        .into_iter()
        .find(|&answer| Answer::ALL.iter().all(|&other| other == answer || count(other) < count(answer)))
}

fn settle(verdict: Decision, answer: Answer, decided: Decided, votes: &[Vote], by_eye: ByEye) -> Step {
    let deciding: Vec<&Vote> = votes.iter().filter(|vote| vote.answer == answer).collect();
    let by = deciding.iter().map(|vote| vote.reviewer.clone()).collect();
    let Some(origin) = answer.origin() else { return Step::Unresolved(Unresolved { decided, by }) };
    let grounds: BTreeSet<ReviewGround> = deciding.iter().filter_map(|vote| vote.ground).collect();
    let is_seen_only = grounds.iter().all(|ground| *ground == ReviewGround::ByEye);
    Step::Resolved(Resolution {
        answer: origin,
        decided,
        by,
        generator: generator(&deciding, decided),
        trains: !is_seen_only || by_eye == ByEye::Trains,
        grounds: grounds.into_iter().collect(),
        overturns: !matches!(
            (origin, verdict),
            (LabelledOrigin::Real, Decision::Real) | (LabelledOrigin::Synthetic, Decision::Synthetic)
        ),
    })
}

fn generator(deciding: &[&Vote], decided: Decided) -> Option<String> {
    let named: BTreeSet<&str> = deciding.iter().filter_map(|vote| vote.generator.as_deref()).collect();
    match (named.len(), decided, deciding.last()) {
        (1, _, _) => named.first().map(|name| (*name).into()),
        (_, Decided::Lead, Some(lead)) => lead.generator.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
