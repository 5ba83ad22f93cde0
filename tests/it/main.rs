//! The tests that need more than one room.

#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

mod contracts;
mod real_broker;
mod support;
