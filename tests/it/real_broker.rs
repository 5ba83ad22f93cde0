//! What only a real RabbitMQ can show: declarations, refusals, kinds of headers, crashes and alarms.

use std::collections::BTreeSet;
use std::time::Duration;

use broker::rabbit::{Rabbit, RabbitDeadLetters, RabbitSubmitter, survey};
use broker::wire::{Message, Properties};
use broker::{
    Broker, BrokerError, Consumer, DeadLetters, Health, InputQueue, Publication, RequestQueue, Settings, Shard,
    Submitter, TopologyMode,
};
use domain::delivery::{Job, Settlement};
use domain::{Context, Failure, FailureCode, Outcome, Request};
use futures_util::future::join_all;
use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde_json::json;
use time::OffsetDateTime;

use crate::support::chaos::chaos;
use crate::support::rabbit::{self, Bystander, soon, until};
use crate::support::servers::servers;

fn native(id: &str) -> Message {
    let body = json!({"submission_id": id, "image": {"bucket": "uploads", "key": "k"}});
    Message { body: body.to_string().into_bytes(), properties: Properties::default() }
}

fn failure(request: &Request) -> Outcome {
    Outcome::Failure(Box::new(Failure::new(request, FailureCode::ObjectNotFound, "gone", OffsetDateTime::UNIX_EPOCH)))
}

async fn next(consumer: &mut Consumer) -> Job<Request> {
    soon("a job", consumer.jobs.recv()).await.expect("the consumer goes on")
}

