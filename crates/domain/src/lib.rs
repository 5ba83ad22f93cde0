//! The vocabulary: what is asked, what the detector saw, what was decided. Pure values, no I/O.
//!
//! Reading order: [`request`] → [`scores`] → [`policy`] → [`judge`] → [`verdict`] and [`failure`] → [`outcome`]; then [`label`].

pub mod delivery;
pub mod failure;
pub mod judge;
pub mod label;
pub mod outcome;
pub mod policy;
pub mod request;
pub mod scores;
pub mod verdict;

pub use failure::{Failure, FailureCode, Stage};
pub use judge::{Evidence, Finding, Generator, Grounds, Judge};
pub use label::{ContentType, Correction, LabelledOrigin, Subject};
pub use outcome::{Outcome, OutcomeId};
pub use policy::{Calibration, Decision, Policy, Thresholds};
pub use request::{Context, ImageRef, Purpose, Request, RequestError, SubmissionKey, TraceContext};
pub use scores::Scores;
pub use verdict::{
    Candidate, GeneratorGuess, ImageFormat, JudgedImage, ModelRef, QualityFlag, Score, Timing, Verdict, WorkerRef,
};
