//! One suite for each port, run on the stand-in in memory and on the real server: what the stand-in may do,
//! the server does too.

mod broker;
mod labels;
mod ledger;
mod objects;
mod registry;
mod store;
