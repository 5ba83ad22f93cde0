//! The vocabulary of moderation: requests, scores, decisions, verdicts, failures. Pure values, no I/O.
//!
//! Reading order: [`request`] → [`scores`] → [`policy`], [`threshold_settings`] → [`judge`] → [`provenance`], [`verdict`] and [`failure`] → [`outcome`];
//! then `applied_policy`, [`rejection`], [`erased`], [`label`], [`appeal`] and [`review`].

pub mod appeal;
mod applied_policy;
pub mod delivery;
mod document;
pub mod erased;
pub mod failure;
pub mod judge;
pub mod label;
pub mod outcome;
mod outcome_id;
pub mod policy;
pub mod provenance;
pub mod rejection;
pub mod request;
pub mod review;
pub mod scores;
pub mod threshold_settings;
pub mod verdict;

pub use appeal::Appeal;
pub use applied_policy::{Action, AppliedPolicy};
pub use erased::{Erased, ErasedSubmission};
pub use failure::{Failure, FailureCode, Stage};
pub use judge::{Evidence, Finding, Generator, Grounds, Judge, Observed};
pub use label::{ContentType, Correction, LabelledOrigin, Subject};
pub use outcome::Outcome;
pub use outcome_id::OutcomeId;
pub use policy::{Calibration, Decision, Policy, Thresholds};
pub use provenance::{C2pa, Claim, Hint, HintKind, Provenance};
pub use rejection::{Rejection, RejectionCode};
pub use request::{Context, ImageRef, Purpose, Request, RequestError, SubmissionKey, TraceContext};
pub use review::{AppealDecided, AppealResult, DecidedBy, ReviewDecision, ReviewGround, Reviewed};
pub use scores::Scores;
pub use threshold_settings::{TenantThresholds, ThresholdSettings};
pub use verdict::{
    Candidate, Frames, GeneratorGuess, ImageFormat, JudgedImage, ModelRef, Predecessors, Previous, QualityFlag, Score,
    Timing, Verdict, WorkerRef,
};
