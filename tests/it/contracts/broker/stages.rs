//! The brokers under test, each with what it takes to look at it from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use broker::memory::Memory;
use broker::rabbit::Rabbit;
use broker::wire::Message;
use broker::{Broker, Health, Lane, Settings};

use crate::support::proxy::{Flow, Proxy};
use crate::support::rabbit::{self, Bystander, soon, until};
use crate::support::servers::servers;

/// A broker with its surroundings.
#[async_trait]
pub trait Stage: Sized + Send + Sync {
    /// With this prefetch in each lane.
    async fn set(prefetch: u16) -> Self;

    fn broker(&self) -> Arc<dyn Broker>;

    async fn submit(&self, lane: Lane, message: Message);

    /// Messages that wait in a lane.
    async fn waiting(&self, lane: Lane) -> usize;

    /// Takes everything that is out away from the consumers, as a lost connection does.
    async fn cut(&self);

    /// The next dead letters.
    async fn take_dead(&self, count: usize) -> Vec<Message>;

    /// The next outcomes, with their routing keys.
    async fn take_published(&self, count: usize) -> Vec<(String, Message)>;

    /// A queue for answers, and the one answer that comes to it.
    async fn answer_queue(&self) -> String;
    async fn take_answer(&self, queue: &str) -> Message;

    /// Closes the broker and checks that nothing is left unsettled, and that every message was taken.
    async fn end(self);
}

pub struct InMemory {
    broker: Memory,
    taken: std::sync::Mutex<(usize, usize)>,
}

#[async_trait]
impl Stage for InMemory {
    async fn set(prefetch: u16) -> InMemory {
        let tenants = BTreeMap::from([("uploads".to_string(), "acme".to_string())]);
        InMemory { broker: Memory::with_tenants(prefetch, tenants), taken: std::sync::Mutex::default() }
    }

    fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(self.broker.clone())
    }

    async fn submit(&self, lane: Lane, message: Message) {
        self.broker.submit(lane, message);
    }

    async fn waiting(&self, lane: Lane) -> usize {
        self.broker.waiting(lane)
    }

    async fn cut(&self) {
        self.broker.crash();
    }

    async fn take_dead(&self, count: usize) -> Vec<Message> {
        let from = self.taken.lock().unwrap().0;
        until("dead letters", || async { self.broker.dead().len() >= from + count }).await;
        self.taken.lock().unwrap().0 += count;
        self.broker.dead()[from..from + count].to_vec()
    }

    async fn take_published(&self, count: usize) -> Vec<(String, Message)> {
        let from = self.taken.lock().unwrap().1;
        until("outcomes", || async { self.broker.published().len() >= from + count }).await;
        self.taken.lock().unwrap().1 += count;
        self.broker.published()[from..from + count].to_vec()
    }

    async fn answer_queue(&self) -> String {
        "answers".into()
    }

    async fn take_answer(&self, queue: &str) -> Message {
        let mut replies = self.broker.replies();
        assert_eq!(replies.len(), 1);
        let (to, message) = replies.remove(0);
        assert_eq!(to, queue);
        message
    }

    async fn end(self) {
        soon("every settlement", self.broker.idle()).await;
        self.broker.close().await;
        let counts = self.broker.counts();
        assert_eq!(counts.settled(), counts.delivered, "every ticket is settled exactly once: {counts:?}");
        let taken = *self.taken.lock().unwrap();
        assert_eq!((self.broker.dead().len(), self.broker.published().len()), taken);
    }
}

/// RabbitMQ, by a wire that can be cut.
pub struct RealRabbit {
    rabbit: Arc<Rabbit>,
    proxy: Proxy,
    beside: Bystander,
}

#[async_trait]
impl Stage for RealRabbit {
    async fn set(prefetch: u16) -> RealRabbit {
        let url = servers().rabbitmq_url();
        let settings = Settings { prefetch, bulk_prefetch: prefetch, ..rabbit::settings(url) };
        let beside = Bystander::new(settings.clone()).await;
        let (proxy, url) = rabbit::through_a_proxy(url).await;
        let rabbit = Rabbit::connect(&Settings { url: url.into(), ..settings }).await.unwrap();
        RealRabbit { rabbit: Arc::new(rabbit), proxy, beside }
    }

    fn broker(&self) -> Arc<dyn Broker> {
        self.rabbit.clone()
    }

    async fn submit(&self, lane: Lane, message: Message) {
        self.beside.submit(lane, message).await;
    }

    async fn waiting(&self, lane: Lane) -> usize {
        self.beside.ready(&self.beside.topology.lane(lane)).await
    }

    async fn cut(&self) {
        let mut health = self.rabbit.health();
        self.proxy.set(Flow::Cut);
        soon("the cut is noticed", health.wait_for(|health| *health != Health::Ready)).await.unwrap();
        self.proxy.set(Flow::Open);
        soon("the line is mended", health.wait_for(|health| *health == Health::Ready)).await.unwrap();
    }

    async fn take_dead(&self, count: usize) -> Vec<Message> {
        self.beside.take_dead(count).await.into_iter().map(|letter| letter.message).collect()
    }

    async fn take_published(&self, count: usize) -> Vec<(String, Message)> {
        let letters = self.beside.take_results(count).await;
        letters.into_iter().map(|letter| (letter.routing_key, letter.message)).collect()
    }

    async fn answer_queue(&self) -> String {
        self.beside.answers().await
    }

    async fn take_answer(&self, queue: &str) -> Message {
        self.beside.take_answer(queue).await
    }

    async fn end(self) {
        soon("closing", self.rabbit.close()).await;
        self.beside.finish().await;
    }
}
