//! Taking messages from one lane, over as many connections as it takes.
//!
//! The prefetch of a lane is shared out among channels. A channel of RabbitMQ has at most 32 commands to a
//! quorum queue under way and keeps the rest back; when it closes, acknowledgements kept back are lost and their
//! messages come again. A channel that has no more than 32 messages out never keeps one back, so that an orderly
//! end leaves nothing behind (measured on 3.10: with 100 acknowledgements just before the end, 14 were lost).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::amqp;
use super::board::{Board, Part};
use super::link::{Link, pauses};
use super::settle::{Outstanding, Settler};
use crate::topology::trouble;
use crate::{BrokerError, Consumer, Health, Lane, Settings, wire};
use domain::Request;
use domain::delivery::{Job, Settlement};

/// Most messages unsettled on one channel: RabbitMQ's `quorum_commands_soft_limit`.
pub(super) const MOST_UNSETTLED: u16 = 32;

/// One lane.
#[derive(Clone)]
pub(super) struct LaneConsumer {
    pub lane: Lane,
    pub settings: Settings,
    pub link: Arc<Link>,
    pub settler: Arc<Settler>,
    pub board: Arc<Board>,
    /// Messages that nobody could read.
    pub unreadable: Arc<AtomicU64>,
}

/// A consumer on the broker, on a channel of its own with a prefetch of its own.
struct Subscription {
    channel: Channel,
    deliveries: lapin::Consumer,
}

/// How taking from one subscription ended.
enum End {
    /// As it was asked to.
    Stopped,
    /// Connection, channel or queue went away.
    Lost(String),
}

impl LaneConsumer {
    /// Subscribes, or says at once why not; from then on a lost subscription is made again.
    pub async fn start(self) -> Result<Consumer, BrokerError> {
        // 0 would be no limit at all.
        let prefetch = self.settings.prefetch_of(self.lane).max(1);
        // Holds whatever the broker may have out, so that handing on waits only for jobs of an earlier connection.
        let (jobs, receiver) = mpsc::channel(prefetch.into());
        let stop = CancellationToken::new();
        for (number, prefetch) in shares(prefetch).enumerate() {
            let share = Share { lane: self.clone(), number, prefetch, jobs: jobs.clone(), stop: stop.clone() };
            match share.subscribe().await {
                Ok(first) => drop(tokio::spawn(share.run(first))),
                Err(error) => {
                    stop.cancel();
                    return Err(error);
                }
            }
        }
        let queue = self.settler.topology.lane(self.lane);
        Ok(Consumer { jobs: receiver, stop, queue, unreadable: self.unreadable })
    }
}

/// Divides a prefetch among channels.
fn shares(prefetch: u16) -> impl Iterator<Item = u16> {
    let channels = prefetch.div_ceil(MOST_UNSETTLED);
    (0..channels).map(move |number| prefetch / channels + u16::from(number < prefetch % channels))
}

/// A lane's consumer on one channel.
struct Share {
    lane: LaneConsumer,
    number: usize,
    prefetch: u16,
    jobs: mpsc::Sender<Job<Request>>,
    stop: CancellationToken,
}

impl Share {
    async fn run(self, mut subscription: Subscription) {
        self.report(Health::Ready);
        while let End::Lost(reason) = self.take(subscription).await {
            tracing::warn!(lane = ?self.lane.lane, reason, "a consumer is gone: subscribing again");
            self.report(Health::Down(reason));
            let Some(again) = self.subscribe_again().await else { break };
            tracing::info!(lane = ?self.lane.lane, "subscribed again");
            self.report(Health::Ready);
            subscription = again;
        }
    }

    /// A bulk lane without its queue is trouble, but none that uploads should wait for.
    fn report(&self, health: Health) {
        if self.lane.lane == Lane::Live {
            self.lane.board.set(Part::LiveLane(self.number), health);
        }
    }

    async fn subscribe_again(&self) -> Option<Subscription> {
        for pause in pauses() {
            let subscribing = async {
                // The queue may be what went away.
                self.lane.settler.topology.ensure(&*self.lane.link.connection().await?).await?;
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
            tracing::warn!(lane = ?self.lane.lane, %error, "can't subscribe yet");
            self.report(Health::Down(error.to_string()));
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
        None
    }

    async fn subscribe(&self) -> Result<Subscription, BrokerError> {
        let queue = self.lane.settler.topology.lane(self.lane.lane);
        let failed = |error| trouble(&format!("queue {queue:?}"), &error);
        let channel = self.lane.link.connection().await?.create_channel().await.map_err(failed)?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await.map_err(failed)?;
        let deliveries = channel
            .basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .map_err(failed)?;
        Ok(Subscription { channel, deliveries })
    }

    async fn take(&self, mut subscription: Subscription) -> End {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.jobs.closed() => break,
                delivery = subscription.deliveries.next() => match delivery {
                    Some(Ok(delivery)) => self.hand_on(delivery, &subscription.channel).await,
                    Some(Err(error)) => return End::Lost(error.to_string()),
                    None => return End::Lost("the broker cancelled the consumer".into()),
                }
            }
        }
        let tag = subscription.deliveries.tag();
        // What was on its way comes before the broker's answer, and is handed on like the rest.
        if subscription.channel.basic_cancel(tag, BasicCancelOptions::default()).await.is_ok() {
            while let Some(Ok(delivery)) = subscription.deliveries.next().await {
                self.hand_on(delivery, &subscription.channel).await;
            }
        }
        self.lane.settler.retire(subscription.channel);
        End::Stopped
    }

    async fn hand_on(&self, delivery: Delivery, channel: &Channel) {
        let Delivery { data, properties, redelivered, acker, .. } = delivery;
        let message = amqp::message(data, &properties);
        let requests = wire::read(&message, redelivered, &self.lane.settings.tenants);
        let attempt = wire::attempt(&message.properties);
        let ticket = self.lane.settler.ticket(Outstanding {
            lane: self.lane.lane,
            body: message.body,
            properties,
            attempt,
            acker,
            channel: channel.clone(),
        });
        match requests {
            Ok(requests) => {
                let tickets = ticket.split(requests.len());
                for (request, ticket) in requests.into_iter().zip(tickets) {
                    // Nobody there to take it: the dropped job goes back.
                    let _ = self.jobs.send(Job { request, ticket }).await;
                }
            }
            Err(error) => {
                self.lane.unreadable.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, lane = ?self.lane.lane, "a message that can't be read: to the dead letters");
                ticket.settle(Settlement::Dead { reason: error.to_string() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_none_is_too_large() {
        for prefetch in [1, 31, 32, 33, 64, 65, 128, 1000, u16::MAX] {
            let shares: Vec<_> = shares(prefetch).collect();
            assert_eq!(shares.iter().map(|share| u32::from(*share)).sum::<u32>(), u32::from(prefetch));
            assert!(shares.iter().all(|share| (1..=MOST_UNSETTLED).contains(share)), "{prefetch}: {shares:?}");
        }
    }
}
