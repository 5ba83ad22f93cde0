//! The worker's broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapin::BasicProperties;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Endpoint, ReconnectingConnection};
use super::consume::QueueConsumer;
use super::health::{Component, ConnectionHealth};
use super::publish::{Publisher, Route};
use super::rejections::Rejections;
use super::settle::Settler;
use super::{amqp, declare, spread};
use crate::error::BrokerError;
use crate::port::{Broker, Consumer, Health, Publication};
use crate::queue::RequestQueue;
use crate::settings::Settings;
use crate::topology::Topology;
use crate::wire;

/// Routing key and type of the publication that proves that outcomes can be published.
const PROOF: &str = "assay.proof";

pub struct Rabbit {
    settings: Settings,
    topology: Arc<Topology>,
    health: Arc<ConnectionHealth>,
    consuming: Arc<ReconnectingConnection>,
    publisher: Arc<Publisher>,
    settler: Arc<Settler>,
    /// Whether a consumer that is lost may be made again.
    subscribing: watch::Sender<bool>,
}

impl Rabbit {
    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn connect(settings: &Settings) -> Result<Rabbit, BrokerError> {
        let health = Arc::new(ConnectionHealth::new());
        let topology = Arc::new(Topology::new(settings));
        let consuming =
            ReconnectingConnection::open(Endpoint::of(settings)?, Component::Consuming, health.clone()).await?;
        let mut remarks = declare::ensure(&topology, &*consuming.current().await?).await?;
        remarks.extend(spread::declare(&topology, settings).await?);
        for remark in remarks {
            tracing::warn!("{remark}");
        }
        let publisher = Arc::new(Publisher::open(settings, health.clone()).await?);
        let settler = Arc::new(Settler {
            topology: topology.clone(),
            publisher: publisher.clone(),
            rejections: Rejections::new(settings, topology.clone(), publisher.clone()),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            retired: Mutex::default(),
            pacing: Mutex::default(),
            closing: CancellationToken::new(),
        });
        let consuming = Arc::new(consuming);
        let (settings, subscribing) = (settings.clone(), watch::Sender::new(true));
        Ok(Rabbit { settings, topology, health, consuming, publisher, settler, subscribing })
    }
}

#[async_trait]
impl Broker for Rabbit {
    async fn consume(&self, request_queue: RequestQueue) -> Result<Consumer, BrokerError> {
        let consumer = QueueConsumer {
            request_queue,
            settings: self.settings.clone(),
            connection: self.consuming.clone(),
            settler: self.settler.clone(),
            health: self.health.clone(),
            unreadable: Arc::default(),
            headers_dropped: Arc::default(),
            subscribing: self.subscribing.subscribe(),
            rejections_withheld: Arc::default(),
        };
        consumer.start().await
    }

    async fn publish(&self, publication: Publication<'_>) -> Result<(), BrokerError> {
        let message = wire::outcome(publication);
        let (exchange, routing_key) = (self.topology.verdicts(), publication.outcome.routing_key());
        // Nobody need care for what did not change.
        let route = match publication.outcome.is_unchanged() {
            true => Route::OptionalTopic { exchange: &exchange, routing_key: &routing_key },
            false => Route::Topic { exchange: &exchange, routing_key: &routing_key },
        };
        self.publisher.publish(route, &message.body, amqp::properties(&message.properties)).await?;
        if let Some(reply_to) = &publication.context.reply_to {
            self.reply(reply_to, publication).await;
        }
        Ok(())
    }

    fn exchange(&self) -> String {
        self.topology.verdicts()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    async fn prove(&self) -> Result<(), BrokerError> {
        let exchange = self.topology.verdicts();
        declare::find_exchange(&exchange, &*self.consuming.current().await?).await?;
        let route = Route::Topic { exchange: &exchange, routing_key: PROOF };
        // Where somebody has bound a queue to everything, it is gone from there at once.
        let properties = BasicProperties::default().with_type(PROOF.into()).with_expiration("0".into());
        match self.publisher.publish(route, b"{}", properties).await {
            // The broker took it, and found no queue for it: nobody is to get it.
            Ok(()) | Err(BrokerError::Unroutable { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn pause_subscribing(&self) {
        self.subscribing.send_replace(false);
    }

    fn resume_subscribing(&self) {
        self.subscribing.send_replace(true);
    }

    async fn waiting(&self, request_queue: RequestQueue) -> Result<u32, BrokerError> {
        let queues = self.topology.taken(request_queue).into_iter().map(|shard| self.topology.queue(shard));
        declare::ready(queues.collect(), &*self.consuming.current().await?).await
    }

    async fn close(&self) {
        self.settler.close(Duration::from_secs(self.settings.publish_timeout_s)).await;
        self.consuming.close().await;
        self.publisher.close().await;
    }
}

impl Rabbit {
    /// The reply to the `reply_to` of a request, best effort.
    async fn reply(&self, reply_to: &str, publication: Publication<'_>) {
        if self.topology.owns(reply_to) {
            return tracing::debug!(reply_to, "no reply is sent to a queue of Assay's own");
        }
        let message = wire::reply(publication);
        let properties = amqp::properties(&message.properties);
        if let Err(error) = self.publisher.publish(Route::OptionalQueue(reply_to), &message.body, properties).await {
            tracing::debug!(%error, reply_to, "a reply could not be sent");
        }
    }
}
