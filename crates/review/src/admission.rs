//! Whose vote on an item counts, and what they may see before it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::item::{ReviewItem, Scrutiny};
use crate::resolution::{ByEye, Step, Wanted, step};
use crate::roles::Role;
use crate::source::Source;
use crate::vote::{Vote, VoteError};

/// What somebody sees of an item before their vote is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// The image and where it comes from: no score, no decision, no other vote.
    Blind,
    /// Everything.
    Open,
}

/// Why a vote does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteRefused {
    #[error(transparent)]
    Invalid(#[from] VoteError),
    #[error("you have voted on this item already: nobody votes twice")]
    VotedBefore,
    #[error("you have voted on an earlier review of this submission: somebody else decides on the appeal")]
    ReviewedBefore,
    #[error("this vote has to be blind, and score or other votes were shown: take the item again")]
    NotBlind,
    #[error("three people don't agree on this item: it waits for a lead")]
    LeadsOnly,
    #[error("a vote on an appeal needs a reason: write a comment")]
    NoReason,
    #[error("this item is decided already: your vote was not needed any more")]
    Decided,
}

/// What somebody of this role may see of an item before they vote.
///
/// Whatever counts for the audit, a golden item, and a second or third vote are blind, so that nobody repeats the machine or one
/// another. A lead sees everything where others don't agree, except of the audit.
pub fn sight(item: &ReviewItem, votes: &[Vote], role: Role) -> Sight {
    let is_measured = item.audit.is_some() || item.source == Source::Audit;
    match (item.scrutiny, votes.len()) {
        _ if is_measured => Sight::Blind,
        (Scrutiny::Golden(_), _) => Sight::Blind,
        (_, 0) => Sight::Open,
        (_, 1) => Sight::Blind,
        (_, _) if role.leads() => Sight::Open,
        (_, _) => Sight::Blind,
    }
}

