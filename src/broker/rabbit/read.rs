//! Reading a queue message by message: for `assay results` and `assay dead`.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, BasicProperties, Channel};

use super::board::Board;
use super::consume::MOST_UNSETTLED;
use super::dead::DeadLetters;
use super::{Address, Link, Part, amqp};
use crate::broker::topology::{Topology, trouble};
use crate::broker::wire::Message;
use crate::broker::{BrokerError, Settings};

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
        Reader::open(settings, &Topology::new(settings).results(), MOST_UNSETTLED).await
    }

    /// Reads the dead letters; many of them can be looked at before one is acknowledged.
    pub async fn of_dead(settings: &Settings) -> Result<Reader, BrokerError> {
        Reader::open(settings, &Topology::new(settings).dead(), DeadLetters::MOST).await
    }

    /// At most `unsettled` messages are here and not acknowledged at a time.
    async fn open(settings: &Settings, queue: &str, unsettled: u16) -> Result<Reader, BrokerError> {
        let link = Link::open(Address::of(settings)?, Part::Consuming, Arc::new(Board::new())).await?;
        let failed = |error| trouble(&format!("queue {queue:?}"), &error);
        let connection = link.connection().await?;
        Topology::new(settings).ensure(&connection).await?;
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.basic_qos(unsettled, BasicQosOptions::default()).await.map_err(failed)?;
        let deliveries = channel
            .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .map_err(failed)?;
        Ok(Reader { link, channel, deliveries })
    }

    /// Waits for the next message. An error ends the reader.
    pub async fn next(&mut self) -> Result<Letter, BrokerError> {
        let delivery = match self.deliveries.next().await {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return Err(BrokerError::Unconfirmed(error.to_string())),
            None => return Err(BrokerError::Closed),
        };
        Ok(Letter {
            message: amqp::message(delivery.data, &delivery.properties),
            routing_key: delivery.routing_key.as_str().to_string(),
            redelivered: delivery.redelivered,
            properties: delivery.properties,
            acker: delivery.acker,
        })
    }

    /// Leaves; what was not acknowledged goes back to the queue.
    pub async fn close(self) {
        let _ = self.channel.close(200, "done".into()).await;
        self.link.close().await;
    }
}
