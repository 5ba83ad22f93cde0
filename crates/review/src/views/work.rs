//! Claims, votes and what background work did.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::item::ItemId;
use crate::vote::{Answer, ReviewGround};

/// An item that somebody has for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    pub item: ItemId,
    /// Whoever gives it back with a vote shows that they still have the item.
    pub lease: Uuid,
    /// It is decided on the page of appeals.
    pub is_appeal: bool,
}

/// A vote, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVote {
    pub item: ItemId,
    pub lease: Uuid,
    /// Chosen by whoever sends it: whoever sends it twice has voted once.
    pub vote: Uuid,
    pub answer: Answer,
    pub ground: Option<ReviewGround>,
    pub generator: Option<String>,
    /// Of an appeal: the reason.
    pub comment: Option<String>,
}

/// What became of a vote that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    New,
    /// The same vote came before.
    Known,
}

/// Somebody's latest vote that can still be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PendingVote {
    pub vote: Uuid,
    pub item: ItemId,
    pub is_appeal: bool,
    /// As the form has it: an answer, or what was chosen of an appeal.
    pub answer: String,
    pub submission_id: String,
    pub ms_left: u64,
}

/// What [`collect`](crate::Postgres::collect) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Verdicts that were looked at; some of them have been before.
    pub verdicts: u64,
    /// New items.
    pub items: u64,
    /// Items closed because a later verdict came.
    pub superseded: u64,
}

/// What [`count_votes`](crate::Postgres::count_votes) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Votes that count now.
    pub counted: u64,
    /// Votes that nobody needed any more.
    pub void: u64,
    /// Items on which something was decided, also that it can't be told.
    pub resolved: u64,
    pub labels: u64,
    /// Messages to be sent.
    pub messages: u64,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxKind {
    /// To the workers: people found something else than the verdict says.
    Decision,
    /// The event of a decided appeal.
    Appeal,
    /// To the workers: the next generation is wanted, as the image has changed.
    Rejudge,
}

/// A message that is sent at least once, until [`sent`](crate::Postgres::sent) says that it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutboxMessage {
    /// The same at each repetition.
    pub id: Uuid,
    pub kind: OutboxKind,
    pub document: Value,
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
}

impl OutboxKind {
    pub const ALL: [OutboxKind; 3] = [OutboxKind::Decision, OutboxKind::Appeal, OutboxKind::Rejudge];

    pub fn as_str(self) -> &'static str {
        match self {
            OutboxKind::Decision => "decision",
            OutboxKind::Appeal => "appeal",
            OutboxKind::Rejudge => "rejudge",
        }
    }
}
