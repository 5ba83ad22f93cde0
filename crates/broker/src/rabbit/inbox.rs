//! Taking the messages of a queue one by one.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::BasicGetOptions;
use time::OffsetDateTime;

use super::amqp;
use super::channel::{self, MAX_UNSETTLED, channel_error};
use super::connection::ReconnectingConnection;
use super::declare;
use super::health::ConnectionHealth;
use super::publish::{Publisher, Route};
use super::read::{RawDelivery, Receipt, next, raw};
use crate::error::BrokerError;
use crate::inbox::{Inbox, InboxDelivery, Inboxes};
use crate::queue::InboxQueue;
use crate::settings::Settings;
use crate::topology::Topology;
use crate::wire::headers;

pub struct RabbitInbox {
    connection: ReconnectingConnection,
    /// The one that it was opened with: deliveries of a lost connection can't be settled on the next.
    opened: Arc<lapin::Connection>,
    publisher: Publisher,
    topology: Topology,
    queue: InboxQueue,
    /// For `next`.
    consumer: Option<(lapin::Channel, lapin::Consumer)>,
    /// For `take`.
    get_channel: Option<lapin::Channel>,
    /// Of what is not settled yet, by tag.
    receipts: HashMap<u64, Receipt>,
    next_tag: u64,
}

impl RabbitInbox {
    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn open(settings: &Settings, queue: InboxQueue) -> Result<RabbitInbox, BrokerError> {
        let (connection, topology) = declare::connect(settings).await?;
        let opened = connection.current().await?;
        let publisher = Publisher::open(settings, Arc::new(ConnectionHealth::new())).await?;
        let (consumer, get_channel, receipts) = (None, None, HashMap::new());
        Ok(RabbitInbox { connection, opened, publisher, topology, queue, consumer, get_channel, receipts, next_tag: 0 })
    }

    fn received(&mut self, delivery: RawDelivery) -> InboxDelivery {
        let RawDelivery { message, redelivered, receipt, .. } = delivery;
        let tag = self.next_tag;
        self.next_tag += 1;
        self.receipts.insert(tag, receipt);
        InboxDelivery { message, redelivered, tag }
    }

    fn receipt(&mut self, delivery: &InboxDelivery) -> Result<Receipt, BrokerError> {
        self.receipts.remove(&delivery.tag).ok_or(BrokerError::Closed)
    }
}

/// RabbitMQ's.
pub struct RabbitInboxes(pub Settings);

#[async_trait]
impl Inboxes for RabbitInboxes {
    async fn open(&self, queue: InboxQueue) -> Result<Box<dyn Inbox>, BrokerError> {
        Ok(Box::new(RabbitInbox::open(&self.0, queue).await?))
    }
}

#[async_trait]
impl Inbox for RabbitInbox {
    async fn take(&mut self) -> Result<Option<InboxDelivery>, BrokerError> {
        let queue = self.topology.inbox(self.queue);
        let channel = match &self.get_channel {
            Some(channel) => channel,
            None => {
                let channel = channel::open(&self.opened).await?;
                self.get_channel.insert(channel)
            }
        };
        let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: false }).await;
        let got = got.map_err(|error| channel_error(&format!("queue {queue:?}"), error))?;
        Ok(got.map(|got| self.received(raw(got.delivery))))
    }

    async fn next(&mut self) -> Result<InboxDelivery, BrokerError> {
        let (_, deliveries) = match &mut self.consumer {
            Some(consumer) => consumer,
            None => {
                let consumer = channel::consume(&self.opened, &self.topology.inbox(self.queue), MAX_UNSETTLED).await?;
                self.consumer.insert(consumer)
            }
        };
        let delivery = next(deliveries).await?;
        Ok(self.received(delivery))
    }

    async fn acknowledge(&mut self, delivery: InboxDelivery) -> Result<(), BrokerError> {
        self.receipt(&delivery)?.acknowledge().await
    }

    async fn dead_letter(&mut self, delivery: InboxDelivery, reason: &str) -> Result<(), BrokerError> {
        let receipt = self.receipt(&delivery)?;
        let added = headers::of_dead_letter(reason, &self.topology.inbox(self.queue), OffsetDateTime::now_utc());
        let room = self.publisher.room_for_headers().await?;
        let (properties, _) = amqp::copied(&receipt.properties, &added, room);
        self.publisher.publish(Route::Queue(&self.topology.dead()), &delivery.message.body, properties).await?;
        receipt.acknowledge().await
    }

    async fn close(self: Box<Self>) {
        let consumer = self.consumer.map(|(channel, _)| channel);
        for channel in consumer.iter().chain(&self.get_channel) {
            channel::close(channel).await;
        }
        self.publisher.close().await;
        self.connection.close().await;
    }
}
