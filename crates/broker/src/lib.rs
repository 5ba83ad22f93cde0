//! Messages in, outcomes out: the ports to the message broker, with what each promises, and their implementations.
//!
//! | port | for | on RabbitMQ | in memory |
//! | --- | --- | --- | --- |
//! | [`Broker`] | the worker: requests in, outcomes out | [`rabbit::Rabbit`] | [`memory::Memory`] |
//! | [`Submitter`] | publishing requests | [`rabbit::RabbitSubmitter`] | [`memory::MemorySubmitter`] |
//! | [`Events`] | what consumers are told beside outcomes | [`rabbit::RabbitEvents`] | [`memory::MemoryEvents`] |
//! | [`Corrections`] | taking corrections | [`rabbit::RabbitCorrections`] | [`memory::MemoryCorrections`] |
//! | [`DeadLetters`] | listing and replaying dead letters | [`rabbit::RabbitDeadLetters`] | [`memory::MemoryDeadLetters`] |
//!
//! `tests/it/contracts/broker.rs` checks the promises on both.

mod corrections;
mod dead_letters;
mod error;
mod events;
pub mod memory;
mod pacing;
mod parts;
mod port;
mod queue;
pub mod rabbit;
mod rate;
mod settings;
mod submission;
pub mod topology;
pub mod wire;

pub use corrections::{CorrectionDelivery, Corrections};
pub use dead_letters::{DeadLetter, DeadLetters, MAX_LISTED};
pub use error::{BrokerError, Cause, Unconfirmed};
pub use events::Events;
pub use port::{Broker, Consumer, Health, Publication};
pub use queue::{InputQueue, RequestQueue, Shard};
pub use settings::{Settings, TopologyMode};
pub use submission::Submitter;
