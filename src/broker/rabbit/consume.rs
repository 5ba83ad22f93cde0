//! Taking messages from one lane, over as many connections as it takes.

use std::sync::Arc;

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
use crate::broker::topology::trouble;
use crate::broker::{BrokerError, Consumer, Health, Lane, Settings, wire};
use crate::delivery::{Job, Settlement};
use crate::moderation::Request;

pub(super) struct LaneConsumer {
    pub lane: Lane,
    pub settings: Settings,
    pub link: Arc<Link>,
    pub settler: Arc<Settler>,
    pub board: Arc<Board>,
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
        let first = self.subscribe().await?;
        // Holds whatever the broker may have out, so that handing on waits only for jobs of an earlier connection.
        let (sender, jobs) = mpsc::channel(self.prefetch().into());
        let stop = CancellationToken::new();
        tokio::spawn(self.run(first, sender, stop.clone()));
        Ok(Consumer { jobs, stop })
    }

    fn prefetch(&self) -> u16 {
        // 0 would be no limit at all.
        self.settings.prefetch_of(self.lane).max(1)
    }

    async fn run(self, mut subscription: Subscription, jobs: mpsc::Sender<Job<Request>>, stop: CancellationToken) {
        self.report(Health::Ready);
        while let End::Lost(reason) = self.take(subscription, &jobs, &stop).await {
            tracing::warn!(lane = ?self.lane, reason, "the consumer is gone: subscribing again");
            self.report(Health::Down(reason));
            let Some(again) = self.subscribe_again(&jobs, &stop).await else { break };
            tracing::info!(lane = ?self.lane, "subscribed again");
            self.report(Health::Ready);
            subscription = again;
        }
    }

    /// A bulk lane without its queue is trouble, but none that uploads should wait for.
    fn report(&self, health: Health) {
        if self.lane == Lane::Live {
            self.board.set(Part::LiveLane, health);
        }
    }

    async fn subscribe_again(
        &self,
        jobs: &mpsc::Sender<Job<Request>>,
        stop: &CancellationToken,
    ) -> Option<Subscription> {
        for pause in pauses() {
            let subscribing = async {
                // The queue may be what went away.
                self.settler.topology.ensure(&*self.link.connection().await?).await?;
                self.subscribe().await
            };
            let error = tokio::select! {
                () = stop.cancelled() => return None,
                () = jobs.closed() => return None,
                subscribed = subscribing => match subscribed {
                    Ok(subscription) => return Some(subscription),
                    Err(BrokerError::Closed) => return None,
                    Err(error) => error,
                },
            };
            tracing::warn!(lane = ?self.lane, %error, "can't subscribe yet");
            self.report(Health::Down(error.to_string()));
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
        None
    }

    async fn subscribe(&self) -> Result<Subscription, BrokerError> {
        let queue = self.settler.topology.lane(self.lane);
        let failed = |error| trouble(&format!("queue {queue:?}"), &error);
        let channel = self.link.connection().await?.create_channel().await.map_err(failed)?;
        channel.basic_qos(self.prefetch(), BasicQosOptions::default()).await.map_err(failed)?;
        let deliveries = channel
            .basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .map_err(failed)?;
        Ok(Subscription { channel, deliveries })
    }

    async fn take(
        &self,
        mut subscription: Subscription,
        jobs: &mpsc::Sender<Job<Request>>,
        stop: &CancellationToken,
    ) -> End {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = jobs.closed() => break,
                delivery = subscription.deliveries.next() => match delivery {
                    Some(Ok(delivery)) => self.hand_on(delivery, &subscription.channel, jobs).await,
                    Some(Err(error)) => return End::Lost(error.to_string()),
                    None => return End::Lost("the broker cancelled the consumer".into()),
                }
            }
        }
        let tag = subscription.deliveries.tag();
        // What was on its way comes before the broker's answer, and is handed on like the rest.
        if subscription.channel.basic_cancel(tag, BasicCancelOptions::default()).await.is_ok() {
            while let Some(Ok(delivery)) = subscription.deliveries.next().await {
                self.hand_on(delivery, &subscription.channel, jobs).await;
            }
        }
        End::Stopped
    }

    async fn hand_on(&self, delivery: Delivery, channel: &Channel, jobs: &mpsc::Sender<Job<Request>>) {
        let Delivery { data, properties, redelivered, acker, .. } = delivery;
        let message = amqp::message(data, &properties);
        let requests = wire::read(&message, redelivered, &self.settings.tenants);
        let attempt = wire::attempt(&message.properties);
        let ticket = self.settler.ticket(Outstanding {
            lane: self.lane,
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
                    let _ = jobs.send(Job { request, ticket }).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, lane = ?self.lane, "a message that can't be read: to the dead letters");
                ticket.settle(Settlement::Dead { reason: error.to_string() });
            }
        }
    }
}
