//! Reading a queue message by message: for `assay results` and `assay dead`.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, BasicProperties, Channel};

use super::board::Board;
use super::consume::MOST_UNSETTLED;
use super::{Address, Link, Part, amqp};
use crate::topology::{Topology, leave, trouble};
use crate::wire::Message;
use crate::{BrokerError, Settings};

/// A consumer of one queue, for one connection: when that is lost it says so.
pub struct Reader {
    link: Link,
    channel: Channel,
    deliveries: lapin::Consumer,
}

/// A message that stays in the queue until it is acknowledged.
pub struct Letter {
    pub message: Message,
    pub routing_key: String,
    pub redelivered: bool,
    /// All of them, as they came.
    pub(super) properties: BasicProperties,
    acker: Acker,
}

impl Letter {
    /// Takes it out of the queue. What was not, comes again to the next reader.
    pub async fn acknowledge(&self) -> Result<(), BrokerError> {
        match self.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(BrokerError::Closed),
            Err(error) => Err(BrokerError::Unconfirmed(error.to_string())),
        }
    }
}

impl Reader {
    /// Reads the queue of the outcomes.
    pub async fn of_results(settings: &Settings) -> Result<Reader, BrokerError> {
        Reader::open(settings, &Topology::new(settings).results()).await
    }

    /// Reads the dead letters, and takes each out before the next but a few.
    pub async fn of_dead(settings: &Settings) -> Result<Reader, BrokerError> {
        Reader::open(settings, &Topology::new(settings).dead()).await
    }

    async fn open(settings: &Settings, queue: &str) -> Result<Reader, BrokerError> {
        let link = link(settings).await?;
        let (channel, deliveries) = consume(&link, queue).await?;
        Ok(Reader { link, channel, deliveries })
    }

    /// Waits for the next message. An error ends the reader.
    pub async fn next(&mut self) -> Result<Letter, BrokerError> {
        next(&mut self.deliveries).await
    }

    /// Leaves; what was not acknowledged goes back to the queue.
    pub async fn close(self) {
        leave(&self.channel).await;
        self.link.close().await;
    }
}

/// A connection to read by, with the topology as the settings ask for.
pub(super) async fn link(settings: &Settings) -> Result<Link, BrokerError> {
    let link = Link::open(Address::of(settings)?, Part::Consuming, Arc::new(Board::new())).await?;
    Topology::new(settings).ensure(&*link.connection().await?).await?;
    Ok(link)
}

/// A channel that hands out messages of a queue, as many at a time as it can settle to the last one when it closes.
pub(super) async fn consume(link: &Link, queue: &str) -> Result<(Channel, lapin::Consumer), BrokerError> {
    let failed = |error| trouble(&format!("queue {queue:?}"), &error);
    let channel = link.connection().await?.create_channel().await.map_err(failed)?;
    channel.basic_qos(MOST_UNSETTLED, BasicQosOptions::default()).await.map_err(failed)?;
    let options = BasicConsumeOptions::default();
    let deliveries = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
    Ok((channel, deliveries.map_err(failed)?))
}

pub(super) async fn next(deliveries: &mut lapin::Consumer) -> Result<Letter, BrokerError> {
    let delivery = match deliveries.next().await {
        Some(Ok(delivery)) => delivery,
        Some(Err(error)) => return Err(BrokerError::Unconfirmed(error.to_string())),
        None => return Err(BrokerError::Closed),
    };
    Ok(letter(delivery))
}

pub(super) fn letter(delivery: Delivery) -> Letter {
    Letter {
        message: amqp::message(delivery.data, &delivery.properties),
        routing_key: delivery.routing_key.as_str().to_string(),
        redelivered: delivery.redelivered,
        properties: delivery.properties,
        acker: delivery.acker,
    }
}
