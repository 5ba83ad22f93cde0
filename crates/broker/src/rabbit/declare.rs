//! Declaring and checking the topology.
//!
//! Where the broker itself moves a message (the end of a delay, the delivery limit), it does so at least once: that strategy
//! needs quorum queues that reject rather than drop.

use std::sync::Arc;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ExchangeKind};

use super::channel::{self, channel_error};
use super::connection::{Endpoint, ReconnectingConnection};
use super::health::{Component, ConnectionHealth};
use crate::error::BrokerError;
use crate::settings::{Settings, TopologyMode};
use crate::topology::{Depth, Purpose, Topology};

/// Connects, checks the topology as the worker would at its start, and looks at every queue: for `assay doctor`.
pub async fn survey(settings: &Settings) -> Result<Vec<Depth>, BrokerError> {
    let (connection, topology) = connect(settings).await?;
    let depths = depths(topology.queues(), &*connection.current().await?).await;
    connection.close().await;
    depths
}

/// A connection to consume by, with the topology as the settings ask for.
pub(super) async fn connect(settings: &Settings) -> Result<(ReconnectingConnection, Topology), BrokerError> {
    let (endpoint, health) = (Endpoint::of(settings)?, Arc::new(ConnectionHealth::new()));
    let connection = ReconnectingConnection::open(endpoint, Component::Consuming, health).await?;
    let topology = Topology::new(settings);
    if let Err(error) = ensure(&topology, &*connection.current().await?).await {
        connection.close().await;
        return Err(error);
    }
    Ok((connection, topology))
}

/// Brings queues and exchanges to what the settings ask for: declares, or checks, or trusts.
pub(super) async fn ensure(topology: &Topology, connection: &Connection) -> Result<(), BrokerError> {
    match topology.mode {
        TopologyMode::Declare => declare(topology, connection).await,
        TopologyMode::Verify => verify(topology, connection).await,
        TopologyMode::None => Ok(()),
    }
}

/// Messages of one queue that are ready.
pub(super) async fn ready(queue: &str, connection: &Connection) -> Result<u32, BrokerError> {
    let depths = depths(vec![queue.to_string()], connection).await?;
    Ok(depths.iter().map(|depth| depth.ready).sum())
}

async fn declare(topology: &Topology, connection: &Connection) -> Result<(), BrokerError> {
    let channel = channel::open(connection).await?;
    let durable = QueueDeclareOptions::durable();
    for (queue, purpose) in topology.purposes() {
        let declared = channel.queue_declare(queue.as_str().into(), durable, arguments(topology, purpose)).await;
        declared.map_err(|error| channel_error(&format!("queue {queue:?}"), error))?;
    }
    let (exchange, results) = (topology.verdicts(), topology.results());
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .map_err(|error| channel_error(&format!("exchange {exchange:?}"), error))?;
    for topic in ["verdict.#", "failure.#"] {
        let (queue, options) = (results.as_str().into(), QueueBindOptions::default());
        let bound = channel.queue_bind(queue, exchange.as_str().into(), topic.into(), options, FieldTable::default());
        let failed = |error| channel_error(&format!("the binding of {results:?} to {exchange:?}"), error);
        bound.await.map_err(failed)?;
    }
    channel::close(&channel).await;
    Ok(())
}

/// Checks each without changing it. Bindings can't be checked; `mandatory` shows when one is missing.
async fn verify(topology: &Topology, connection: &Connection) -> Result<(), BrokerError> {
    depths(topology.queues(), connection).await?;
    find_exchange(&topology.verdicts(), connection).await
}

/// An error where there is no such exchange.
pub(super) async fn find_exchange(exchange: &str, connection: &Connection) -> Result<(), BrokerError> {
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let channel = channel::open(connection).await?;
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Topic, passive, FieldTable::default())
        .await
        .map_err(|error| channel_error(&format!("exchange {exchange:?}"), error))?;
    channel::close(&channel).await;
    Ok(())
}

async fn depths(queues: Vec<String>, connection: &Connection) -> Result<Vec<Depth>, BrokerError> {
    let channel = channel::open(connection).await?;
    let mut depths = Vec::new();
    for queue in queues {
        let passive = QueueDeclareOptions::durable().passive();
        let found = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
        let found = found.map_err(|error| channel_error(&format!("queue {queue:?}"), error))?;
        depths.push(Depth { queue, ready: found.message_count(), consumers: found.consumer_count() });
    }
    channel::close(&channel).await;
    Ok(depths)
}

fn arguments(topology: &Topology, purpose: Purpose) -> FieldTable {
    let (mut arguments, number) = match purpose {
        // Newer brokers count what is put back, and give it up after 20 times.
        Purpose::Inspected => (quorum(), ("x-delivery-limit", i64::from(i32::MAX))),
        Purpose::Input => (dead_lettering_to(&topology.dead()), ("x-delivery-limit", topology.delivery_limit.into())),
        Purpose::Delay { lane, seconds } => {
            (dead_lettering_to(&topology.lane(lane)), ("x-message-ttl", i64::from(seconds) * 1000))
        }
    };
    let (name, value) = number;
    arguments.insert(name.into(), AMQPValue::LongLongInt(value));
    arguments
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

fn dead_lettering_to(queue: &str) -> FieldTable {
    let mut arguments = quorum();
    let mut text = |name: &str, value: &str| {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text("x-dead-letter-exchange", "");
    text("x-dead-letter-routing-key", queue);
    text("x-dead-letter-strategy", "at-least-once");
    text("x-overflow", "reject-publish");
    arguments
}
