//! An item, as one person may see it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use domain::{Decision, OutcomeId};

use crate::admission::Sight;
use crate::roles::Role;
use crate::vote::{Answer, ReviewGround};

/// It follows from the verdict and the kind: the same verdict is one item of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    Review,
    Appeal,
    Golden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    Open,
    /// People have decided.
    Done,
    /// Nobody looks any more: `closed_why`.
    Closed,
}

/// Why an item is here, as it is shown. What is reviewed blind looks alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownSource {
    Appeal,
    Policy,
    Audit,
    Uncertain,
    Second,
    Escalated,
    Blind,
}

/// All that a page shows of an item, but for what the verdict itself says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemView {
    pub id: ItemId,
    pub kind: ItemKind,
    /// Of an appeal's item.
    pub appeal: Option<Uuid>,
    pub tenant: String,
    pub submission_id: String,
    pub outcome: OutcomeId,
    pub generation: u32,
    /// What the verdict decided. Not for the page while `sight` is blind.
    pub decision: Decision,
    pub model_version: String,
    /// Lower-case hexadecimal.
    pub image_sha256: String,
    #[serde(with = "time::serde::rfc3339")]
    pub decided_at: OffsetDateTime,
    pub age_s: u64,
    pub source: ShownSource,
    pub state: ItemState,
    pub closed_why: Option<String>,
    /// What another person wrote when escalating or assigning; none where blind.
    pub because: Option<String>,
    /// Who asks, here.
    pub role: Role,
    /// Their own, if they hold the item.
    pub lease: Option<Uuid>,
    pub is_held_for_later: bool,
    /// Whether `claim` would be granted now.
    pub may_claim: bool,
    /// Where `lease` is none: why there is no vote, in words.
    pub why_no_vote: Option<String>,
    /// What this person may see of it now.
    pub sight: Sight,
    /// None where blind.
    pub votes: Vec<CountedVote>,
}

/// A vote that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CountedVote {
    /// A pseudonym.
    pub who: String,
    pub role: Role,
    pub answer: Answer,
    pub ground: Option<ReviewGround>,
    pub generator: Option<String>,
    pub comment: Option<String>,
    pub blind: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// An item of a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemSummary {
    pub id: ItemId,
    pub kind: ItemKind,
    pub appeal: Option<Uuid>,
    pub outcome: OutcomeId,
    pub generation: u32,
    pub state: ItemState,
    pub closed_why: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub arrived_at: OffsetDateTime,
}

impl ItemId {
    pub fn of(outcome: OutcomeId, kind: ItemKind) -> ItemId {
        ItemId(Uuid::new_v5(&outcome.0, format!("assay.{}", kind.as_str()).as_bytes()))
    }

    /// Of what follows from the item: a decision, an event.
    pub(crate) fn message(self, kind: &str) -> Uuid {
        Uuid::new_v5(&self.0, format!("assay.{kind}").as_bytes())
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ItemId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<ItemId, uuid::Error> {
        text.parse().map(ItemId)
    }
}

impl ItemKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ItemKind::Review => "review",
            ItemKind::Appeal => "appeal",
            ItemKind::Golden => "golden",
        }
    }
}

impl ItemState {
    pub const ALL: [ItemState; 3] = [ItemState::Open, ItemState::Done, ItemState::Closed];

    pub fn as_str(self) -> &'static str {
        match self {
            ItemState::Open => "open",
            ItemState::Done => "done",
            ItemState::Closed => "closed",
        }
    }
}

impl ShownSource {
    pub fn as_str(self) -> &'static str {
        match self {
            ShownSource::Appeal => "appeal",
            ShownSource::Policy => "policy",
            ShownSource::Audit => "audit",
            ShownSource::Uncertain => "uncertain",
            ShownSource::Second => "second",
            ShownSource::Escalated => "escalated",
            ShownSource::Blind => "blind",
        }
    }
}
