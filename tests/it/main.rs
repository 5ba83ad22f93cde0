//! The tests that need more than one room.

mod contracts;
mod support;
