//! Channels: opening and closing them, and what their errors mean.

use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ErrorKind};

use crate::error::BrokerError;

/// Most messages unsettled on one channel: RabbitMQ's `quorum_commands_soft_limit`.
pub(super) const MAX_UNSETTLED: u16 = 32;

/// Reply codes of AMQP.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

pub(super) async fn open(connection: &Connection) -> Result<Channel, BrokerError> {
    connection.create_channel().await.map_err(|error| channel_error("a channel", error))
}

/// A channel that delivers messages of a queue, at most `prefetch` unacknowledged at a time.
pub(super) async fn consume(
    connection: &Connection,
    queue: &str,
    prefetch: u16,
) -> Result<(Channel, lapin::Consumer), BrokerError> {
    let failed = |error| channel_error(&format!("queue {queue:?}"), error);
    let channel = connection.create_channel().await.map_err(failed)?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
    let options = BasicConsumeOptions::default();
    let deliveries = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
    Ok((channel, deliveries.map_err(failed)?))
}

/// Whether there is a queue of this name, looked at by a channel of its own: the broker closes that where there is none.
pub(super) async fn queue_is_there(queue: &str, connection: &Connection) -> Result<bool, BrokerError> {
    let channel = open(connection).await?;
    let passive = QueueDeclareOptions::durable().passive();
    match channel.queue_declare(queue.into(), passive, FieldTable::default()).await {
        Ok(_) => {
            close(&channel).await;
            Ok(true)
        }
        Err(error) if is_not_found(&error) => Ok(false),
        Err(error) => Err(channel_error(&format!("queue {queue:?}"), error)),
    }
}

/// Closes a channel and waits for it. A channel that is dropped closes too, but lapin takes a connection that is
/// closed meanwhile for broken, and says so.
pub(super) async fn close(channel: &Channel) {
    let _ = channel.close(200, "done".into()).await;
}

/// Whether it is the topology that must be fixed, and how, or only the connection that failed.
pub(super) fn channel_error(what: &str, error: lapin::Error) -> BrokerError {
    let code = match error.kind() {
        ErrorKind::ProtocolError(protocol) => Some(protocol.get_id()),
        _ => None,
    };
    let fix = match code {
        Some(NOT_FOUND) => "set broker.topology = \"declare\", or declare it yourself",
        Some(PRECONDITION_FAILED) => {
            "delete it when it is empty, or set the broker.* keys to what it was declared with, or \
             broker.topology = \"verify\" to take it as it is"
        }
        Some(ACCESS_REFUSED) => {
            "grant the user the configure, write and read permissions on it, or declare it by another user and set \
             broker.topology = \"verify\""
        }
        _ => return BrokerError::Interrupted { operation: what.into(), source: error.into() },
    };
    BrokerError::Topology { what: what.into(), source: error.into(), fix }
}

/// Whether the broker has closed a channel because a queue is there with other arguments.
pub(super) fn is_declared_otherwise(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(protocol) if protocol.get_id() == PRECONDITION_FAILED)
}

/// Whether the broker has closed a channel because something that was named on it is not there.
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(protocol) if protocol.get_id() == NOT_FOUND)
}
