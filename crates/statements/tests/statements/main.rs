//! Statements of made-up verdicts, held against the published rules.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in what its modules share too")]

mod deriving;
mod documents;
mod rules;
mod samples;
mod secrecy;
mod templates;
