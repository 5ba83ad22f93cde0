//! The store of reviews in PostgreSQL.
//!
//! Every call asks the database what its caller may do, in the transaction in which it does it. An item is changed by whoever has
//! locked its row, and by the rules of [`Claims`](crate::Claims) and [`step`](crate::step()).

mod appeals;
mod budget;
mod claiming;
mod collecting;
mod counting;
mod filing;
mod golden;
mod history;
mod holding;
mod looking;
mod numbers;
mod outbox;
mod queue;
mod row;
mod searching;
mod settling;
mod sighting;
mod store;
mod voting;

pub use store::Postgres;
