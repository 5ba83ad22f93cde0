//! The tests that need more than one room.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in its helpers too")]

mod conformance;
mod contracts;
mod support;
