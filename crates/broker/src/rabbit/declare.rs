//! Declaring and checking the topology.
//!
//! Where the broker itself moves a message (the end of a delay, the delivery limit), it does so at least once: that strategy
//! needs quorum queues that reject rather than drop.

use std::sync::Arc;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::channel::{self, channel_error};
use super::connection::{Endpoint, ReconnectingConnection};
use super::health::{Component, ConnectionHealth};
use super::spread;
use crate::error::BrokerError;
use crate::settings::{Settings, TopologyMode};
use crate::topology::{Depth, Kept, Purpose, Topology};

/// The topics of all outcomes.
const OUTCOMES: [&str; 2] = ["verdict.#", "failure.#"];

/// What [`survey`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    pub depths: Vec<Depth>,
    /// What works, and should be otherwise, with the fix.
    pub remarks: Vec<String>,
}

/// Connects, checks the topology as the worker would at its start, and looks at every queue: for `assay doctor`.
pub async fn survey(settings: &Settings) -> Result<Survey, BrokerError> {
    let (connection, topology, mut remarks) = examined(settings).await?;
    let current = connection.current().await?;
    let depths = depths(topology.queues(), &current).await;
    remarks.extend(spread::left_over(&topology, &current).await?);
    if topology.kept().is_none() && channel::queue_is_there(&topology.results(), &current).await? {
        remarks.push(superfluous(&topology.results()));
    }
    connection.close().await;
    Ok(Survey { depths: depths?, remarks })
}

/// A connection to consume by, with the topology as the settings ask for.
pub(super) async fn connect(settings: &Settings) -> Result<(ReconnectingConnection, Topology), BrokerError> {
    let (connection, topology, _) = examined(settings).await?;
    Ok((connection, topology))
}

async fn examined(settings: &Settings) -> Result<(ReconnectingConnection, Topology, Vec<String>), BrokerError> {
    let (endpoint, health) = (Endpoint::of(settings)?, Arc::new(ConnectionHealth::new()));
    let connection = ReconnectingConnection::open(endpoint, Component::Consuming, health).await?;
    let topology = Topology::new(settings);
    let ensured = async {
        let mut remarks = ensure(&topology, &*connection.current().await?).await?;
        remarks.extend(spread::declare(&topology, settings).await?);
        Ok(remarks)
    };
    match ensured.await {
        Ok(remarks) => Ok((connection, topology, remarks)),
        Err(error) => {
            connection.close().await;
            Err(error)
        }
    }
}

/// Brings queues and exchanges to what the settings ask for: declares, or checks, or trusts. Gives what works all the same
/// and should be otherwise.
pub(super) async fn ensure(topology: &Topology, connection: &Connection) -> Result<Vec<String>, BrokerError> {
    match topology.mode {
        TopologyMode::Declare => declare(topology, connection).await,
        TopologyMode::Verify => verify(topology, connection).await.map(|()| Vec::new()),
        TopologyMode::None => Ok(Vec::new()),
    }
}

/// The queue of the outcomes had no bound in earlier versions, or had another one. It takes outcomes as it is, so that is no
/// reason not to work; only the broker's disk may fill.
fn bounded_otherwise(results: &str, error: &BrokerError) -> String {
    format!(
        "{results} is declared with another bound than broker.results_max_messages and broker.results_max_age_s ask for, and \
         is used as it is ({error}). Read it empty (`assay results --json > outcomes.jsonl`), delete it (`rabbitmqctl \
         delete_queue --if-empty {results}`, with --vhost) and declare it anew with `assay doctor`: outcomes of that moment \
         wait in the workers. Or set both keys to what it was declared with, 0 for no limit"
    )
}

fn superfluous(results: &str) -> String {
    format!(
        "{results} is there though broker.results_queue is false: it goes on filling. Bind a queue of your own to the \
         outcomes, and then delete this one (`rabbitmqctl delete_queue {results}`, with --vhost)"
    )
}

/// Messages of these queues that are ready.
pub(super) async fn ready(queues: Vec<String>, connection: &Connection) -> Result<u32, BrokerError> {
    let depths = depths(queues, connection).await?;
    Ok(depths.iter().map(|depth| depth.ready).sum())
}

async fn declare(topology: &Topology, connection: &Connection) -> Result<Vec<String>, BrokerError> {
    let mut remarks = Vec::new();
    let mut channel = channel::open(connection).await?;
    let durable = QueueDeclareOptions::durable();
    for (queue, purpose) in topology.purposes() {
        let declared = channel.queue_declare(queue.as_str().into(), durable, arguments(topology, purpose)).await;
        let Err(error) = declared else { continue };
        let differs = channel::is_declared_otherwise(&error) && matches!(purpose, Purpose::Results(_));
        let error = channel_error(&format!("queue {queue:?}"), error);
        if !differs {
            return Err(error);
        }
        remarks.push(bounded_otherwise(&queue, &error));
        // The broker has closed the other one.
        channel = channel::open(connection).await?;
    }
    declare_exchange(topology, &channel).await?;
    channel::close(&channel).await;
    Ok(remarks)
}

/// The exchange of the outcomes, and the binding of the queue that has all of them, where there is one.
async fn declare_exchange(topology: &Topology, channel: &Channel) -> Result<(), BrokerError> {
    let (exchange, results) = (topology.verdicts(), topology.results());
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .map_err(|error| channel_error(&format!("exchange {exchange:?}"), error))?;
    let topics = if topology.kept().is_some() { &OUTCOMES[..] } else { &[] };
    for &topic in topics {
        let (queue, options) = (results.as_str().into(), QueueBindOptions::default());
        let bound = channel.queue_bind(queue, exchange.as_str().into(), topic.into(), options, FieldTable::default());
        let failed = |error| channel_error(&format!("the binding of {results:?} to {exchange:?}"), error);
        bound.await.map_err(failed)?;
    }
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
    // Newer brokers count what is put back, and give it up after 20 times.
    let inspected = ("x-delivery-limit", i64::from(i32::MAX));
    let (mut arguments, numbers) = match purpose {
        Purpose::Inspected => (quorum(), vec![inspected]),
        Purpose::Results(kept) => (quorum(), [vec![inspected], bounds(kept)].concat()),
        Purpose::Input => {
            (dead_lettering_to(&topology.dead()), vec![("x-delivery-limit", topology.delivery_limit.into())])
        }
        Purpose::Delay { shard, seconds } => {
            (dead_lettering_to(&topology.queue(shard)), vec![("x-message-ttl", i64::from(seconds) * 1000)])
        }
    };
    for (name, value) in numbers {
        arguments.insert(name.into(), AMQPValue::LongLongInt(value));
    }
    arguments
}

/// What is beyond them is dropped from the head, as is the way of queues that are told nothing else.
fn bounds(kept: Kept) -> Vec<(&'static str, i64)> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let bounds = [("x-max-length", number(kept.messages)), ("x-message-ttl", number(kept.age_s.saturating_mul(1000)))];
    bounds.into_iter().filter(|(_, bound)| *bound > 0).collect()
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
