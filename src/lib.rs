//! Assay tells real images from generated ones and names the generator.
//!
//! This package is the program: its commands, its configuration, the worker. What they are made of are the packages under
//! `crates/`; ARCHITECTURE.md has the map.

pub mod admin; // /livez /readyz /metrics
pub mod api; // submissions by HTTP, read-only
pub mod commands; // one file for each subcommand
pub mod config; // every part's settings, in layers
pub mod console; // what the review console does beside its pages
pub mod corrections; // what people say against verdicts → labels
pub mod decoding; // results of decoders in the vocabulary of verdicts
pub mod inbox; // small queues: one message at a time
mod moment; // times as people are told them
pub mod shutdown; // signals → a graceful stop
pub mod submission; // what is known of one submission
pub mod telemetry; // logs, metrics and traces
pub mod worker; // the main job, in three stages
