//! PostgreSQL, as every crate that keeps something there uses it: one pool for each process, one schema, one error.
//!
//! Every connection looks at one schema only, also behind a pooler ([`session`]). A call waits at most `database.timeout_s` for a connection and as long again
//! for each answer.

mod address;
mod connect;
mod error;
mod migrations;
mod pool;
mod session;
mod settings;
mod sqlstate;
mod statement;

pub use address::{address, exposure};
pub use error::{DatabaseError, is_about_a_value, is_taken, lacks_partition, wants_another_try};
pub use migrations::migrate;
pub use pool::Database;
pub use session::Session;
pub use settings::{Pooler, Settings};
pub use statement::{query, query_scalar};
