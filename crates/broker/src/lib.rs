//! Messages in, outcomes out: the ports to the message broker, with what each promises, and their implementations.
//!
//! | port | for | on RabbitMQ | in memory |
//! | --- | --- | --- | --- |
//! | [`Broker`] | the worker: requests in, outcomes out | [`rabbit::Rabbit`] | [`memory::Memory`] |
//! | [`Submitter`] | publishing requests | [`rabbit::RabbitSubmitter`] | [`memory::MemorySubmitter`] |
//! | [`Events`] | what consumers are told beside outcomes | [`rabbit::RabbitEvents`] | [`memory::MemoryEvents`] |
//! | [`Inbox`] | taking corrections, decisions of people, appeals | [`rabbit::RabbitInbox`] | [`memory::MemoryInbox`] |
//! | [`DeadLetters`] | listing and replaying dead letters | [`rabbit::RabbitDeadLetters`] | [`memory::MemoryDeadLetters`] |
//!
//! `tests/it/contracts/broker.rs` checks the promises on both.

mod dead_letters;
mod error;
mod events;
mod inbox;
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

pub use dead_letters::{DeadLetter, DeadLetters, MAX_LISTED};
pub use error::{BrokerError, Cause, Unconfirmed};
pub use events::{Event, Events};
pub use inbox::{Inbox, InboxDelivery, Inboxes};
pub use port::{Broker, Consumer, Health, Publication};
pub use queue::{InboxQueue, InputQueue, RequestQueue, Shard};
pub use settings::{Settings, TopologyMode};
pub use submission::Submitter;
