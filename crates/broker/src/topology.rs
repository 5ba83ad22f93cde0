//! The queues and exchanges: their names, what is declared, and what to do when they are not as they should be.
//!
//! ```text
//! submitters ─▶ <p>.images ──────▶ worker ─▶ (<p>.verdicts) ─ verdict.# failure.# ─▶ <p>.results
//!               <p>.images.bulk ──▶   │ └──▶ <p>.dead
//!                     ▲               ▼
//!                     └── <lane>.retry.<n>s   one delay queue for each step of the ladder, for each lane
//! reviewers ──▶ <p>.labels ──────▶ assay labels ─▶ <p>.dead
//! ```
//!
//! A delay queue belongs to one lane, because a fixed dead-letter key is the one way back that needs neither a
//! plugin nor another exchange. Where the broker itself moves a message (the end of a delay, the delivery
//! limit), it does so at least once: that strategy needs quorum queues that reject rather than drop.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use super::{BrokerError, Lane, Settings, TopologyMode};

/// Reply codes of AMQP.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

/// The names, and how they are declared.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
    retry_delays_s: Vec<u32>,
    delivery_limit: u32,
    mode: TopologyMode,
}

/// A queue's state as a passive look gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub queue: String,
    /// Messages that wait; those that are out at a consumer are not among them.
    pub ready: u32,
    pub consumers: u32,
}

impl Topology {
    pub fn new(settings: &Settings) -> Topology {
        Topology {
            prefix: settings.prefix.clone(),
            retry_delays_s: settings.retry_delays_s.clone(),
            delivery_limit: settings.delivery_limit,
            mode: settings.topology,
        }
    }

    /// The queue of a lane.
    pub fn lane(&self, lane: Lane) -> String {
        match lane {
            Lane::Live => format!("{}.images", self.prefix),
            Lane::Bulk => format!("{}.images.bulk", self.prefix),
        }
    }

    /// The exchange of the outcomes.
    pub fn verdicts(&self) -> String {
        format!("{}.verdicts", self.prefix)
    }

    pub fn results(&self) -> String {
        format!("{}.results", self.prefix)
    }

    pub fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The queue of the corrections.
    pub fn labels(&self) -> String {
        format!("{}.labels", self.prefix)
    }

    /// Where a message of a lane waits after its attempt number `attempt`; beyond the ladder's end, its last step.
    /// Without a ladder it goes straight back to its lane.
    pub fn retry(&self, lane: Lane, attempt: u32) -> String {
        let step = (attempt.max(1) as usize).min(self.retry_delays_s.len());
        match step.checked_sub(1) {
            Some(index) => self.delay(lane, self.retry_delays_s[index]),
            None => self.lane(lane),
        }
    }

    fn delay(&self, lane: Lane, seconds: u32) -> String {
        format!("{}.retry.{seconds}s", self.lane(lane))
    }

    /// Every queue.
    pub fn queues(&self) -> Vec<String> {
        self.declarations().into_iter().map(|(queue, _)| queue).collect()
    }

    /// Whether a queue is one of ours, which nobody may name as the place for an answer.
    pub fn owns(&self, queue: &str) -> bool {
        queue.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    fn declarations(&self) -> Vec<(String, FieldTable)> {
        // People look through these two and put back what they read; newer brokers would count that up to 20.
        let mut unlimited = quorum();
        unlimited.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(i64::from(i32::MAX)));
        let mut queues = vec![(self.dead(), unlimited.clone()), (self.results(), unlimited)];
        let mut arguments = dead_lettering_to(&self.dead());
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(self.delivery_limit.into()));
        queues.push((self.labels(), arguments));
        for lane in [Lane::Live, Lane::Bulk] {
            let mut arguments = dead_lettering_to(&self.dead());
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(self.delivery_limit.into()));
            queues.push((self.lane(lane), arguments));
            for &seconds in &self.retry_delays_s {
                let mut arguments = dead_lettering_to(&self.lane(lane));
                let milliseconds = i64::from(seconds) * 1000;
                arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(milliseconds));
                queues.push((self.delay(lane, seconds), arguments));
            }
        }
        queues
    }

    /// Brings queues and exchanges to what the settings ask for: declares, or checks, or trusts.
    pub(super) async fn ensure(&self, connection: &Connection) -> Result<(), BrokerError> {
        match self.mode {
            TopologyMode::Declare => self.declare(connection).await,
            TopologyMode::Verify => self.verify(connection).await,
            TopologyMode::None => Ok(()),
        }
    }

    async fn declare(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = open(connection).await?;
        let durable = QueueDeclareOptions::durable();
        for (queue, arguments) in self.declarations() {
            let declared = channel.queue_declare(queue.as_str().into(), durable, arguments).await;
            declared.map_err(|error| trouble(&format!("queue {queue:?}"), &error))?;
        }
        let (exchange, results) = (self.verdicts(), self.results());
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await
            .map_err(|error| trouble(&format!("exchange {exchange:?}"), &error))?;
        for topic in ["verdict.#", "failure.#"] {
            let options = QueueBindOptions::default();
            channel
                .queue_bind(
                    results.as_str().into(),
                    exchange.as_str().into(),
                    topic.into(),
                    options,
                    FieldTable::default(),
                )
                .await
                .map_err(|error| trouble(&format!("the binding of {results:?} to {exchange:?}"), &error))?;
        }
        leave(&channel).await;
        Ok(())
    }

    /// Looks at each without changing it. Bindings can't be looked at; `mandatory` shows when one is missing.
    async fn verify(&self, connection: &Connection) -> Result<(), BrokerError> {
        self.depths(connection).await?;
        let exchange = self.verdicts();
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let channel = open(connection).await?;
        channel
            .exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, passive, FieldTable::default())
            .await
            .map_err(|error| trouble(&format!("exchange {exchange:?}"), &error))?;
        leave(&channel).await;
        Ok(())
    }

    pub(super) async fn depths(&self, connection: &Connection) -> Result<Vec<Depth>, BrokerError> {
        look_at(self.queues(), connection).await
    }
}

