//! Putting messages on the lanes: for `assay enqueue` and `assay dead replay`.

use std::sync::Arc;

use super::board::Board;
use super::publish::{Publisher, Route};
use super::read::Letter;
use super::{Address, Link, Part, amqp};
use crate::topology::Topology;
use crate::wire::Message;
use crate::{BrokerError, Lane, Settings};

/// Sends messages to the lanes, each confirmed, many at a time.
pub struct Submitter {
    topology: Topology,
    publisher: Publisher,
}

impl Submitter {
    /// Most submissions that make sense to have under way at a time.
    pub const WIDTH: usize = super::publish::WIDTH;

    /// Connects and brings the topology to what the settings ask for, or says at once why not.
    pub async fn connect(settings: &Settings) -> Result<Submitter, BrokerError> {
        let board = Arc::new(Board::new());
        let topology = Topology::new(settings);
        // Over a connection of its own, so that publishing starts on one that has only published.
        let link = Link::open(Address::of(settings)?, Part::Consuming, board.clone()).await?;
        let ensured = topology.ensure(&*link.connection().await?).await;
        link.close().await;
        ensured?;
        Ok(Submitter { topology, publisher: Publisher::open(settings, board).await? })
    }

    /// Returns once the broker has the message safe in the lane's queue.
    pub async fn submit(&self, lane: Lane, message: &Message) -> Result<(), BrokerError> {
        let queue = self.topology.lane(lane);
        self.publisher.publish(Route::Queue(&queue), &message.body, amqp::properties(&message.properties)).await
    }

    /// Puts a dead letter on a lane again, body and headers as they first came, its attempts counted anew.
    pub async fn replay(&self, lane: Lane, letter: &Letter) -> Result<(), BrokerError> {
        let queue = self.topology.lane(lane);
        self.publisher.publish(Route::Queue(&queue), &letter.message.body, amqp::revived(&letter.properties)).await
    }

    pub async fn close(&self) {
        self.publisher.close().await;
    }
}
