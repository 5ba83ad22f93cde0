//! Looking through the dead letters, replaying and discarding them.
//!
//! Page by page, each on a channel of its own that has no more unacknowledged messages than it can settle to the last one
//! when it closes (see `consume`). Its consumer ends with the page, so that what is settled makes no room for more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::Channel;
use lapin::options::BasicCancelOptions;

use super::amqp;
use super::channel::{self, MAX_UNSETTLED};
use super::connection::ReconnectingConnection;
use super::declare;
use super::health::ConnectionHealth;
use super::publish::{Publisher, Route};
use super::read::{RawDelivery, Receipt, next};
use crate::dead_letters::{DeadLetter, DeadLetters, MAX_LISTED};
use crate::error::BrokerError;
use crate::queue::InputQueue;
use crate::settings::Settings;
use crate::topology::Topology;
use crate::wire::headers;

/// So long without another message, and whatever the count said, there is none.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

pub struct RabbitDeadLetters {
    settings: Settings,
    topology: Topology,
    connection: ReconnectingConnection,
    /// The one that it was opened with: letters of a lost connection can't be settled on the next.
    opened: Arc<lapin::Connection>,
    /// Opened for the first replay: those who only look need not be allowed to publish.
    publisher: Option<Publisher>,
    channels: Vec<Channel>,
    page: VecDeque<RawDelivery>,
    /// Letters that are not on a page yet.
    unread: u32,
    /// Of the letters that were handed out, by tag.
    receipts: HashMap<u64, Receipt>,
    next_tag: u64,
}

impl RabbitDeadLetters {
    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn open(settings: &Settings) -> Result<RabbitDeadLetters, BrokerError> {
        let (connection, topology) = declare::connect(settings).await?;
        let opened = connection.current().await?;
        let unread = declare::ready(vec![topology.dead()], &opened).await?.min(MAX_LISTED);
        Ok(RabbitDeadLetters {
            settings: settings.clone(),
            topology,
            connection,
            opened,
            publisher: None,
            channels: Vec::new(),
            page: VecDeque::new(),
            unread,
            receipts: HashMap::new(),
            next_tag: 0,
        })
    }

    async fn fetch_page(&mut self) -> Result<(), BrokerError> {
        let (channel, mut deliveries) = channel::consume(&self.opened, &self.topology.dead(), MAX_UNSETTLED).await?;
        let wanted = self.unread.min(MAX_UNSETTLED.into());
        for _ in 0..wanted {
            match tokio::time::timeout(IDLE_TIMEOUT, next(&mut deliveries)).await {
                Ok(delivery) => self.page.push_back(delivery?),
                // Another reader took the rest meanwhile.
                Err(_) => break,
            }
        }
        self.unread = if self.page.len() as u32 == wanted { self.unread - wanted } else { 0 };
        // Only tells the broker to deliver no more; what is here stays unacknowledged.
        let _ = channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await;
        self.channels.push(channel);
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for RabbitDeadLetters {
    fn remaining(&self) -> u32 {
        self.unread + self.page.len() as u32
    }

    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError> {
        if self.page.is_empty() && self.unread > 0 {
            self.fetch_page().await?;
        }
        let Some(RawDelivery { message, receipt, .. }) = self.page.pop_front() else { return Ok(None) };
        let tag = self.next_tag;
        self.next_tag += 1;
        self.receipts.insert(tag, receipt);
        let named = headers::origin_queue(&message.properties.headers);
        let origin = named.and_then(|queue| self.topology.input_named(queue));
        Ok(Some(DeadLetter { message, origin, tag }))
    }

    async fn replay(&mut self, letter: DeadLetter, to: InputQueue) -> Result<(), BrokerError> {
        let receipt = self.receipts.remove(&letter.tag).ok_or(BrokerError::Closed)?;
        let publisher = match &self.publisher {
            Some(publisher) => publisher,
            None => {
                let publisher = Publisher::open(&self.settings, Arc::new(ConnectionHealth::new())).await?;
                self.publisher.insert(publisher)
            }
        };
        let queue = self.topology.input(to, &letter.message.body);
        let properties = amqp::replayed(&receipt.properties, &queue, publisher.room_for_headers().await?);
        // In this order: a crash between the two leaves it in both places, and the second outcome is the first one again.
        publisher.publish(Route::Queue(&queue), &letter.message.body, properties).await?;
        receipt.acknowledge().await
    }

    async fn discard(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        self.receipts.remove(&letter.tag).ok_or(BrokerError::Closed)?.acknowledge().await
    }

    async fn close(self: Box<Self>) {
        // What is on the rest of a page has not been looked at.
        drop(self.page);
        // One after the other: each puts its page back, and the pages belong in their order.
        for channel in &self.channels {
            channel::close(channel).await;
        }
        if let Some(publisher) = &self.publisher {
            publisher.close().await;
        }
        self.connection.close().await;
    }
}
