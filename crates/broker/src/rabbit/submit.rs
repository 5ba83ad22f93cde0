//! Publishing requests, and decisions of people.

use std::sync::Arc;

use async_trait::async_trait;

use super::health::ConnectionHealth;
use super::publish::{MAX_IN_FLIGHT, Publisher, Route};
use super::{amqp, declare};
use crate::error::BrokerError;
use crate::queue::{InboxQueue, RequestQueue};
use crate::settings::Settings;
use crate::submission::Submitter;
use crate::topology::Topology;
use crate::wire::message::Message;

pub struct RabbitSubmitter {
    topology: Topology,
    publisher: Publisher,
}

impl RabbitSubmitter {
    /// Most submissions that make sense to have in flight at a time.
    pub const MAX_IN_FLIGHT: usize = MAX_IN_FLIGHT;

    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn connect(settings: &Settings) -> Result<RabbitSubmitter, BrokerError> {
        // Over a connection of its own, so that publishing starts on one that has only published.
        let (connection, topology) = declare::connect(settings).await?;
        connection.close().await;
        let publisher = Publisher::open(settings, Arc::new(ConnectionHealth::new())).await?;
        Ok(RabbitSubmitter { topology, publisher })
    }

    async fn publish(&self, queue: &str, message: &Message) -> Result<(), BrokerError> {
        self.publisher.publish(Route::Queue(queue), &message.body, amqp::properties(&message.properties)).await
    }
}

#[async_trait]
impl Submitter for RabbitSubmitter {
    async fn submit(&self, request_queue: RequestQueue, message: &Message) -> Result<(), BrokerError> {
        self.publish(&self.topology.queue(self.topology.shard_of(request_queue, &message.body)), message).await
    }

    async fn hand_in(&self, inbox: InboxQueue, message: &Message) -> Result<(), BrokerError> {
        self.publish(&self.topology.inbox(inbox), message).await
    }

    async fn waiting(&self, request_queue: RequestQueue) -> Result<u32, BrokerError> {
        let queues = self.topology.shards(request_queue).map(|shard| self.topology.queue(shard));
        declare::ready(queues.collect(), &*self.publisher.connection().await?).await
    }

    async fn close(&self) {
        self.publisher.close().await;
    }
}
