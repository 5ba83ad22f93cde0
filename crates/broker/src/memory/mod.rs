//! A broker in memory that keeps the same promises, for tests: it can lose its connections, refuse publications,
//! confirm them too late, and it counts what became of every message.

mod broker;
mod corrections;
mod dead_letters;
mod events;
mod state;
mod submission;

pub use broker::Memory;
pub use corrections::MemoryCorrections;
pub use dead_letters::MemoryDeadLetters;
pub use events::MemoryEvents;
pub use state::{Counts, Fault};
pub use submission::MemorySubmitter;
