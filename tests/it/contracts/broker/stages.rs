//! The brokers under test, each with its surroundings: what publishes to it, and looks at its queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use broker::memory::{Fault, Memory};
use broker::rabbit::{Rabbit, RabbitDeadLetters, RabbitEvents, RabbitInbox, RabbitSubmitter};
use broker::wire::Message;
use broker::{Broker, DeadLetters, Events, Health, Inbox, InboxQueue, InputQueue, RequestQueue, Settings, Submitter};

use crate::support::proxy::{Flow, Proxy};
use crate::support::rabbit::{self, Bystander, soon, until};
use crate::support::servers::servers;

/// A broker with its surroundings.
#[async_trait]
pub trait Stage: Sized + Send + Sync {
    /// With this prefetch in each queue.
    async fn set(prefetch: u16) -> Self;

    fn broker(&self) -> Arc<dyn Broker>;

    /// The other ports, each on connections of its own.
    async fn submitter(&self) -> Box<dyn Submitter>;
    async fn events(&self) -> Box<dyn Events>;
    async fn inbox(&self, queue: InboxQueue) -> Box<dyn Inbox>;
    async fn dead_letters(&self) -> Box<dyn DeadLetters>;

    async fn submit(&self, request_queue: RequestQueue, message: Message);

    /// Publishes body and headers to a queue.
    async fn put(&self, queue: InputQueue, message: &Message);
    async fn put_dead(&self, message: &Message);

    /// Messages that are ready in a queue.
    async fn waiting(&self, request_queue: RequestQueue) -> usize {
        self.ready(InputQueue::Requests(request_queue)).await
    }

    /// Messages that are ready in a queue.
    async fn ready(&self, queue: InputQueue) -> usize;
    async fn ready_dead(&self) -> usize;

    async fn delete_queue(&self, queue: InputQueue);

    /// Cuts every connection; what is unacknowledged is requeued.
    async fn cut(&self);

    /// The next publication arrives if its publisher has published before, and is not confirmed.
    fn lose_confirmation(&self);

    /// The next publication of a publisher that has not published before is lost.
    fn lose_publication(&self);

    /// Ends either.
    fn restore(&self);

    /// The next dead letters.
    async fn take_dead(&self, count: usize) -> Vec<Message>;

    /// The next outcomes, with their routing keys.
    async fn take_published(&self, count: usize) -> Vec<(String, Message)>;

    /// A queue for replies, and the one reply that comes to it.
    async fn reply_queue(&self) -> String;
    async fn take_reply(&self, queue: &str) -> Message;

    /// The next rejections and events, with their routing keys.
    async fn take_notices(&self, count: usize) -> Vec<(String, Message)>;

    /// Closes the broker and checks that nothing is left unsettled, and that every message was taken.
    async fn end(self);
}

pub struct InMemory {
    broker: Memory,
    taken: std::sync::Mutex<(usize, usize)>,
    notices_taken: std::sync::Mutex<usize>,
}

#[async_trait]
impl Stage for InMemory {
    async fn set(prefetch: u16) -> InMemory {
        let tenants = BTreeMap::from([("uploads".to_string(), "acme".to_string())]);
        let broker = Memory::with_tenants(prefetch, tenants);
        InMemory { broker, taken: std::sync::Mutex::default(), notices_taken: std::sync::Mutex::default() }
    }

    fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(self.broker.clone())
    }

    async fn submitter(&self) -> Box<dyn Submitter> {
        Box::new(self.broker.submitter())
    }

    async fn events(&self) -> Box<dyn Events> {
        Box::new(self.broker.events())
    }

    async fn inbox(&self, queue: InboxQueue) -> Box<dyn Inbox> {
        Box::new(self.broker.inbox(queue))
    }

    async fn dead_letters(&self) -> Box<dyn DeadLetters> {
        Box::new(self.broker.dead_letters())
    }

    async fn submit(&self, request_queue: RequestQueue, message: Message) {
        self.broker.submit(request_queue, message);
    }

    async fn put(&self, queue: InputQueue, message: &Message) {
        self.broker.put(queue, message.clone());
    }

    async fn put_dead(&self, message: &Message) {
        self.broker.put_dead(message.clone());
    }

    async fn ready(&self, queue: InputQueue) -> usize {
        self.broker.ready(queue).len()
    }

    async fn ready_dead(&self) -> usize {
        self.broker.dead().len()
    }

    async fn delete_queue(&self, queue: InputQueue) {
        self.broker.delete_queue(queue);
    }

    async fn cut(&self) {
        self.broker.crash();
    }

    fn lose_confirmation(&self) {
        self.broker.fail_publications([Fault::Unconfirmed]);
    }

    fn lose_publication(&self) {
        self.broker.fail_publications([Fault::Lost]);
    }

    fn restore(&self) {}

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

    async fn reply_queue(&self) -> String {
        "answers".into()
    }

    async fn take_reply(&self, queue: &str) -> Message {
        let mut replies = self.broker.replies();
        assert_eq!(replies.len(), 1);
        let (to, message) = replies.remove(0);
        assert_eq!(to, queue);
        message
    }

    async fn take_notices(&self, count: usize) -> Vec<(String, Message)> {
        let from = *self.notices_taken.lock().unwrap();
        until("notices", || async { self.broker.notices().len() >= from + count }).await;
        *self.notices_taken.lock().unwrap() += count;
        self.broker.notices()[from..from + count].to_vec()
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

/// RabbitMQ, through a proxy that can cut the connections.
pub struct RealRabbit {
    rabbit: Arc<Rabbit>,
    /// By way of the proxy.
    settings: Settings,
    proxy: Proxy,
    beside: Bystander,
    /// A queue that gets rejections and events.
    notices: String,
}

#[async_trait]
impl Stage for RealRabbit {
    async fn set(prefetch: u16) -> RealRabbit {
        let url = servers().rabbitmq_url();
        let settings = Settings { prefetch, bulk_prefetch: prefetch, ..rabbit::settings(url) };
        let beside = Bystander::new(settings.clone()).await;
        let notices = beside.reply_queue().await;
        beside.bind(&notices, "rejected.#").await;
        beside.bind(&notices, "erased.#").await;
        beside.bind(&notices, "unchanged.#").await;
        let (proxy, url) = rabbit::through_a_proxy(url).await;
        let settings = Settings { url: url.into(), ..settings };
        let rabbit = Rabbit::connect(&settings).await.unwrap();
        RealRabbit { rabbit: Arc::new(rabbit), settings, proxy, beside, notices }
    }

    fn broker(&self) -> Arc<dyn Broker> {
        self.rabbit.clone()
    }

    async fn submitter(&self) -> Box<dyn Submitter> {
        Box::new(RabbitSubmitter::connect(&self.impatient()).await.unwrap())
    }

    async fn events(&self) -> Box<dyn Events> {
        Box::new(RabbitEvents::connect(&self.impatient()).await.unwrap())
    }

    async fn inbox(&self, queue: InboxQueue) -> Box<dyn Inbox> {
        Box::new(RabbitInbox::open(&self.impatient(), queue).await.unwrap())
    }

    async fn dead_letters(&self) -> Box<dyn DeadLetters> {
        Box::new(RabbitDeadLetters::open(&self.impatient()).await.unwrap())
    }

    async fn submit(&self, request_queue: RequestQueue, message: Message) {
        self.beside.submit(request_queue, message).await;
    }

    async fn put(&self, queue: InputQueue, message: &Message) {
        self.put_on(&self.beside.topology.input(queue, b""), message).await;
    }

    async fn put_dead(&self, message: &Message) {
        self.put_on(&self.beside.topology.dead(), message).await;
    }

    async fn ready(&self, queue: InputQueue) -> usize {
        self.beside.ready(&self.beside.topology.input(queue, b"")).await
    }

    async fn ready_dead(&self) -> usize {
        self.beside.ready(&self.beside.topology.dead()).await
    }

    async fn delete_queue(&self, queue: InputQueue) {
        self.beside.delete_queue(queue).await;
    }

    fn lose_confirmation(&self) {
        self.proxy.set(Flow::Mute);
    }

    fn lose_publication(&self) {
        // Without an answer no channel is opened.
        self.proxy.set(Flow::Mute);
    }

    fn restore(&self) {
        self.proxy.set(Flow::Open);
    }

    async fn cut(&self) {
        let mut health = self.rabbit.health();
        self.proxy.set(Flow::Cut);
        soon("the cut is noticed", health.wait_for(|health| *health != Health::Ready)).await.unwrap();
        self.proxy.set(Flow::Open);
        soon("the connection is made again", health.wait_for(|health| *health == Health::Ready)).await.unwrap();
    }

    async fn take_dead(&self, count: usize) -> Vec<Message> {
        self.beside.take_dead(count).await.into_iter().map(|delivery| delivery.message).collect()
    }

    async fn take_published(&self, count: usize) -> Vec<(String, Message)> {
        let deliveries = self.beside.take_results(count).await;
        deliveries.into_iter().map(|delivery| (delivery.routing_key, delivery.message)).collect()
    }

    async fn reply_queue(&self) -> String {
        self.beside.reply_queue().await
    }

    async fn take_reply(&self, queue: &str) -> Message {
        self.beside.take_reply(queue).await
    }

    async fn take_notices(&self, count: usize) -> Vec<(String, Message)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.beside.take_routed(&self.notices).await);
        }
        taken
    }

    async fn end(self) {
        soon("closing", self.rabbit.close()).await;
        self.beside.finish().await;
    }
}

impl RealRabbit {
    /// Settings that give a publication up soon.
    fn impatient(&self) -> Settings {
        Settings { publish_timeout_s: 2, ..self.settings.clone() }
    }

    async fn put_on(&self, queue: &str, message: &Message) {
        let headers = message.properties.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.beside.put(queue, &message.body, &headers.collect::<Vec<_>>()).await;
    }
}
