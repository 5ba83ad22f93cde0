//! RabbitMQ.
//!
//! Two connections, because an alarm of the broker (memory, disk) blocks a connection that publishes as a
//! whole: acknowledgements must still get through. Nothing of lapin's own recovery is used: [`connection`] makes a
//! lost connection again, [`consume`] its channel, prefetch and consumer, [`publish`] its channels and confirms,
//! each where it is needed and visible.

mod amqp;
mod broker;
mod channel;
mod connection;
mod consume;
mod dead_letters;
mod declare;
mod events;
mod health;
mod inbox;
mod policies;
mod publish;
mod read;
mod rejections;
mod room;
mod secure;
mod settle;
mod spread;
mod submit;

pub use broker::Rabbit;
pub use dead_letters::RabbitDeadLetters;
pub use declare::{Survey, survey};
pub use events::RabbitEvents;
pub use inbox::{RabbitInbox, RabbitInboxes};
pub use policies::{NotLooked, policies};
pub use read::{RawDelivery, Reader};
pub use submit::RabbitSubmitter;
