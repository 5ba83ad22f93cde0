//! RabbitMQ.
//!
//! Two connections, because an alarm of the broker (memory, disk) blocks a connection that publishes as a
//! whole: acknowledgements must still get through. Nothing of lapin's own recovery is used: [`link`] makes a
//! lost connection again, [`consume`] its channel, prefetch and consumer, [`publish`] its channels and confirms,
//! each where it is needed and visible.

mod amqp;
mod board;
mod consume;
mod corrections;
mod dead;
mod link;
mod publish;
mod read;
mod secure;
mod settle;
mod submit;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::topology::{Depth, Topology, ready};
use super::{Broker, BrokerError, Consumer, Health, Lane, Publication, Settings, wire};
use board::{Board, Part};
use consume::LaneConsumer;
use link::{Address, Link};
use publish::{Publisher, Route};
use settle::Settler;

pub use corrections::Corrections;
pub use dead::DeadLetters;
pub use read::{Letter, Reader};
pub use submit::Submitter;

/// The worker's broker.
pub struct Rabbit {
    settings: Settings,
    topology: Arc<Topology>,
    board: Arc<Board>,
    consuming: Arc<Link>,
    publisher: Arc<Publisher>,
    settler: Arc<Settler>,
}

impl Rabbit {
    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn connect(settings: &Settings) -> Result<Rabbit, BrokerError> {
        let board = Arc::new(Board::new());
        let topology = Arc::new(Topology::new(settings));
        let consuming = Arc::new(Link::open(Address::of(settings)?, Part::Consuming, board.clone()).await?);
        topology.ensure(&*consuming.connection().await?).await?;
        let publisher = Arc::new(Publisher::open(settings, board.clone()).await?);
        let settler = Arc::new(Settler {
            topology: topology.clone(),
            publisher: publisher.clone(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            retired: Mutex::default(),
        });
        Ok(Rabbit { settings: settings.clone(), topology, board, consuming, publisher, settler })
    }
}

#[async_trait]
impl Broker for Rabbit {
    async fn consume(&self, lane: Lane) -> Result<Consumer, BrokerError> {
        let consumer = LaneConsumer {
            lane,
            settings: self.settings.clone(),
            link: self.consuming.clone(),
            settler: self.settler.clone(),
            board: self.board.clone(),
            unreadable: Arc::default(),
        };
        consumer.start().await
    }

    async fn publish(&self, publication: Publication<'_>) -> Result<(), BrokerError> {
        let message = wire::outcome(publication);
        let (exchange, routing_key) = (self.topology.verdicts(), publication.outcome.routing_key());
        let route = Route::Topic { exchange: &exchange, routing_key: &routing_key };
        self.publisher.publish(route, &message.body, amqp::properties(&message.properties)).await?;
        if let Some(reply_to) = &publication.context.reply_to {
            self.answer(reply_to, publication).await;
        }
        Ok(())
    }

    fn exchange(&self) -> String {
        self.topology.verdicts()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.board.health()
    }

    async fn waiting(&self, lane: Lane) -> Result<u32, BrokerError> {
        ready(&self.topology.lane(lane), &*self.consuming.connection().await?).await
    }

    async fn close(&self) {
        self.settler.close(Duration::from_secs(self.settings.publish_timeout_s)).await;
        self.consuming.close().await;
        self.publisher.close().await;
    }
}

impl Rabbit {
    /// The answer to whoever asked for one, best effort.
    async fn answer(&self, reply_to: &str, publication: Publication<'_>) {
        if self.topology.owns(reply_to) {
            return tracing::debug!(reply_to, "no answer is sent to a queue of Assay's own");
        }
        let message = wire::answer(publication);
        let properties = amqp::properties(&message.properties);
        if let Err(error) = self.publisher.publish(Route::Perhaps(reply_to), &message.body, properties).await {
            tracing::debug!(%error, reply_to, "an answer could not be sent");
        }
    }
}

/// Connects, checks the topology as the worker would at its start, and looks at every queue: for `assay doctor`.
pub async fn survey(settings: &Settings) -> Result<Vec<Depth>, BrokerError> {
    let board = Arc::new(Board::new());
    let link = Link::open(Address::of(settings)?, Part::Consuming, board).await?;
    let connection = link.connection().await?;
    let topology = Topology::new(settings);
    let depths = match topology.ensure(&connection).await {
        Ok(()) => topology.depths(&connection).await,
        Err(error) => Err(error),
    };
    link.close().await;
    depths
}
