//! The tests of several packages together, on stand-ins and on real servers.

#![allow(unreachable_pub, reason = "nothing in a test program is reached from outside")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in its helpers too")]

mod api;
mod architecture;
mod attack_surface;
mod bad_input;
mod cli;
mod codecs;
mod conformance;
mod contracts;
mod decoding;
mod documents;
mod erasing;
mod evaluate;
mod file_contents;
mod hostile;
mod labels;
mod least_rights;
mod ledger;
mod models;
mod moderation;
mod observability;
mod operating;
mod outages;
mod pipeline;
mod policies;
mod pooler;
mod real_broker;
mod real_tls;
mod real_worker;
mod results_queue;
mod retrain;
mod reverdict;
mod reviewing;
mod secrets;
mod settings;
mod shards;
mod support;
mod traces;
mod training;
