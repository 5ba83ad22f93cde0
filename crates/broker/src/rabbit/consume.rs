//! Taking messages from one queue, over as many connections as it takes.
//!
//! The prefetch of a queue is shared out among channels. A channel of RabbitMQ has at most 32 commands to a
//! quorum queue under way and keeps the rest back; when it closes, acknowledgements kept back are lost and their
//! messages come again. A channel that has no more than 32 messages out never keeps one back, so that an orderly
//! end leaves nothing behind (measured on 3.10: with 100 acknowledgements just before the end, 14 were lost).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::BasicCancelOptions;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::amqp;
use super::channel::{self, MAX_UNSETTLED};
use super::connection::{ReconnectingConnection, backoff};
use super::declare;
use super::health::{Component, ConnectionHealth};
use super::settle::{Outstanding, Settler};
use crate::error::BrokerError;
use crate::parts;
use crate::port::{Consumer, Health};
use crate::queue::{RequestQueue, Shard};
use crate::settings::Settings;
use crate::wire;
use domain::Request;
use domain::delivery::{Job, Settlement, Ticket};

/// The queues of a kind of requests that this process takes messages from.
#[derive(Clone)]
pub(super) struct QueueConsumer {
    pub request_queue: RequestQueue,
    pub settings: Settings,
    pub connection: Arc<ReconnectingConnection>,
    pub settler: Arc<Settler>,
    pub health: Arc<ConnectionHealth>,
    /// Messages that could not be read.
    pub unreadable: Arc<AtomicU64>,
    /// Headers that were cut or left out.
    pub headers_dropped: Arc<AtomicU64>,
    /// False while a consumer that is lost stays lost.
    pub subscribing: watch::Receiver<bool>,
    /// Answers to senders for which there was no room.
    pub rejections_withheld: Arc<AtomicU64>,
}

/// A consumer on the broker, on a channel of its own with a prefetch of its own.
struct Subscription {
    channel: Channel,
    deliveries: lapin::Consumer,
}

/// How one subscription ended.
enum Ended {
    /// As it was asked to.
    Stopped,
    /// Connection, channel or queue was lost.
    Lost(String),
}

impl QueueConsumer {
    /// Subscribes, or says at once why not; from then on a lost subscription is made again.
    pub(super) async fn start(self) -> Result<Consumer, BrokerError> {
        // 0 would be no limit at all.
        let prefetch = self.settings.prefetch_of(self.request_queue).max(1);
        // Holds whatever the broker may have out, so that dispatching waits only for jobs of an earlier connection.
        let (jobs, receiver) = mpsc::channel(prefetch.into());
        let stop = CancellationToken::new();
        let taken = self.settler.topology.taken(self.request_queue);
        for (number, (shard, prefetch)) in divide(prefetch, &taken).into_iter().enumerate() {
            let (consumer, jobs) = (self.clone(), jobs.clone());
            let consumer = ChannelConsumer { consumer, shard, number, prefetch, jobs, stop: stop.clone() };
            match consumer.subscribe().await {
                Ok(first) => drop(tokio::spawn(consumer.run(first))),
                Err(error) => {
                    stop.cancel();
                    return Err(error);
                }
            }
        }
        let queue = self.settler.topology.request_queue(self.request_queue);
        let QueueConsumer { unreadable, headers_dropped, rejections_withheld, .. } = self;
        Ok(Consumer { jobs: receiver, stop, queue, unreadable, headers_dropped, rejections_withheld })
    }
}

/// Divides a prefetch among queues, and that of each among channels. Each queue has a channel.
fn divide(prefetch: u16, taken: &[Shard]) -> Vec<(Shard, u16)> {
    let queues = u16::try_from(taken.len()).unwrap_or(u16::MAX).max(1);
    let share = |number: u16| (prefetch / queues + u16::from(number < prefetch % queues)).max(1);
    (0..).zip(taken).flat_map(|(number, shard)| split(share(number)).map(|part| (*shard, part))).collect()
}

/// Divides a prefetch among channels.
fn split(prefetch: u16) -> impl Iterator<Item = u16> {
    let channels = prefetch.div_ceil(MAX_UNSETTLED);
    (0..channels).map(move |number| prefetch / channels + u16::from(number < prefetch % channels))
}

/// A queue's consumer on one channel.
struct ChannelConsumer {
    consumer: QueueConsumer,
    shard: Shard,
    number: usize,
    prefetch: u16,
    jobs: mpsc::Sender<Job<Request>>,
    stop: CancellationToken,
}

impl ChannelConsumer {
    async fn run(self, mut subscription: Subscription) {
        self.report(Health::Ready);
        while let Ended::Lost(reason) = self.deliver(subscription).await {
            tracing::warn!(queue = ?self.consumer.request_queue, reason, "a consumer is lost: subscribing again");
            self.report(Health::Down(reason));
            let Some(again) = self.subscribe_again().await else { break };
            tracing::info!(queue = ?self.consumer.request_queue, "subscribed again");
            self.report(Health::Ready);
            subscription = again;
        }
    }

