//! The RabbitMQ of the tests: queues with a prefix of each test's own, and a look at them from outside.

use std::time::Duration;

use broker::rabbit::{RabbitSubmitter, RawDelivery, Reader, survey};
use broker::topology::Topology;
use broker::wire::{Message, Properties};
use broker::{InputQueue, RequestQueue, Settings, Submitter, TopologyMode};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use secrecy::ExposeSecret;

use super::chaos::Chaos;
use super::proxy::Proxy;

/// Longer than anything takes that goes well.
const DEADLINE: Duration = Duration::from_secs(60);

/// The value of a future that must come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Asks again and again until the answer is yes.
pub async fn until<Fut: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> Fut) {
    soon(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Settings with a prefix that no other test uses.
pub fn settings(url: &str) -> Settings {
    Settings {
        url: url.to_string().into(),
        ca_file: String::new(),
        topology: TopologyMode::Declare,
        prefix: format!("t-{}", uuid::Uuid::new_v4().simple()),
        shards: 1,
        take_shards: Vec::new(),
        prefetch: 4,
        bulk_prefetch: 4,
        retry_delays_s: vec![1],
        delivery_limit: 100,
        management_url: String::new(),
        consumer_timeout_s: 1800,
        connect_timeout_s: 10,
        publish_timeout_s: 30,
        results_queue: true,
        results_max_messages: 200_000,
        results_max_age_s: 604_800,
        rejections_per_s: 50,
        tenants: [("uploads".to_string(), "acme".to_string())].into(),
    }
}

/// The same server through a proxy that can cut the connection.
pub async fn through_a_proxy(url: &str) -> (Proxy, String) {
    let mut url = url::Url::parse(url).unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
    let proxy = Proxy::before(target.parse().unwrap()).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    (proxy, url.to_string())
}

/// A client beside the broker under test: publishes to its queues and looks at them, over connections of its own.
pub struct Bystander {
    pub settings: Settings,
    pub topology: Topology,
    submitter: RabbitSubmitter,
    pub channel: Channel,
    connection: Connection,
}

impl Bystander {
    /// Declares the topology.
    pub async fn new(settings: Settings) -> Bystander {
        let submitter = RabbitSubmitter::connect(&settings).await.unwrap();
        let connection =
            Connection::connect(settings.url.expose_secret(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let topology = Topology::new(&settings);
        Bystander { settings, topology, submitter, channel, connection }
    }

    pub async fn submit(&self, request_queue: RequestQueue, message: Message) {
        soon("submitting", self.submitter.submit(request_queue, &message)).await.unwrap();
    }

    /// Publishes to any queue, with these headers.
    pub async fn put(&self, queue: &str, body: &[u8], headers: &[(&str, &str)]) {
        let channel = self.connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(table);
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = channel.basic_publish("".into(), queue.into(), options, body, properties).await.unwrap();
        assert!(sent.await.unwrap().is_ack());
        channel.close(200, "done".into()).await.unwrap();
    }

    pub async fn delete_queue(&self, queue: InputQueue) {
        let queue = self.topology.input(queue, b"");
        self.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    }

    /// Messages that are ready in a queue.
    pub async fn ready(&self, queue: &str) -> usize {
        let depths = survey(&self.settings).await.unwrap().depths;
        depths.iter().find(|depth| depth.queue == queue).unwrap().ready as usize
    }

    /// Messages of a queue that wait or are out. Asked of the server's own tool: AMQP does not tell.
    pub async fn unsettled(&self, queue: &str, servers: &Chaos) -> usize {
        let table = servers.rabbitmqctl(["-q", "list_queues", "--no-table-headers", "name", "messages"]).await;
        let row = table.lines().find_map(|line| line.strip_prefix(queue)?.strip_prefix('\t'));
        row.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{queue} is not in {table:?}"))
    }

    pub async fn take_results(&self, count: usize) -> Vec<RawDelivery> {
        take(Reader::of_results(&self.settings).await.unwrap(), count).await
    }

    pub async fn take_dead(&self, count: usize) -> Vec<RawDelivery> {
        take(Reader::of_dead(&self.settings).await.unwrap(), count).await
    }

    /// A queue for replies, deleted with the connection.
    pub async fn reply_queue(&self) -> String {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        queue.name().as_str().to_string()
    }

    /// Has a queue get the outcomes of a topic.
    pub async fn bind(&self, queue: &str, topic: &str) {
        let (exchange, options) = (self.topology.verdicts(), QueueBindOptions::default());
        let binding = self.channel.queue_bind(
            queue.into(),
            exchange.as_str().into(),
            topic.into(),
            options,
            FieldTable::default(),
        );
        binding.await.unwrap();
    }

    pub async fn take_reply(&self, queue: &str) -> Message {
        self.take_routed(queue).await.1
    }

    /// The next message of a queue with its routing key.
    pub async fn take_routed(&self, queue: &str) -> (String, Message) {
        soon("a reply", async {
            loop {
                let options = BasicGetOptions { no_ack: true };
                if let Some(reply) = self.channel.basic_get(queue.into(), options).await.unwrap() {
                    let correlation_id = reply.properties.correlation_id().as_ref().map(|id| id.as_str().to_string());
                    let properties = Properties { correlation_id, ..Properties::default() };
                    let routing_key = reply.routing_key.as_str().to_string();
                    return (routing_key, Message { body: reply.delivery.data, properties });
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Checks that every queue is empty, which after the end of all consumers means that nothing is left
    /// unsettled, and deletes them.
    pub async fn finish(self) {
        until("every queue is empty", || async {
            let depths = survey(&self.settings).await.unwrap().depths;
            depths.iter().all(|depth| depth.ready == 0 && depth.consumers == 0)
        })
        .await;
        self.delete().await;
    }

    /// Deletes the queues, whatever they hold.
    pub async fn delete(self) {
        delete(&self.settings).await;
        self.close().await;
    }

    /// Leaves the queues to others.
    pub async fn close(self) {
        self.submitter.close().await;
    }
}

/// Deletes the queues and the exchange of these settings, by a connection of its own: the server may have been
/// restarted since the beginning.
pub async fn delete(settings: &Settings) {
    delete_at(settings, settings.url.expose_secret()).await;
}

/// The same by another way to the server.
pub async fn delete_at(settings: &Settings, url: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let topology = Topology::new(settings);
    for queue in topology.queues() {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    }
    let spreading = [RequestQueue::Live, RequestQueue::Bulk].map(|of| topology.request_queue(of));
    for exchange in spreading.into_iter().filter(|_| topology.is_sharded()).chain([topology.verdicts()]) {
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}

async fn take(mut reader: Reader, count: usize) -> Vec<RawDelivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let delivery = soon("a message", reader.next()).await.unwrap();
        delivery.acknowledge().await.unwrap();
        taken.push(delivery);
    }
    reader.close().await;
    taken
}
