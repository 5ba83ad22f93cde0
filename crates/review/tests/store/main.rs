//! The store of reviews over a real PostgreSQL: many at once, connections that are cut, and sequences held against the pure rules.
//!
//! `ASSAY_TEST_DATABASE_URL` names the PostgreSQL; `make test` sets it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(clippy::large_futures, reason = "a test has the stack to itself")]

mod claiming;
mod counting;
mod rules;
mod tenants;
mod world;
