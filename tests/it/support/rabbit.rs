//! RabbitMQ in the tests: names that no other test has, and what AMQP itself doesn't tell.

use std::time::Duration;

use broker::rabbit::{Letter, Reader, Submitter, survey};
use broker::topology::Topology;
use broker::wire::{Message, Properties};
use broker::{Lane, Settings, TopologyMode};
use lapin::options::{BasicGetOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
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

/// Settings for a part of the server that no other test shares.
pub fn settings(url: &str) -> Settings {
    Settings {
        url: url.to_string().into(),
        ca_file: String::new(),
        topology: TopologyMode::Declare,
        prefix: format!("t-{}", uuid::Uuid::new_v4().simple()),
        prefetch: 4,
        bulk_prefetch: 4,
        retry_delays_s: vec![1],
        delivery_limit: 100,
        consumer_timeout_s: 1800,
        connect_timeout_s: 10,
        publish_timeout_s: 30,
        tenants: [("uploads".to_string(), "acme".to_string())].into(),
    }
}

/// The same server by a connection that can be cut.
pub async fn through_a_proxy(url: &str) -> (Proxy, String) {
    let mut url = url::Url::parse(url).unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
    let proxy = Proxy::before(target.parse().unwrap()).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    (proxy, url.to_string())
}

/// Another client beside the broker under test: sends messages and looks at queues, by connections of its own.
pub struct Bystander {
    pub settings: Settings,
    pub topology: Topology,
    submitter: Submitter,
    pub channel: Channel,
    _connection: Connection,
}

impl Bystander {
    /// Declares the topology.
    pub async fn new(settings: Settings) -> Bystander {
        let submitter = Submitter::connect(&settings).await.unwrap();
        let connection =
            Connection::connect(settings.url.expose_secret(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let topology = Topology::new(&settings);
        Bystander { settings, topology, submitter, channel, _connection: connection }
    }

    pub async fn submit(&self, lane: Lane, message: Message) {
        soon("submitting", self.submitter.submit(lane, &message)).await.unwrap();
    }

    /// Messages that wait in a queue.
    pub async fn ready(&self, queue: &str) -> usize {
        let depths = survey(&self.settings).await.unwrap();
        depths.iter().find(|depth| depth.queue == queue).unwrap().ready as usize
    }

    /// Messages of a queue that wait or are out. Asked of the server's own tool: AMQP does not tell.
    pub async fn unsettled(&self, queue: &str, servers: &Chaos) -> usize {
        let table = servers.rabbitmqctl(["-q", "list_queues", "--no-table-headers", "name", "messages"]).await;
        let row = table.lines().find_map(|line| line.strip_prefix(queue)?.strip_prefix('\t'));
        row.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{queue} is not in {table:?}"))
    }

    pub async fn take_results(&self, count: usize) -> Vec<Letter> {
        take(Reader::of_results(&self.settings).await.unwrap(), count).await
    }

    pub async fn take_dead(&self, count: usize) -> Vec<Letter> {
        take(Reader::of_dead(&self.settings).await.unwrap(), count).await
    }

    /// A queue for answers, gone with the bystander.
    pub async fn answers(&self) -> String {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        queue.name().as_str().to_string()
    }

    pub async fn take_answer(&self, queue: &str) -> Message {
        soon("an answer", async {
            loop {
                let options = BasicGetOptions { no_ack: true };
                if let Some(answer) = self.channel.basic_get(queue.into(), options).await.unwrap() {
                    let correlation_id = answer.properties.correlation_id().as_ref().map(|id| id.as_str().to_string());
                    let properties = Properties { correlation_id, ..Properties::default() };
                    return Message { body: answer.delivery.data, properties };
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
            let depths = survey(&self.settings).await.unwrap();
            depths.iter().all(|depth| depth.ready == 0 && depth.consumers == 0)
        })
        .await;
        self.delete().await;
    }

    /// Deletes the queues, whatever they hold.
    pub async fn delete(self) {
        delete(&self.settings).await;
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
    channel.exchange_delete(topology.verdicts().as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

async fn take(mut reader: Reader, count: usize) -> Vec<Letter> {
    let mut letters = Vec::new();
    while letters.len() < count {
        let letter = soon("a message", reader.next()).await.unwrap();
        letter.acknowledge().await.unwrap();
        letters.push(letter);
    }
    reader.close().await;
    letters
}
