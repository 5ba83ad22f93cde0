//! Requests spread over several queues: the exchanges that do it for clients.
//!
//! What Assay publishes itself goes to the queue that the hash of tenant and submission names. Clients need not know that hash:
//! an exchange of the type `x-consistent-hash` spreads by their routing key. Which queue a message came by matters to nobody:
//! that a submission has one outcome is the database's promise.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ErrorKind, ExchangeKind};

use super::channel::{self, channel_error};
use super::connection::Endpoint;
use super::health::Component;
use crate::error::BrokerError;
use crate::queue::RequestQueue;
use crate::settings::{MAX_SHARDS, Settings, TopologyMode};
use crate::topology::Topology;

/// Of an exchange that RabbitMQ's plugin `rabbitmq_consistent_hash_exchange` brings.
const TYPE: &str = "x-consistent-hash";
/// With such an exchange a binding's key is the share of messages that its queue gets.
const SHARE: &str = "1";
/// Reply code of AMQP for a type of exchange that the broker does not know. It closes the connection.
const COMMAND_INVALID: u16 = 503;

/// Declares the exchanges where the settings ask for several queues and for declaring. Gives what to do where the broker knows no
/// such exchange: all else works without.
pub(super) async fn declare(topology: &Topology, settings: &Settings) -> Result<Option<String>, BrokerError> {
    if !topology.is_sharded() || topology.mode != TopologyMode::Declare {
        return Ok(None);
    }
    // A connection of its own, since a refusal closes it.
    let connection = Endpoint::of(settings)?.connect(Component::Consuming).await?;
    let declared = exchanges(topology, &connection).await;
    // It may be closed already.
    let _ = connection.close(200, "done".into()).await;
    declared
}

async fn exchanges(topology: &Topology, connection: &Connection) -> Result<Option<String>, BrokerError> {
    let channel = channel::open(connection).await?;
    for of in [RequestQueue::Live, RequestQueue::Bulk] {
        let exchange = topology.request_queue(of);
        let (durable, kind) =
            (ExchangeDeclareOptions { durable: true, ..Default::default() }, ExchangeKind::Custom(TYPE.into()));
        let declared = channel.exchange_declare(exchange.as_str().into(), kind, durable, FieldTable::default()).await;
        match declared {
            Ok(()) => {}
            Err(error) if is_unknown_type(&error) => return Ok(Some(without_the_plugin(&exchange))),
            Err(error) => return Err(channel_error(&format!("exchange {exchange:?}"), error)),
        }
        for queue in topology.shards(of).map(|shard| topology.queue(shard)) {
            let options = QueueBindOptions::default();
            let bound = channel
                .queue_bind(
                    queue.as_str().into(),
                    exchange.as_str().into(),
                    SHARE.into(),
                    options,
                    FieldTable::default(),
                )
                .await;
            bound.map_err(|error| channel_error(&format!("the binding of {queue:?} to {exchange:?}"), error))?;
        }
        // What fewer queues leave over gets nothing more; undoing a binding that is not there is no error.
        for queue in beyond(topology).map(|number| format!("{exchange}.{number}")) {
            let (queue, exchange) = (queue.as_str().into(), exchange.as_str().into());
            let undone = channel.queue_unbind(queue, exchange, SHARE.into(), FieldTable::default()).await;
            undone.map_err(|error| channel_error("the binding of a queue that is left over", error))?;
        }
    }
    Ok(None)
}

fn is_unknown_type(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(protocol) if protocol.get_id() == COMMAND_INVALID)
}

fn without_the_plugin(exchange: &str) -> String {
    format!(
        "the broker has no exchanges of the type {TYPE}, so there is no {exchange} for clients who publish without knowing \
         broker.shards: `rabbitmq-plugins enable rabbitmq_consistent_hash_exchange` on each node, then `assay doctor`; or \
         clients publish to one of the queues {exchange}.0, {exchange}.1, … themselves"
    )
}

/// Numbers that another setting may have had.
fn beyond(topology: &Topology) -> impl Iterator<Item = u16> + use<> {
    let count = topology.shards(RequestQueue::Live).count();
    (0..MAX_SHARDS).filter(move |number| usize::from(*number) >= count)
}

/// Says of queues that another number of shards has left how to empty them: nobody else would look there.
pub(super) async fn left_over(topology: &Topology, connection: &Connection) -> Result<Vec<String>, BrokerError> {
    let mut remarks = Vec::new();
    for of in [RequestQueue::Live, RequestQueue::Bulk] {
        let base = topology.request_queue(of);
        let count = topology.shards(of).count();
        let numbered = |number: u16| format!("{base}.{number}");
        let before: Vec<String> = match topology.is_sharded() {
            true => std::iter::once(base.clone()).chain(beyond(topology).map(numbered)).collect(),
            false => (0..MAX_SHARDS).map(numbered).collect(),
        };
        for queue in before {
            if channel::queue_is_there(&queue, connection).await? {
                remarks.push(format!(
                    "{queue} is there though broker.shards = {count}: it is from an earlier setting, and no worker of this one \
                     takes from it. Let a worker with the earlier setting empty it and its delay queues; when `rabbitmqctl list_queues \
                     name messages` (with --vhost) shows 0 for each, delete them (`rabbitmqctl delete_queue {queue}`)"
                ));
            }
        }
    }
    Ok(remarks)
}