fn topology_error(error: &BrokerError) -> String {
    assert!(matches!(error, BrokerError::Topology { .. }), "{error}");
    assert!(!error.is_transient());
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_names_what_is_missing_and_changes_nothing() {
    let settings = rabbit::settings(servers().rabbitmq_url());
    let verify = Settings { topology: TopologyMode::Verify, ..settings.clone() };
    let error = topology_error(&Rabbit::connect(&verify).await.err().unwrap());
    assert!(error.contains(&format!("{}.dead", settings.prefix)) && error.contains("broker.topology"), "{error}");
    let beside = Bystander::new(settings).await;
    Rabbit::connect(&verify).await.unwrap().close().await;
    // One queue missing out of many.
    let retry = beside.topology.retry(Shard { of: RequestQueue::Bulk, number: 0 }, 1);
    beside.channel.queue_delete(retry.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let error = topology_error(&Rabbit::connect(&verify).await.err().unwrap());
    assert!(error.contains(&retry), "{error}");
    assert!(survey(&verify).await.is_err());
    assert!(survey(&beside.settings).await.unwrap().depths.iter().any(|depth| depth.queue == retry), "declared again");
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_declared_otherwise_is_named_with_the_difference() {
    let beside = Bystander::new(rabbit::settings(servers().rabbitmq_url())).await;
    let other = Settings { delivery_limit: 7, ..beside.settings.clone() };
    let error = topology_error(&Rabbit::connect(&other).await.err().unwrap());
    let queue = format!("queue \"{}.", beside.settings.prefix);
    assert!([queue.as_str(), "x-delivery-limit", "'7'", "'100'"].iter().all(|part| error.contains(part)), "{error}");
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_and_refusing_brokers_are_told_apart_and_no_error_shows_the_password() {
    let good = servers().rabbitmq_url();
    let mut url = url::Url::parse(good).unwrap();
    url.set_password(Some("hush-hush")).unwrap();
    let error = Rabbit::connect(&rabbit::settings(url.as_str())).await.err().unwrap();
    assert!(matches!(error, BrokerError::Refused { .. }) && !error.is_transient(), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
    let mut url = url::Url::parse(good).unwrap();
    url.set_path("/no-such-vhost");
    let error = Rabbit::connect(&rabbit::settings(url.as_str())).await.err().unwrap();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error}");
    let mut url = url::Url::parse(good).unwrap();
    url.set_port(Some(1)).unwrap();
    let error = Rabbit::connect(&rabbit::settings(url.as_str())).await.err().unwrap();
    assert!(matches!(error, BrokerError::Unreachable { .. }) && error.is_transient(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_publishers_gets_the_confirmation_of_its_own_message() {
    let beside = Bystander::new(rabbit::settings(servers().rabbitmq_url())).await;
    let rabbit = Rabbit::connect(&beside.settings).await.unwrap();
    let (results, exchange) = (beside.topology.results(), beside.topology.verdicts());
    let unbind = |topic: &'static str| {
        beside.channel.queue_unbind(
            results.as_str().into(),
            exchange.as_str().into(),
            topic.into(),
            FieldTable::default(),
        )
    };
    unbind("failure.#").await.unwrap();
    let only_acme = beside.channel.queue_bind(
        results.as_str().into(),
        exchange.as_str().into(),
        "failure.acme.#".into(),
        lapin::options::QueueBindOptions::default(),
        FieldTable::default(),
    );
    only_acme.await.unwrap();
    let outcomes: Vec<_> = (0..400)
        .map(|index| {
            let mut request = request(&format!("m{index}"));
            if index % 3 == 0 {
                request.key.tenant = "nobody".into();
            }
            failure(&request)
        })
        .collect();
    let context = Context::default();
    let ends =
        join_all(outcomes.iter().map(|outcome| rabbit.publish(Publication { outcome, context: &context }))).await;
    for (index, end) in ends.iter().enumerate() {
        match end {
            Ok(()) => assert_ne!(index % 3, 0, "published, but nobody has it"),
            Err(BrokerError::Unroutable { routing_key, .. }) => {
                assert_eq!(index % 3, 0, "{routing_key}");
                assert!(routing_key.starts_with("failure.nobody."));
            }
            Err(other) => panic!("{other}"),
        }
    }
    beside.take_results(ends.iter().filter(|end| end.is_ok()).count()).await;
    rabbit.close().await;
    beside.finish().await;
}

fn request(id: &str) -> Request {
    broker::wire::read(&native(id), false, &[("uploads".to_string(), "acme".to_string())].into()).unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_declared_again_and_consumed() {
    let beside = Bystander::new(rabbit::settings(servers().rabbitmq_url())).await;
    let rabbit = Rabbit::connect(&beside.settings).await.unwrap();
    let mut consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    let mut health = rabbit.health();
    let queue = beside.topology.request_queue(RequestQueue::Live);
    beside.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    soon("the loss is noticed", health.wait_for(|health| matches!(health, Health::Down(_)))).await.unwrap();
    soon("the consumer is back", health.wait_for(|health| *health == Health::Ready)).await.unwrap();
    beside.submit(RequestQueue::Live, native("a")).await;
    next(&mut consumer).await.ticket.settle(Settlement::Done);
    rabbit.close().await;
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_headers_of_every_kind() {
    let beside = Bystander::new(rabbit::settings(servers().rabbitmq_url())).await;
    let rabbit = Rabbit::connect(&beside.settings).await.unwrap();
    let consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::Double(1.5));
    let mut headers = FieldTable::default();
    headers.insert("table".into(), AMQPValue::FieldTable(inner));
    headers
        .insert("list".into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::LongInt(-3), AMQPValue::Void])));
    headers.insert("time".into(), AMQPValue::Timestamp(7));
    headers.insert("bytes".into(), AMQPValue::ByteArray(vec![0, 255].into()));
    headers.insert("flag".into(), AMQPValue::Boolean(true));
    let properties = BasicProperties::default()
        .with_headers(headers.clone())
        .with_content_encoding("identity".into())
        .with_app_id("uploader".into())
        .with_priority(4)
        .with_user_id("assay".into())
        .with_expiration("600000".into());
    let queue = beside.topology.request_queue(RequestQueue::Live);
    let body = b"\x00\xffnot a request";
    beside
        .channel
        .basic_publish("".into(), queue.as_str().into(), BasicPublishOptions::default(), body, properties.clone())
        .await
        .unwrap();
    let dead = beside.topology.dead();
    let letter = soon("a dead letter", async {
        loop {
            let options = BasicGetOptions { no_ack: true };
            if let Some(letter) = beside.channel.basic_get(dead.as_str().into(), options).await.unwrap() {
                return letter;
            }
        }
    })
    .await;
    assert_eq!(letter.data, body);
    let kept = letter.properties.headers().as_ref().unwrap().inner();
    for (name, value) in headers.inner() {
        assert_eq!(kept.get(name), Some(value), "{name}");
    }
    assert_eq!(letter.properties.app_id(), properties.app_id());
    assert_eq!(letter.properties.content_encoding(), properties.content_encoding());
    assert_eq!(letter.properties.priority(), properties.priority());
    assert_eq!(letter.properties.expiration(), &None, "a dead letter must not vanish");
    drop(consumer);
    rabbit.close().await;
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_released_too_often_is_dead_lettered_with_its_origin() {
    let settings = Settings { delivery_limit: 2, prefetch: 1, ..rabbit::settings(servers().rabbitmq_url()) };
    let beside = Bystander::new(settings).await;
    let rabbit = Rabbit::connect(&beside.settings).await.unwrap();
    let mut consumer = rabbit.consume(RequestQueue::Bulk).await.unwrap();
    beside.submit(RequestQueue::Bulk, native("poison")).await;
    // On a retry queue once, whose name is then in the broker's own header.
    next(&mut consumer).await.ticket.settle(Settlement::Later { reason: "busy".into() });
    // Dead-lettered by the broker, replayed, dead-lettered by the broker again.
    for _ in 0..2 {
        // A limit of two means three deliveries.
        for _ in 0..3 {
            next(&mut consumer).await.ticket.settle(Settlement::Released);
        }
        until("it is dead", || async { beside.ready(&beside.topology.dead()).await == 1 }).await;
        let mut letters = Box::new(RabbitDeadLetters::open(&beside.settings).await.unwrap());
        let letter = letters.next().await.unwrap().unwrap();
        assert_eq!(letter.origin, Some(InputQueue::Requests(RequestQueue::Bulk)), "{:?}", letter.message);
        assert_eq!(letter.message.body, native("poison").body);
        letters.replay(letter, InputQueue::Requests(RequestQueue::Bulk)).await.unwrap();
        letters.close().await;
    }
    let job = next(&mut consumer).await;
    assert_eq!(job.request.context.attempt, 1, "attempts are counted anew");
    job.ticket.settle(Settlement::Done);
    rabbit.close().await;
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_alarm_blocks_publishing_and_nothing_else() {
    let server = chaos().await;
    let beside = Bystander::new(rabbit::settings(server.rabbitmq_url())).await;
    let rabbit = Rabbit::connect(&beside.settings).await.unwrap();
    let mut consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    for index in 0..4 {
        beside.submit(RequestQueue::Live, native(&format!("a{index}"))).await;
    }
    server.rabbitmqctl(["set_vm_memory_high_watermark", "0.000001"]).await;
    let mut health = rabbit.health();
    let context = Context::default();
    let outcome = failure(&request("a0"));
    let publishing = rabbit.publish(Publication { outcome: &outcome, context: &context });
    let alarm = async {
        soon("the alarm", health.wait_for(|health| matches!(health, Health::Blocked(_)))).await.unwrap();
        // Acknowledgements still go through.
        for _ in 0..4 {
            next(&mut consumer).await.ticket.settle(Settlement::Done);
        }
        let queue = beside.topology.request_queue(RequestQueue::Live);
        until("all is acknowledged", || async { beside.unsettled(&queue, &server).await == 0 }).await;
        server.rabbitmqctl(["set_vm_memory_high_watermark", "0.4"]).await;
        soon("the end of the alarm", health.wait_for(|health| *health == Health::Ready)).await.unwrap();
    };
    let (published, ()) = soon("the publication", async { tokio::join!(publishing, alarm) }).await;
    published.unwrap();
    beside.take_results(1).await;
    rabbit.close().await;
    beside.finish().await;
}

/// The broker dies under load and comes back: every message ends, and consumer, prefetch and confirms are as
/// they were.
#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_when_the_broker_is_killed_under_load() {
    const MESSAGES: usize = 2000;
    let server = chaos().await;
    let settings = Settings { prefetch: 16, publish_timeout_s: 5, ..rabbit::settings(server.rabbitmq_url()) };
    let beside = Bystander::new(settings.clone()).await;
    // On 3.10 a quorum queue that was declared just before a kill comes back empty: its name reaches the disk
    // late. There is nothing to ask whether it has, so this waits, and it is the only wait by the clock.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rabbit = Rabbit::connect(&settings).await.unwrap();
    let mut health = rabbit.health();
    let mut consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    let submitting = tokio::spawn(submit_all(settings.clone(), MESSAGES));
    let mut ended = BTreeSet::new();
    let mut published = 0;
    let mut kills = 0;
    let context = Context::default();
    while ended.len() < MESSAGES {
        let mut jobs = vec![next(&mut consumer).await];
        while let Ok(job) = consumer.jobs.try_recv() {
            jobs.push(job);
        }
        if kills < 2 && ended.len() > (kills + 1) * MESSAGES / 4 {
            kills += 1;
            server.kill("rabbitmq").await;
            soon("the loss", health.wait_for(|health| matches!(health, Health::Down(_)))).await.unwrap();
            server.start("rabbitmq").await;
        }
        let finish = async |job: Job<Request>| {
            let outcome = failure(&job.request);
            let publication = Publication { outcome: &outcome, context: &context };
            until("publishing", || async { rabbit.publish(publication).await.is_ok() }).await;
            job.ticket.settle(Settlement::Done);
            job.request.key.submission_id
        };
        for id in join_all(jobs.into_iter().map(finish)).await {
            ended.insert(id);
            published += 1;
        }
    }
    submitting.await.unwrap();
    assert_eq!(kills, 2);
    soon("ready again", health.wait_for(|health| *health == Health::Ready)).await.unwrap();
    // What was confirmed twice comes twice; take what is left until the queue is empty.
    let queue = beside.topology.request_queue(RequestQueue::Live);
    while beside.unsettled(&queue, &server).await > 0 {
        while let Ok(job) = consumer.jobs.try_recv() {
            job.ticket.settle(Settlement::Done);
        }
    }
    // The prefetch is as it was.
    for index in 0..40 {
        beside_submit(&settings, &format!("after{index}")).await;
    }
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(next(&mut consumer).await);
    }
    until("the rest waits", || async { beside.ready(&queue).await == 24 }).await;
    assert!(consumer.jobs.try_recv().is_err());
    drop(consumer);
    drop(held);
    rabbit.close().await;
    // Every submission was published, under one id however often.
    let mut reader = broker::rabbit::Reader::of_results(&settings).await.unwrap();
    let mut ids = BTreeSet::new();
    let mut repeated = 0;
    while ids.len() < MESSAGES {
        let delivery = soon("an outcome", reader.next()).await.unwrap();
        delivery.acknowledge().await.unwrap();
        if !ids.insert(delivery.message.properties.message_id.unwrap()) {
            repeated += 1;
        }
    }
    reader.close().await;
    println!("{published} publications confirmed, {repeated} repeated before the last was new");
    beside.delete().await;
}

/// Submits so many messages, each again until it is confirmed.
async fn submit_all(settings: Settings, messages: usize) {
    let submitter = RabbitSubmitter::connect(&settings).await.unwrap();
    let submit = async |index: usize| {
        let message = native(&format!("k{index}"));
        until("submitting", || async { submitter.submit(RequestQueue::Live, &message).await.is_ok() }).await;
    };
    for chunk in (0..messages).collect::<Vec<_>>().chunks(100) {
        join_all(chunk.iter().map(|index| submit(*index))).await;
    }
    submitter.close().await;
}

async fn beside_submit(settings: &Settings, id: &str) {
    let submitter = RabbitSubmitter::connect(settings).await.unwrap();
    submitter.submit(RequestQueue::Live, &native(id)).await.unwrap();
    submitter.close().await;
}
