//! How often each reviewer is right.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::LabelledOrigin;

use super::Estimate;
use crate::item::{ReviewItem, Scrutiny};
use crate::resolution::{ByEye, Step, step};
use crate::vote::{Answer, Vote};

/// One vote beside what is held to be the truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub reviewer: String,
    pub answer: Answer,
    pub truth: LabelledOrigin,
    pub against: Against,
}

/// Where the truth comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// It was known before.
    Golden,
    /// It is what the votes came to.
    Resolution,
}

/// For leads only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewerAccuracy {
    pub reviewer: String,
    /// Right among the golden items on which they said real or synthetic.
    pub golden: Estimate,
    pub golden_cannot_tell: u64,
    /// The same of the items that were resolved with somebody else's vote. It is higher than the truth: two who are wrong together
    /// count as right.
    pub resolved: Estimate,
    pub resolved_cannot_tell: u64,
}

impl Mark {
    /// The marks that the votes on an item give: on a golden one for each, on a resolved one for those up to the decision if it took
    /// more than one person, and none otherwise.
    pub fn of(item: &ReviewItem, votes: &[Vote]) -> Vec<Mark> {
        let (truth, against, count) = match (item.scrutiny, Self::decision(item, votes)) {
            (Scrutiny::Golden(truth), _) => (truth, Against::Golden, votes.len()),
            (_, Some((truth, count))) if count > 1 => (truth, Against::Resolution, count),
            _ => return Vec::new(),
        };
        let mark = |vote: &Vote| Mark { reviewer: vote.reviewer.clone(), answer: vote.answer, truth, against };
        votes[..count].iter().map(mark).collect()
    }

    /// What was decided, and by how many votes.
    fn decision(item: &ReviewItem, votes: &[Vote]) -> Option<(LabelledOrigin, usize)> {
        (1..=votes.len()).find_map(|count| match step(item, &votes[..count], ByEye::default()) {
            Step::Resolved(resolution) => Some((resolution.answer, count)),
            Step::Wanted(_) | Step::Unresolved(_) => None,
        })
    }

    fn is_right(&self) -> bool {
        self.answer.origin() == Some(self.truth)
    }
}

/// The accuracy of each reviewer, in the order of their names, with Wilson's intervals.
pub fn accuracy(marks: &[Mark]) -> Vec<ReviewerAccuracy> {
    let mut reviewers: BTreeMap<&str, Vec<&Mark>> = BTreeMap::new();
    marks.iter().for_each(|mark| reviewers.entry(&mark.reviewer).or_default().push(mark));
    let numbers = |(reviewer, marks): (&str, Vec<&Mark>)| {
        let against = |against| marks.iter().filter(move |mark| mark.against == against);
        let told = |kind| against(kind).filter(|mark| mark.answer != Answer::CannotTell);
        let estimate = |kind| {
            Estimate::counted(told(kind).filter(|mark| mark.is_right()).count() as u64, told(kind).count() as u64)
        };
        let cannot_tell = |kind| (against(kind).count() - told(kind).count()) as u64;
        ReviewerAccuracy {
            reviewer: reviewer.into(),
            golden: estimate(Against::Golden),
            golden_cannot_tell: cannot_tell(Against::Golden),
            resolved: estimate(Against::Resolution),
            resolved_cannot_tell: cannot_tell(Against::Resolution),
        }
    };
    reviewers.into_iter().map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use domain::{Decision, OutcomeId};

    use super::*;
    use crate::roles::Role;
    use crate::source::Source;
    use crate::vote::ReviewGround;

    fn item(scrutiny: Scrutiny) -> ReviewItem {
        let outcome = OutcomeId(Uuid::from_u128(1));
        ReviewItem { outcome, decision: Decision::Real, source: Source::Audit, audit: None, scrutiny }
    }

    fn votes(cast: &[(&str, Answer)]) -> Vec<Vote> {
        let each = cast.iter().map(|(reviewer, answer)| Vote {
            reviewer: (*reviewer).into(),
            role: Role::Reviewer,
            answer: *answer,
            ground: (*answer != Answer::CannotTell).then_some(ReviewGround::ByEye),
            blind: true,
            generator: None,
            comment: None,
        });
        each.collect()
    }

    #[test]
    fn what_one_person_decided_alone_says_nothing_of_them() {
        assert_eq!(Mark::of(&item(Scrutiny::Single), &votes(&[("ann", Answer::Real)])), []);
        let open = votes(&[("ann", Answer::Real), ("bob", Answer::Synthetic)]);
        assert_eq!(Mark::of(&item(Scrutiny::Double), &open), []);
        let unresolved = votes(&[("ann", Answer::CannotTell), ("bob", Answer::CannotTell)]);
        assert_eq!(Mark::of(&item(Scrutiny::Double), &unresolved), []);
    }

    #[test]
    fn right_answers_are_counted_against_golden_and_resolved_items_apart() {
        let golden = item(Scrutiny::Golden(LabelledOrigin::Synthetic));
        let mut marks = Mark::of(
            &golden,
            &votes(&[("ann", Answer::Synthetic), ("bob", Answer::Real), ("cem", Answer::CannotTell)]),
        );
        let split = votes(&[
            ("ann", Answer::Real),
            ("bob", Answer::Synthetic),
            ("cem", Answer::Real),
            ("late", Answer::Synthetic),
        ]);
        marks.extend(Mark::of(&item(Scrutiny::Double), &split));
        let found = accuracy(&marks);
        let values = |of: fn(&ReviewerAccuracy) -> Estimate| found.iter().map(|who| of(who).value).collect::<Vec<_>>();
        assert_eq!(found.iter().map(|who| who.reviewer.as_str()).collect::<Vec<_>>(), ["ann", "bob", "cem"]);
        assert_eq!(values(|who| who.golden), [Some(1.0), Some(0.0), None]);
        assert_eq!(values(|who| who.resolved), [Some(1.0), Some(0.0), Some(1.0)]);
        assert_eq!((found[2].golden_cannot_tell, found[2].resolved_cannot_tell), (1, 0));
        assert_eq!(found[0].golden.interval, figures::wilson_interval(1, 1, 0.95));
        assert_eq!(accuracy(&[]), []);
    }
}
