//! People in the loop: what they are asked, who may answer, what their answers come to, and what these say of the detector.
//!
//! [`audit`] draws the sample that estimates rest on; [`source`] says why an item waits and how many a day has room for; [`item`]
//! is one of them. [`roles`] says who may do what, [`lease`] who has an item, [`admission`] whose [`vote`] counts and what they see
//! before it, [`resolution`] what the votes come to. [`numbers`] estimates from all of it. These are pure: no I/O, no clock; times
//! and what was drawn are given. [`Postgres`] keeps it all, by these rules.

pub mod admission;
pub mod audit;
mod caller;
mod draw;
pub mod item;
pub mod lease;
pub mod numbers;
pub mod postgres;
mod refused;
pub mod resolution;
pub mod roles;
pub mod settings;
pub mod source;
pub mod views;
pub mod vote;

pub use admission::{Sight, VoteRefused, admit, sight};
pub use audit::{AuditError, AuditSettings, AuditShares, AuditWeights, Drawn};
pub use caller::Caller;
pub use draw::{Salt, SaltTooShort};
pub use item::{DoubleShare, DoubleShareError, ReviewItem, Scrutiny};
pub use lease::{AfterVote, ClaimRefused, Claims, Holder, Person};
pub use postgres::Postgres;
pub use refused::{Refused, RefusedKind};
pub use resolution::{ByEye, Decided, Resolution, Step, Unresolved, Wanted, step};
pub use roles::{Action, Denied, Role, RoleBinding, Scope, Tenants, allowed, allowed_by_any};
pub use settings::{ReviewSettings, ReviewSettingsError, TenantReview};
pub use source::{Arrivals, Intake, Source, UnknownSource, share_out};
pub use views::{
    AppealChoice, AppealDecision, AppealPage, AppealRefused, AppealRow, AppealState, AppealView, By, Cast, Claim,
    Collected, Counted, CountedVote, Filed, Flow, Gauges, Generation, HeldItem, History, ItemId, ItemKind, ItemState,
    ItemSummary, ItemView, LabelRow, ListFilter, ListedItem, NewAppeal, NewVote, Numbers, OutboxKind, OutboxMessage,
    PendingVote, PolicyRow, QueueState, ReviewRow, ReviewerNumbers, SearchPage, SearchRow, ShownSource, SourceWaiting,
    TenantBudget, UnknownBy, Via,
};
pub use vote::{Answer, ReviewGround, Vote, VoteError};
