//! Assay tells real images from generated ones and names the generator.
//!
//! The map, in reading order; each room may use those below it in ARCHITECTURE.md's list, never those above.

pub mod admin; // /livez /readyz /metrics
pub mod broker; // messages in, outcomes out
pub mod commands; // one file for each subcommand
pub mod config; // every room's settings, in layers
pub mod database; // PostgreSQL for every room that keeps something there
pub mod decoding; // the same in processes of their own, which may die
pub mod delivery; // [pure] a job and the duty to settle it exactly once
pub mod detector; // the network: crops → scores
pub mod evaluation; // how good a detector is
pub mod imaging; // encoded bytes → the 256×256 crop
pub mod labels; // who says what about an image
pub mod ledger; // outcomes, for good
pub mod moderation; // [pure] the vocabulary: request, scores, decision, verdict, failure
pub mod objects; // images by reference
pub mod picture; // [pure] what may happen to an image, done on purpose
pub mod registry; // model versions: artefacts, promotions, leases
pub mod retrain; // labelled images → a model: files, checkpoints, servers
pub mod shutdown; // signals → a graceful stop
pub mod telemetry; // logs, metrics and traces
pub mod tls; // whom to believe, and why not
pub mod training; // labelled images → an artefact, with no I/O
pub mod worker; // the main job, in three rooms
