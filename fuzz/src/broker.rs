//! The messages, without a broker.

#[path = "../../src/broker/wire/mod.rs"]
pub mod wire;

use crate::moderation::{Context, Outcome};

/// As in `src/broker/mod.rs`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Publication<'a> {
    pub outcome: &'a Outcome,
    pub context: &'a Context,
}
