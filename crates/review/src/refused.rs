//! Why something was not done, in words for whoever wanted it.

use database::DatabaseError;

use crate::admission::VoteRefused;
use crate::lease::ClaimRefused;
use crate::vote::VoteError;

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not there, or not this person's: which of the two is not told.
    #[error("there is no such item, appeal or vote, or it is not yours to see")]
    NotFound,
    #[error(transparent)]
    Claim(#[from] ClaimRefused),
    #[error(transparent)]
    Vote(#[from] VoteRefused),
    #[error("what was known of this submission was erased: nothing was recorded")]
    Erased,
    #[error("this vote is counted already and can't be undone")]
    UndoTooLate,
    #[error("this vote is being undone or counted, or it was void: look at the item again")]
    VoteIsNone,
    #[error("the id of this vote belongs to another one: send a fresh id")]
    VoteTaken,
    #[error("you hold {0} items already: vote on one of them, skip it or hold it for later")]
    TooMany(u32),
    #[error("the budget of this tenant's day is spent: the item waits for tomorrow")]
    Budget,
    #[error("this item needs a blind vote, and you have seen score or votes of it: somebody else takes it")]
    SawBefore,
    #[error("an appeal is decided and not closed: uphold or overturn the verdict")]
    AppealNotClosed,
    #[error("the answer doesn't follow from any decision on this appeal: uphold or overturn the verdict")]
    NoDecision,
    #[error("`{0}` is no reason to close an item: give changed, missing, erased, unreadable or unreachable")]
    NoReasonToClose(String),
    #[error("the comment {0}")]
    Comment(&'static str),
    #[error("this verdict is no verdict in force, so it can't be a golden item")]
    NotInForce,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What kind of refusal it is, for whoever answers by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedKind {
    NotFound,
    /// Something else has happened meanwhile.
    Conflict,
    /// This person may not.
    Forbidden,
    /// What was sent is wrong.
    Invalid,
    /// The database failed.
    Failed,
}

impl Refused {
    pub fn kind(&self) -> RefusedKind {
        match self {
            Refused::NotFound => RefusedKind::NotFound,
            Refused::Claim(ClaimRefused::Role { .. } | ClaimRefused::ReviewedBefore | ClaimRefused::LeadsOnly)
            | Refused::Vote(
                VoteRefused::ReviewedBefore | VoteRefused::LeadsOnly | VoteRefused::Invalid(VoteError::Role(_)),
            ) => RefusedKind::Forbidden,
            Refused::Vote(VoteRefused::Invalid(_) | VoteRefused::NoReason)
            | Refused::NoDecision
            | Refused::NoReasonToClose(_)
            | Refused::Comment(_) => RefusedKind::Invalid,
            Refused::Claim(_)
            | Refused::Vote(_)
            | Refused::Erased
            | Refused::UndoTooLate
            | Refused::VoteIsNone
            | Refused::VoteTaken
            | Refused::TooMany(_)
            | Refused::Budget
            | Refused::SawBefore
            | Refused::AppealNotClosed
            | Refused::NotInForce => RefusedKind::Conflict,
            Refused::Database(_) => RefusedKind::Failed,
        }
    }
}