/// Whether a vote counts, after those that are in. `reviewed_before`: who has voted on earlier reviews of the same submission,
/// which matters for an appeal.
pub fn admit(
    item: &ReviewItem,
    votes: &[Vote],
    reviewed_before: &BTreeSet<String>,
    vote: &Vote,
) -> Result<(), VoteRefused> {
    vote.validate()?;
    if votes.iter().any(|other| other.reviewer == vote.reviewer) {
        return Err(VoteRefused::VotedBefore);
    }
    if item.source == Source::Appeal {
        if reviewed_before.contains(&vote.reviewer) {
            return Err(VoteRefused::ReviewedBefore);
        }
        if vote.comment.is_none() {
            return Err(VoteRefused::NoReason);
        }
    }
    match step(item, votes, ByEye::default()) {
        Step::Resolved(_) | Step::Unresolved(_) => return Err(VoteRefused::Decided),
        Step::Wanted(Wanted::Lead) if !vote.role.leads() => return Err(VoteRefused::LeadsOnly),
        Step::Wanted(_) => {}
    }
    if sight(item, votes, vote.role) == Sight::Blind && !vote.blind {
        return Err(VoteRefused::NotBlind);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use domain::{Decision, LabelledOrigin, OutcomeId};

    use super::*;
    use crate::audit::Drawn;
    use crate::vote::{Answer, ReviewGround};

    fn item(source: Source, scrutiny: Scrutiny) -> ReviewItem {
        let outcome = OutcomeId(Uuid::from_u128(1));
        ReviewItem { outcome, decision: Decision::Synthetic, source, audit: None, scrutiny }
    }

    fn vote(reviewer: &str, answer: Answer) -> Vote {
        Vote {
            reviewer: reviewer.into(),
            role: Role::Reviewer,
            answer,
            ground: (answer != Answer::CannotTell).then_some(ReviewGround::ByEye),
            blind: true,
            generator: None,
            comment: None,
        }
    }

    fn admitted(item: &ReviewItem, votes: &[Vote], vote: &Vote) -> Result<(), VoteRefused> {
        admit(item, votes, &BTreeSet::from(["first".to_string()]), vote)
    }

    #[test]
    fn nobody_votes_twice() {
        let item = item(Source::Uncertain, Scrutiny::Double);
        let cast = [vote("ann", Answer::Real)];
        assert_eq!(admitted(&item, &cast, &vote("ann", Answer::Synthetic)), Err(VoteRefused::VotedBefore));
        assert_eq!(admitted(&item, &cast, &vote("bob", Answer::Synthetic)), Ok(()));
        let golden = ReviewItem { scrutiny: Scrutiny::Golden(LabelledOrigin::Real), ..item };
        assert_eq!(admitted(&golden, &cast, &vote("ann", Answer::Real)), Err(VoteRefused::VotedBefore));
    }

    #[test]
    fn who_reviewed_first_does_not_decide_on_the_appeal() {
        let appeal = item(Source::Appeal, Scrutiny::Double);
        let by = |name| Vote { comment: Some("no trace of a camera".into()), ..vote(name, Answer::Real) };
        assert_eq!(admitted(&appeal, &[], &by("first")), Err(VoteRefused::ReviewedBefore));
        assert_eq!(admitted(&appeal, &[], &by("ann")), Ok(()));
        assert_eq!(admitted(&appeal, &[], &vote("ann", Answer::Real)), Err(VoteRefused::NoReason));
        let other = item(Source::Policy, Scrutiny::Single);
        assert_eq!(admitted(&other, &[], &vote("first", Answer::Real)), Ok(()), "it is no appeal");
    }

    #[test]
    fn what_is_decided_or_waits_for_a_lead_takes_no_other_vote() {
        let double = item(Source::Uncertain, Scrutiny::Double);
        let agreed = [vote("ann", Answer::Real), vote("bob", Answer::Real)];
        assert_eq!(admitted(&double, &agreed, &vote("cem", Answer::Real)), Err(VoteRefused::Decided));
        let split = [vote("ann", Answer::Real), vote("bob", Answer::Synthetic), vote("cem", Answer::CannotTell)];
        assert_eq!(admitted(&double, &split, &vote("dot", Answer::Real)), Err(VoteRefused::LeadsOnly));
        assert_eq!(admitted(&double, &split, &Vote { role: Role::Lead, ..vote("eve", Answer::Real) }), Ok(()));
    }

    #[test]
    fn a_vote_that_should_be_blind_and_is_not_is_refused() {
        let open = |name| Vote { blind: false, ..vote(name, Answer::Real) };
        let double = item(Source::Policy, Scrutiny::Double);
        assert_eq!(admitted(&double, &[], &open("ann")), Ok(()));
        assert_eq!(admitted(&double, &[open("ann")], &open("bob")), Err(VoteRefused::NotBlind));
        let audit = item(Source::Audit, Scrutiny::Single);
        assert_eq!(admitted(&audit, &[], &open("ann")), Err(VoteRefused::NotBlind));
    }

    #[test]
    fn an_invalid_vote_is_refused_for_what_is_wrong_with_it() {
        let wrong = Vote { ground: None, ..vote("ann", Answer::Real) };
        let found = admitted(&item(Source::Policy, Scrutiny::Single), &[], &wrong);
        assert_eq!(found, Err(VoteRefused::Invalid(VoteError::NoGround(Answer::Real))));
    }

    #[test]
    fn what_is_measured_is_blind_for_everybody_and_disagreement_is_open_to_leads() {
        let cast = [vote("ann", Answer::Real), vote("bob", Answer::Synthetic)];
        let drawn = Drawn { stratum: Decision::Synthetic, inclusion: 0.001, rank: 0.5 };
        let measured = [
            item(Source::Audit, Scrutiny::Double),
            ReviewItem { audit: Some(drawn), ..item(Source::Policy, Scrutiny::Double) },
            item(Source::Uncertain, Scrutiny::Golden(LabelledOrigin::Real)),
        ];
        for item in measured {
            for count in 0..=2 {
                for role in Role::ALL {
                    assert_eq!(sight(&item, &cast[..count], role), Sight::Blind, "{item:?} {count} {role}");
                }
            }
        }
        let double = item(Source::Appeal, Scrutiny::Double);
        let sights = |role| (0..=2).map(|count| sight(&double, &cast[..count], role)).collect::<Vec<_>>();
        assert_eq!(sights(Role::Reviewer), [Sight::Open, Sight::Blind, Sight::Blind]);
        assert_eq!(sights(Role::Lead), [Sight::Open, Sight::Blind, Sight::Open]);
    }
}
