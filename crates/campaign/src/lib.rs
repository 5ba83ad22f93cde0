//! Judging again what was judged before, after a promotion or because something was found to be wrong.
//!
//! A campaign is the submissions that a [`Selection`] chose at one moment, in an order: what is called synthetic first, then what lies
//! nearest the thresholds. [`Job`] submits each of them as its next generation to the bulk queue, never more than there is room
//! for, and none while live uploads wait ([`step()`] decides, and is pure); the workers judge, record and publish as ever. What
//! changed is read from the ledger. docs/adr/0027-judging-again.md

mod job;
mod postgres;
mod report;
mod selection;
mod step;

pub use job::{Job, JobError, Limits};
pub use postgres::{Campaign, Cost, Created, Postgres};
pub use report::{By, Changes, Group};
pub use selection::Selection;
pub use step::{Situation, Step, step};
