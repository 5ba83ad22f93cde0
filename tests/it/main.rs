//! The tests that need more than one room.

mod architecture;
mod conformance;
mod contracts;
mod pipeline;
mod real_broker;
mod real_worker;
mod support;
