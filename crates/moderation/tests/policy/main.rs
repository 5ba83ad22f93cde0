//! Policies as their users meet them: files, verdicts and what follows.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in what its modules share too")]

mod applying;
mod checking;
mod drafts;
mod example;
mod properties;
mod refusals;
mod trials;
mod verdicts;
