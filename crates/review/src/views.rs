//! What is asked of the store and what it answers. Pure.

mod appeal;
mod history;
mod item;
mod numbers;
mod queue;
mod search;
mod work;

pub use appeal::{
    AppealChoice, AppealDecision, AppealPage, AppealRefused, AppealRow, AppealState, AppealView, Filed, NewAppeal, Via,
};
pub use history::{Generation, History, LabelRow, PolicyRow, ReviewRow};
pub use item::{CountedVote, ItemId, ItemKind, ItemState, ItemSummary, ItemView, ShownSource};
pub use numbers::{Flow, Gauges, Numbers, ReviewerNumbers};
pub use queue::{HeldItem, ListFilter, ListedItem, QueueState, SourceWaiting, TenantBudget};
pub use search::{By, SearchPage, SearchRow, UnknownBy};
pub use work::{Cast, Claim, Collected, Counted, NewVote, OutboxKind, OutboxMessage, PendingVote};
