//! How good a detector is, measured on images of which it is known what they are.
//!
//! [`examine`](examination::examine) has the worker's own engine score every image under every [`Condition`]; what comes of
//! it is put together into an [`Evaluation`]: one document, which [`report`] also makes a page of. The figures are the crate
//! [`figures`]'; how each is defined, and why: docs/evaluation.md.

pub mod adversarial;
mod asked;
mod document;
pub mod examination;
pub mod experiment;
mod generators;
pub mod mistakes;
pub mod report;
mod shortcuts;
mod sources;
mod tracks;

pub use adversarial::{AdversarialPoint, Attacker};
pub use asked::{Asked, AttackPlan};
pub use document::{Evaluation, evaluate};
pub use examination::{Condition, Examination, Judged, Unreadable};
pub use generators::{GeneratorTrack, Unseen};
pub use shortcuts::Shortcuts;
pub use sources::BySource;
pub use tracks::{OriginTrack, Sweep, SweepPoint};
