//! Requests spread over several queues (`broker.shards`).

use std::collections::BTreeMap;
use std::time::Duration;

use broker::rabbit::{Rabbit, RabbitDeadLetters, survey};
use broker::wire::{Message, Properties};
use broker::{Broker, Consumer, DeadLetters, InputQueue, RequestQueue, Settings};
use domain::Request;
use domain::delivery::{Job, Settlement};
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use serde_json::Value;

use crate::support::images;
use crate::support::rabbit::{self, Bystander, soon, until};
use crate::support::servers::servers;
use crate::support::site::{Site, request};

const SHARDS: u16 = 3;
const SUBMISSIONS: usize = 60;

fn sharded() -> Settings {
    Settings { shards: SHARDS, prefetch: 6, ..rabbit::settings(servers().rabbitmq_url()) }
}

fn message(number: usize) -> Message {
    let body = request(&format!("s-{number}"), "k").to_string().into_bytes();
    Message { body, properties: Properties::default() }
}

async fn next(consumer: &mut Consumer) -> Job<Request> {
    soon("a job", consumer.jobs.recv()).await.expect("the consumer runs")
}

/// Messages that are ready in each live queue.
async fn depths(settings: &Settings) -> Vec<u32> {
    let depths: BTreeMap<_, _> =
        survey(settings).await.unwrap().depths.into_iter().map(|depth| (depth.queue, depth.ready)).collect();
    (0..settings.shards).map(|number| depths[&format!("{}.images.{number}", settings.prefix)]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_spread_and_each_comes_back_to_its_queue_from_a_retry_and_from_the_dead_letters() {
    let beside = Bystander::new(sharded()).await;
    for number in 0..SUBMISSIONS {
        beside.submit(RequestQueue::Live, message(number)).await;
    }
    let before = depths(&beside.settings).await;
    assert!(before.iter().all(|&ready| ready > 5) && before.iter().sum::<u32>() == SUBMISSIONS as u32, "{before:?}");

    // Every message is tried twice and then dead.
    let rabbit = Rabbit::connect(&beside.settings).await.unwrap();
    assert_eq!(rabbit.waiting(RequestQueue::Live).await.unwrap(), SUBMISSIONS as u32);
    let mut consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    for _ in 0..SUBMISSIONS * 2 {
        let Job { request, ticket } = next(&mut consumer).await;
        let again = request.context.attempt == 1;
        let reason = "test".to_string();
        ticket.settle(if again { Settlement::Later { reason } } else { Settlement::Dead { reason } });
    }
    until("all are dead", || async { beside.ready(&beside.topology.dead()).await == SUBMISSIONS }).await;
    rabbit.close().await;

    let mut letters = Box::new(RabbitDeadLetters::open(&beside.settings).await.unwrap());
    while let Some(letter) = letters.next().await.unwrap() {
        assert_eq!(letter.origin, Some(InputQueue::Requests(RequestQueue::Live)), "{:?}", letter.message);
        letters.replay(letter, InputQueue::Requests(RequestQueue::Live)).await.unwrap();
    }
    letters.close().await;
    until("each is where it was", || async { depths(&beside.settings).await == before }).await;
    beside.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_take_some_of_the_queues_and_waits_for_no_others() {
    let beside = Bystander::new(sharded()).await;
    for number in 0..SUBMISSIONS {
        beside.submit(RequestQueue::Live, message(number)).await;
    }
    let before = depths(&beside.settings).await;
    let rabbit = Rabbit::connect(&Settings { take_shards: vec![1], ..beside.settings.clone() }).await.unwrap();
    let mine = rabbit.waiting(RequestQueue::Live).await.unwrap();
    assert_eq!(mine, before[1]);
    let mut consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    for _ in 0..mine {
        next(&mut consumer).await.ticket.settle(Settlement::Done);
    }
    assert!(tokio::time::timeout(Duration::from_millis(200), consumer.jobs.recv()).await.is_err(), "no others come");
    rabbit.close().await;
    assert_eq!(depths(&beside.settings).await, [before[0], 0, before[2]]);
    beside.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_publish_to_one_exchange_and_know_nothing_of_the_queues() {
    let beside = Bystander::new(sharded()).await;
    let exchange = beside.topology.request_queue(RequestQueue::Live);
    for number in 0..SUBMISSIONS {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (body, properties) = (message(number).body, BasicProperties::default().with_delivery_mode(2));
        let key = format!("acme/s-{number}");
        let sent =
            beside.channel.basic_publish(exchange.as_str().into(), key.as_str().into(), options, &body, properties);
        sent.await.unwrap();
    }
    until("all are there", || async { depths(&beside.settings).await.iter().sum::<u32>() == SUBMISSIONS as u32 }).await;
    assert!(depths(&beside.settings).await.iter().all(|&ready| ready > 0));

    // Another number of queues: what is left of this one is found.
    let fewer = Settings { shards: 2, ..beside.settings.clone() };
    let found = survey(&fewer).await.unwrap().remarks;
    assert_eq!(
        found.iter().filter(|remark| remark.contains(".2 is there though broker.shards = 2")).count(),
        2,
        "{found:?}"
    );
    assert_eq!(survey(&beside.settings).await.unwrap().remarks, [""; 0]);
    beside.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_judge_everything_that_is_spread() {
    let site = Site::with_shards(4).await;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit((0..SUBMISSIONS).map(|number| request(&format!("s-{number}"), &key))).await;
    let workers = [
        site.worker(&[("ASSAY__BROKER__TAKE_SHARDS", "0,2")]).await,
        site.worker(&[("ASSAY__BROKER__TAKE_SHARDS", "1,3")]).await,
    ];
    site.until_recorded(SUBMISSIONS).await;
    let status = site.command().args(["status", "--json", "--all"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    for number in 0..4 {
        let name = format!("{}.images.{number}", site.name);
        let queue = status["queues"].as_array().unwrap().iter().find(|queue| queue["queue"] == name.as_str()).unwrap();
        assert!(queue["consumers"].as_u64() > Some(0), "{queue}");
    }
    for mut worker in workers {
        worker.terminate();
        assert!(worker.ended(Duration::from_secs(60)).await.success(), "{}", worker.log());
    }
    site.close().await;
}
