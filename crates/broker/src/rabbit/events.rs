//! Publishing what consumers are told beside outcomes.

use std::sync::Arc;

use async_trait::async_trait;

use super::health::ConnectionHealth;
use super::publish::{Publisher, Route};
use super::{amqp, declare};
use crate::error::BrokerError;
use crate::events::{Event, Events};
use crate::settings::Settings;
use crate::topology::Topology;
use crate::wire;

pub struct RabbitEvents {
    topology: Topology,
    publisher: Publisher,
}

impl RabbitEvents {
    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn connect(settings: &Settings) -> Result<RabbitEvents, BrokerError> {
        let (connection, topology) = declare::connect(settings).await?;
        connection.close().await;
        let publisher = Publisher::open(settings, Arc::new(ConnectionHealth::new())).await?;
        Ok(RabbitEvents { topology, publisher })
    }
}

#[async_trait]
impl Events for RabbitEvents {
    async fn publish(&self, event: &Event) -> Result<(), BrokerError> {
        let message = wire::event(event);
        let (exchange, routing_key) = (self.topology.verdicts(), event.routing_key());
        let route = Route::OptionalTopic { exchange: &exchange, routing_key: &routing_key };
        self.publisher.publish(route, &message.body, amqp::properties(&message.properties)).await
    }

    async fn close(&self) {
        self.publisher.close().await;
    }
}
