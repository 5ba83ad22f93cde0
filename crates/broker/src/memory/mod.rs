//! A broker in memory that keeps the same promises, for tests: it can lose its connections, refuse publications,
//! confirm them too late, and it counts what became of every message.

mod broker;
mod dead_letters;
mod events;
mod inbox;
mod state;
mod submission;

pub use broker::Memory;
pub use dead_letters::MemoryDeadLetters;
pub use events::MemoryEvents;
pub use inbox::MemoryInbox;
pub use state::{Counts, Fault};
pub use submission::MemorySubmitter;