    /// Uploads don't wait for a bulk queue that is away, so it doesn't count.
    fn report(&self, health: Health) {
        if self.consumer.request_queue == RequestQueue::Live {
            self.consumer.health.set(Component::LiveQueue(self.number), health);
        }
    }

    async fn subscribe_again(&self) -> Option<Subscription> {
        for pause in backoff() {
            let subscribing = async {
                // The broker takes away what was kept for too long. Taken again during the same outage, it would be again.
                let _ = self.consumer.subscribing.clone().wait_for(|subscribing| *subscribing).await;
                // The queue may be what was lost.
                declare::ensure(&self.consumer.settler.topology, &*self.consumer.connection.current().await?).await?;
                self.subscribe().await
            };
            let error = tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.jobs.closed() => return None,
                subscribed = subscribing => match subscribed {
                    Ok(subscription) => return Some(subscription),
                    Err(BrokerError::Closed) => return None,
                    Err(error) => error,
                },
            };
            tracing::warn!(queue = ?self.consumer.request_queue, %error, "can't subscribe yet");
            self.report(Health::Down(error.to_string()));
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
        None
    }

    async fn subscribe(&self) -> Result<Subscription, BrokerError> {
        let queue = self.consumer.settler.topology.queue(self.shard);
        let connection = self.consumer.connection.current().await?;
        let (channel, deliveries) = channel::consume(&connection, &queue, self.prefetch).await?;
        Ok(Subscription { channel, deliveries })
    }

    async fn deliver(&self, mut subscription: Subscription) -> Ended {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.jobs.closed() => break,
                delivery = subscription.deliveries.next() => match delivery {
                    Some(Ok(delivery)) => self.dispatch(delivery, &subscription.channel).await,
                    Some(Err(error)) => return Ended::Lost(error.to_string()),
                    None => return Ended::Lost("the broker cancelled the consumer".into()),
                }
            }
        }
        let tag = subscription.deliveries.tag();
        // What was on its way arrives before the broker's answer, and is dispatched like the rest.
        if subscription.channel.basic_cancel(tag, BasicCancelOptions::default()).await.is_ok() {
            while let Some(Ok(delivery)) = subscription.deliveries.next().await {
                self.dispatch(delivery, &subscription.channel).await;
            }
        }
        self.consumer.settler.retire(subscription.channel);
        Ended::Stopped
    }

    async fn dispatch(&self, delivery: Delivery, channel: &Channel) {
        let Delivery { data, properties, redelivered, acker, .. } = delivery;
        let message = amqp::message(data, &properties);
        let reading = parts::read(&message, redelivered, &self.consumer.settings.tenants);
        let attempt = wire::attempt(&message.properties);
        let ticket = self.consumer.settler.ticket(Outstanding {
            shard: self.shard,
            body: message.body,
            properties,
            attempt,
            headers_dropped: self.consumer.headers_dropped.clone(),
            unreadable: reading.as_ref().map_or(true, |reading| !reading.refused.is_empty()),
            rejections_withheld: self.consumer.rejections_withheld.clone(),
            acker,
            channel: channel.clone(),
            stop: self.stop.clone(),
        });
        let headers_dropped = reading.as_ref().map_or(0, |reading| reading.headers_dropped);
        self.consumer.headers_dropped.fetch_add(headers_dropped, Ordering::Relaxed);
        let (jobs, refused) = parts::deal(reading, ticket);
        if let Some((reason, ticket)) = refused {
            self.dead_letter(reason, ticket);
        }
        for job in jobs {
            // If the receiver is gone, the dropped job releases its message.
            let _ = self.jobs.send(job).await;
        }
    }

    fn dead_letter(&self, reason: String, ticket: Ticket) {
        self.consumer.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(reason, queue = ?self.consumer.request_queue, "a message can't be read: dead-lettered");
        ticket.settle(Settlement::Dead { reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefetch_is_split_into_parts_that_add_up_and_are_small_enough() {
        for prefetch in [1, 31, 32, 33, 64, 65, 128, 1000, u16::MAX] {
            let parts: Vec<_> = split(prefetch).collect();
            assert_eq!(parts.iter().map(|part| u32::from(*part)).sum::<u32>(), u32::from(prefetch));
            assert!(parts.iter().all(|part| (1..=MAX_UNSETTLED).contains(part)), "{prefetch}: {parts:?}");
        }
    }

    #[test]
    fn several_queues_share_a_prefetch_and_each_has_a_channel() {
        let taken: Vec<_> = [0, 2, 5].map(|number| Shard { of: RequestQueue::Live, number }).into();
        let parts = |prefetch| divide(prefetch, &taken).into_iter().map(|(shard, part)| (shard.number, part));
        assert_eq!(parts(8).collect::<Vec<_>>(), [(0, 3), (2, 3), (5, 2)]);
        assert_eq!(parts(100).map(|(_, part)| part).sum::<u16>(), 100);
        assert_eq!(parts(100).filter(|(number, _)| *number == 5).count(), 2, "33 are two channels");
        assert_eq!(parts(1).collect::<Vec<_>>(), [(0, 1), (2, 1), (5, 1)], "0 would be no limit at all");
    }
}
