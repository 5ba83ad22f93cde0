//! Reading a queue message by message: for `assay results`, and what the other readers are made of.

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{Acker, BasicProperties, Channel};

use super::amqp;
use super::channel::{self, MAX_UNSETTLED};
use super::connection::ReconnectingConnection;
use super::declare;
use crate::error::BrokerError;
use crate::settings::Settings;
use crate::topology::Topology;
use crate::wire::message::Message;

/// A consumer of one queue, for one connection: when that is lost every call is an error.
pub struct Reader {
    connection: ReconnectingConnection,
    channel: Channel,
    deliveries: lapin::Consumer,
}

/// A message that stays in the queue until it is acknowledged.
pub struct RawDelivery {
    pub message: Message,
    pub routing_key: String,
    pub redelivered: bool,
    pub(super) receipt: Receipt,
}

/// What it takes to settle a delivery: its acknowledgement, and all its properties as they came.
pub(super) struct Receipt {
    pub properties: BasicProperties,
    acker: Acker,
}

impl RawDelivery {
    /// Takes it out of the queue. What was not, is delivered again to the next reader.
    pub async fn acknowledge(&self) -> Result<(), BrokerError> {
        self.receipt.acknowledge().await
    }
}

impl Receipt {
    pub(super) async fn acknowledge(&self) -> Result<(), BrokerError> {
        match self.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(BrokerError::Closed),
            Err(error) => Err(interrupted("acknowledging", error)),
        }
    }
}

impl Reader {
    /// Reads the queue of the outcomes.
    pub async fn of_results(settings: &Settings) -> Result<Reader, BrokerError> {
        if !settings.results_queue {
            return Err(BrokerError::Topology {
                what: format!("queue {:?}", Topology::new(settings).results()),
                source: "broker.results_queue is false".into(),
                fix: "bind a queue of your own to the outcomes (docs/integrators.md)",
            });
        }
        Reader::open(settings, Topology::results).await
    }

    /// Reads the dead letters.
    pub async fn of_dead(settings: &Settings) -> Result<Reader, BrokerError> {
        Reader::open(settings, Topology::dead).await
    }

    async fn open(settings: &Settings, queue: impl FnOnce(&Topology) -> String) -> Result<Reader, BrokerError> {
        let (connection, topology) = declare::connect(settings).await?;
        let current = connection.current().await?;
        let (channel, deliveries) = channel::consume(&current, &queue(&topology), MAX_UNSETTLED).await?;
        Ok(Reader { connection, channel, deliveries })
    }

    /// Waits for the next message. An error ends the reader.
    pub async fn next(&mut self) -> Result<RawDelivery, BrokerError> {
        next(&mut self.deliveries).await
    }

    /// What was not acknowledged is requeued.
    pub async fn close(self) {
        channel::close(&self.channel).await;
        self.connection.close().await;
    }
}

pub(super) async fn next(deliveries: &mut lapin::Consumer) -> Result<RawDelivery, BrokerError> {
    match deliveries.next().await {
        Some(Ok(delivery)) => Ok(raw(delivery)),
        Some(Err(error)) => Err(interrupted("consuming", error)),
        None => Err(BrokerError::Closed),
    }
}

pub(super) fn raw(delivery: Delivery) -> RawDelivery {
    RawDelivery {
        message: amqp::message(delivery.data, &delivery.properties),
        routing_key: delivery.routing_key.as_str().to_string(),
        redelivered: delivery.redelivered,
        receipt: Receipt { properties: delivery.properties, acker: delivery.acker },
    }
}

fn interrupted(operation: &str, error: lapin::Error) -> BrokerError {
    BrokerError::Interrupted { operation: operation.into(), source: error.into() }
}
