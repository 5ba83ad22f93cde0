//! What becomes of a message when its ticket is settled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, BasicProperties, Channel};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::amqp;
use super::channel;
use super::connection::backoff;
use super::publish::{Publisher, Route};
use super::rejections::{Rejected, Rejections};
use crate::error::BrokerError;
use crate::pacing::Pacing;
use crate::queue::Shard;
use crate::topology::Topology;
use crate::wire::headers;
use domain::delivery::{Settlement, Ticket};

/// A message that was delivered and is not settled yet.
pub(super) struct Outstanding {
    pub shard: Shard,
    pub body: Vec<u8>,
    pub properties: BasicProperties,
    pub attempt: u32,
    /// Counts the headers that its copy has no room for.
    pub headers_dropped: Arc<AtomicU64>,
    /// Whether it, or a part of it, can't be read.
    pub unreadable: bool,
    /// Counts the answers to its sender for which there was no room.
    pub rejections_withheld: Arc<AtomicU64>,
    pub acker: Acker,
    /// Held until the message is settled: with the last handle on it the channel closes.
    pub channel: Channel,
    /// Cancelled when its consumer ends: others may then have it at once.
    pub stop: CancellationToken,
}

impl Outstanding {
    fn rejected(&self) -> Rejected<'_> {
        Rejected {
            shard: self.shard,
            body: &self.body,
            properties: &self.properties,
            unreadable: self.unreadable,
            withheld: &self.rejections_withheld,
        }
    }
}

/// Carries settlements out. Each is a task of its own; there are never more than unacknowledged messages, and
/// so never more than the prefetch.
pub(super) struct Settler {
    pub topology: Arc<Topology>,
    pub publisher: Arc<Publisher>,
    pub rejections: Rejections,
    pub tasks: TaskTracker,
    /// Tickets are settled from threads of any kind.
    pub runtime: Handle,
    /// Channels that consume nothing more, and whose messages may still be unsettled.
    pub retired: Mutex<Vec<Channel>>,
    pub pacing: Mutex<Pacing>,
    /// Nothing is paced any more.
    pub closing: CancellationToken,
}

impl Settler {
    pub(super) fn ticket(self: &Arc<Self>, outstanding: Outstanding) -> Ticket {
        let settler = self.clone();
        Ticket::new(move |settlement| {
            let work = settler.clone().settle(outstanding, settlement);
            settler.tasks.spawn_on(work, &settler.runtime);
        })
    }

    /// Keeps a channel open for the messages that came by it.
    pub(super) fn retire(&self, channel: Channel) {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
    }

    /// Waits until every settlement handed in so far has been carried out, for at most `timeout`.
    pub(super) async fn close(&self, timeout: Duration) {
        self.tasks.close();
        self.closing.cancel();
        // A copy that can't be published now would be tried for ever; its message is requeued with the connection.
        if tokio::time::timeout(timeout, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "closing with messages not settled; they will be delivered again");
        }
        let retired = std::mem::take(&mut *self.retired.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(retired.iter().map(channel::close)).await;
    }

    async fn settle(self: Arc<Self>, message: Outstanding, settlement: Settlement) {
        if settlement == Settlement::Released {
            self.pace(&message.stop).await;
        } else {
            self.pacing.lock().unwrap_or_else(PoisonError::into_inner).progress();
        }
        let settled = match settlement {
            Settlement::Done => message.acker.ack(BasicAckOptions::default()).await,
            Settlement::Released => {
                // Not `reject`: on newer brokers a nack doesn't count towards the delivery limit.
                message.acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await
            }
            Settlement::Dead { reason } => {
                let queue = self.topology.queue(message.shard);
                let added = headers::of_dead_letter(&reason, &queue, OffsetDateTime::now_utc());
                match self.copy(&message, &self.topology.dead(), &added).await {
                    false => Ok(false),
                    true => {
                        // The dead letter is safe: whatever becomes of the answer, nothing is lost.
                        self.rejections.tell(message.rejected(), &reason).await;
                        message.acker.ack(BasicAckOptions::default()).await
                    }
                }
            }
            Settlement::Later { reason } => {
                let added = headers::of_retry(&reason, message.attempt);
                match self.copy(&message, &self.topology.retry(message.shard, message.attempt), &added).await {
                    false => Ok(false),
                    true => message.acker.ack(BasicAckOptions::default()).await,
                }
            }
        };
        match settled {
            Ok(true) => {}
            // The channel is gone, and its messages are requeued.
            Ok(false) => tracing::debug!("a settlement came after the channel had closed; the message comes again"),
            Err(error) => tracing::debug!(%error, "a message could not be settled; it will be delivered again"),
        }
        drop(message.channel);
    }

    /// Keeps a message for a while that would come again at once.
    async fn pace(&self, stop: &CancellationToken) {
        let pause = self.pacing.lock().unwrap_or_else(PoisonError::into_inner).release();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
            () = self.closing.cancelled() => {}
        }
    }

    /// Publishes a copy and gives whether it is confirmed. Tries for as long as the message is ours: given up half-way it
    /// would be delivered again at once, and again.
    async fn copy(&self, message: &Outstanding, queue: &str, added: &[(&'static str, String)]) -> bool {
        for pause in backoff() {
            if !message.acker.usable() {
                return false;
            }
            let copied = async {
                let room = self.publisher.room_for_headers().await?;
                let (properties, dropped) = amqp::copied(&message.properties, added, room);
                self.publisher.publish(Route::Queue(queue), &message.body, properties).await.map(|()| dropped)
            };
            match copied.await {
                Ok(dropped) => {
                    message.headers_dropped.fetch_add(dropped, Ordering::Relaxed);
                    return true;
                }
                Err(BrokerError::Closed) => return false,
                Err(error) => tracing::warn!(%error, queue, "a message could not be moved yet"),
            }
            tokio::time::sleep(pause).await;
        }
        false
    }
}
