//! PostgreSQL, as every crate that keeps something there uses it: one pool for each process, one schema, one error.
//!
//! Every connection looks at one schema only. A call waits at most `database.timeout_s` for a connection and as long again
//! for each answer.

mod address;
mod connect;
mod error;
mod migrations;
mod pool;
mod settings;
mod sqlstate;

pub use address::{address, exposure};
pub use error::{DatabaseError, is_taken, wants_another_try};
pub use migrations::migrate;
pub use pool::Database;
pub use settings::Settings;
