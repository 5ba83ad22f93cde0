//! What follows from a verdict: an organisation's policy, an ordered list of rules of which the first that matches decides.
//!
//! A [`Policy`] is read from TOML, [checked](check()) for rules that can never match, and [applied](Policy::apply) to each
//! verdict, whose `decision` it never touches. A [`Trial`] counts what it would have done with the verdicts that are there. All of that
//! is pure. [`Postgres`] keeps policies, trials, and which policy is in force since when.
//!
//! Reading order: `rule`, of conditions (`words`, `sets`, `range`, `number`, `metadata`) → `policy` → `reading`, with
//! `fields` and `faults` → `apply` → `check` → `trial` → `store` → `postgres`.

mod apply;
mod check;
mod faults;
mod fields;
mod metadata;
mod number;
mod policy;
mod postgres;
mod range;
mod reading;
mod rule;
mod sets;
mod store;
mod trial;
mod words;

pub use check::{Cause, Finding, check};
pub use domain::{Action, AppliedPolicy};
pub use faults::{Fault, PolicyErrors, RuleRef};
pub use policy::Policy;
pub use postgres::{InForce, Postgres};
pub use reading::{MAX_BYTES, MAX_RULES};
pub use rule::Rule;
pub use store::{Activation, ActivationError, NewActivation, Put, Stored, Wanted};
pub use trial::{ActionCount, Change, Example, Precision, RuleCount, Trial, TrialReport, Tried};