/// Messages of one queue that are ready.
pub(super) async fn ready(queue: &str, connection: &Connection) -> Result<u32, BrokerError> {
    let depths = look_at(vec![queue.to_string()], connection).await?;
    Ok(depths.iter().map(|depth| depth.ready).sum())
}

async fn look_at(queues: Vec<String>, connection: &Connection) -> Result<Vec<Depth>, BrokerError> {
    let channel = open(connection).await?;
    let mut depths = Vec::new();
    for queue in queues {
        let passive = QueueDeclareOptions::durable().passive();
        let found = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
        let found = found.map_err(|error| trouble(&format!("queue {queue:?}"), &error))?;
        depths.push(Depth { queue, ready: found.message_count(), consumers: found.consumer_count() });
    }
    leave(&channel).await;
    Ok(depths)
}

async fn open(connection: &Connection) -> Result<Channel, BrokerError> {
    connection.create_channel().await.map_err(|error| trouble("a channel", &error))
}

/// Closes a channel and waits for it. A channel that is dropped closes too, but lapin takes a connection that is
/// closed meanwhile for broken, and says so.
pub(super) async fn leave(channel: &Channel) {
    let _ = channel.close(200, "done".into()).await;
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

/// What stands in the way, and how to mend it.
pub(super) fn trouble(what: &str, error: &lapin::Error) -> BrokerError {
    let code = match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_id(),
        _ => return BrokerError::Unconfirmed(format!("{what}: {error}")),
    };
    let mend = match code {
        NOT_FOUND => "set broker.topology = \"declare\", or declare it yourself".into(),
        PRECONDITION_FAILED => "delete it when it is empty, or set the broker.* keys to what it was declared with, \
             or broker.topology = \"verify\" to take it as it is"
            .into(),
        ACCESS_REFUSED => {
            "grant the user the configure, write and read permissions on it, or declare it by another user and set \
             broker.topology = \"verify\""
                .into()
        }
        _ => return BrokerError::Unconfirmed(format!("{what}: {error}")),
    };
    BrokerError::Topology { what: what.into(), detail: error.to_string(), mend }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(retry_delays_s: Vec<u32>) -> Topology {
        Topology { prefix: "assay".into(), retry_delays_s, delivery_limit: 100, mode: TopologyMode::Declare }
    }

    #[test]
    fn every_name_begins_with_the_prefix() {
        let topology = topology(vec![2, 60]);
        let mut queues = topology.queues();
        queues.sort();
        let expected = [
            "assay.dead",
            "assay.images",
            "assay.images.bulk",
            "assay.images.bulk.retry.2s",
            "assay.images.bulk.retry.60s",
            "assay.images.retry.2s",
            "assay.images.retry.60s",
            "assay.labels",
            "assay.results",
        ];
        assert_eq!(queues, expected);
        assert!(queues.iter().all(|queue| topology.owns(queue)));
        assert!(!topology.owns("assayer.answers") && !topology.owns("answers"));
    }

    #[test]
    fn each_attempt_waits_longer_and_in_its_own_lane() {
        let ladder = topology(vec![2, 60]);
        let waits = |attempt| ladder.retry(Lane::Live, attempt);
        assert_eq!([waits(1), waits(2)], ["assay.images.retry.2s", "assay.images.retry.60s"]);
        assert_eq!(waits(9), "assay.images.retry.60s");
        assert_eq!(ladder.retry(Lane::Bulk, 1), "assay.images.bulk.retry.2s");
        assert_eq!(topology(vec![]).retry(Lane::Bulk, 1), "assay.images.bulk");
    }
}
