//! What is known of a submission, deleted: the person in the picture, or a law, wants it gone.
//!
//! [`Selection`] says what of a tenant's; [`Postgres`] finds it, marks its keys and deletes it; [`Job`] does that to the end
//! and publishes what is gone; the [`Receipt`] says what was found, deleted, kept and why. docs/adr/0026-erasure.md
//!
//! It is done in batches, and each in this order, so that whoever is killed at any point gives the command again and loses
//! nothing: the keys are marked; who still writes without knowing of the marks has ended; consumers are told; files and labels
//! and rows go, with the counts, in one transaction.

mod job;
mod postgres;
mod receipt;
mod selection;

pub use job::{Ended, Files, Job, JobError, LearntBy};
pub use postgres::Postgres;
pub use receipt::{Counts, Kept, NotReached, Receipt};
pub use selection::{Selection, SelectionError, What};
