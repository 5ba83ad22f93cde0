//! The server of the console, asked as a browser asks it, over a real PostgreSQL and the real decoder. Objects are in memory.
//!
//! `ASSAY_TEST_DATABASE_URL` names the PostgreSQL, `ASSAY_TEST_DECODER` the binary `assay-decoder`; `make test` sets both.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(clippy::large_futures, reason = "a test has the stack to itself")]

mod appeals;
mod blind;
mod door;
mod filing;
mod pages;
mod pictures;
mod served;
mod support;
mod table;
mod votes;
