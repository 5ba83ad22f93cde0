//! The tests that need more than one room.

mod pipeline;
mod support;
