//! The queue of the corrections: what somebody says of an image, until it is taken down as a label.

use std::sync::Arc;

use lapin::options::BasicGetOptions;
use time::OffsetDateTime;

use super::amqp;
use super::board::Board;
use super::link::Link;
use super::publish::{Publisher, Route};
use super::read::{Letter, consume, letter, link, next};
use crate::topology::{Topology, leave, trouble};
use crate::{BrokerError, Settings, wire};

/// Takes corrections, over one connection: when that is lost it says so, and what was not settled comes again.
pub struct Corrections {
    link: Link,
    publisher: Publisher,
    topology: Topology,
    taking: Option<(lapin::Channel, lapin::Consumer)>,
    asking: Option<lapin::Channel>,
}

impl Corrections {
    pub async fn open(settings: &Settings) -> Result<Corrections, BrokerError> {
        let link = link(settings).await?;
        let publisher = Publisher::open(settings, Arc::new(Board::new())).await?;
        Ok(Corrections { link, publisher, topology: Topology::new(settings), taking: None, asking: None })
    }

    /// The next one that is there; `None` when none is.
    pub async fn take(&mut self) -> Result<Option<Letter>, BrokerError> {
        let queue = self.topology.labels();
        let failed = |error: lapin::Error| trouble(&format!("queue {queue:?}"), &error);
        let channel = match &self.asking {
            Some(channel) => channel,
            None => {
                let channel = self.link.connection().await?.create_channel().await.map_err(failed)?;
                self.asking.insert(channel)
            }
        };
        let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: false }).await.map_err(failed)?;
        Ok(got.map(|got| letter(got.delivery)))
    }

    /// Waits for the next one. An error ends the value.
    pub async fn next(&mut self) -> Result<Letter, BrokerError> {
        let (_, deliveries) = match &mut self.taking {
            Some(taking) => taking,
            None => {
                let consumer = consume(&self.link, &self.topology.labels()).await?;
                self.taking.insert(consumer)
            }
        };
        next(deliveries).await
    }

    /// Moves one to the dead letters, body and headers as they came; returns once it is safe there and out of this queue.
    pub async fn bury(&self, letter: &Letter, reason: &str) -> Result<(), BrokerError> {
        let marks = wire::marks_of_death(reason, &self.topology.labels(), OffsetDateTime::now_utc());
        let properties = amqp::copied(&letter.properties, &marks);
        self.publisher.publish(Route::Queue(&self.topology.dead()), &letter.message.body, properties).await?;
        letter.acknowledge().await
    }

    /// Leaves; what was not settled goes back to the queue.
    pub async fn close(self) {
        let taking = self.taking.map(|(channel, _)| channel);
        for channel in taking.iter().chain(&self.asking) {
            leave(channel).await;
        }
        self.publisher.close().await;
        self.link.close().await;
    }
}
