//! The queue of the outcomes: bounded, or left out, and one that an earlier version declared.

use std::collections::BTreeMap;
use std::process::Stdio;

use broker::rabbit::{Rabbit, Survey, survey};
use broker::topology::Topology;
use broker::{Broker, BrokerError, Publication, Settings};
use domain::{Failure, FailureCode, Outcome};
use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use secrecy::ExposeSecret;
use time::OffsetDateTime;

use crate::support::images;
use crate::support::outcomes::{key, request};
use crate::support::rabbit::{self, Bystander, soon};
use crate::support::servers::servers;
use crate::support::site::{self, Site};

fn outcome(id: &str) -> Outcome {
    let request = request(key(id, 0));
    Outcome::Failure(Box::new(Failure::new(&request, FailureCode::ObjectNotFound, "gone", OffsetDateTime::UNIX_EPOCH)))
}

async fn publish(rabbit: &Rabbit, id: &str) -> Result<(), BrokerError> {
    let (outcome, context) = (outcome(id), domain::Context::default());
    soon("publishing", rabbit.publish(Publication { outcome: &outcome, context: &context })).await
}

async fn channel(settings: &Settings) -> (Connection, Channel) {
    let url = settings.url.expose_secret();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// As versions before declared it: without a bound.
async fn declare_as_before(channel: &Channel, queue: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(i64::from(i32::MAX)));
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_newest_and_drops_the_oldest() {
    let settings = Settings { results_max_messages: 3, ..rabbit::settings(servers().rabbitmq_url()) };
    let beside = Bystander::new(settings.clone()).await;
    let rabbit = Rabbit::connect(&settings).await.unwrap();
    for number in 0..8 {
        publish(&rabbit, &format!("m{number}")).await.expect("a full queue is no reason to refuse an outcome");
    }
    let kept = beside.take_results(3).await;
    let ids: Vec<_> = kept.iter().filter_map(|one| one.message.properties.correlation_id.clone()).collect();
    assert_eq!(ids, ["m5", "m6", "m7"]);
    assert_eq!(beside.ready(&beside.topology.results()).await, 0);
    rabbit.close().await;
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_an_earlier_version_is_used_as_it_is_and_told_of_with_the_fix() {
    let settings = rabbit::settings(servers().rabbitmq_url());
    let results = Topology::new(&settings).results();
    let (connection, channel) = channel(&settings).await;
    declare_as_before(&channel, &results).await;
    let rabbit = Rabbit::connect(&settings).await.expect("a worker starts with it");
    publish(&rabbit, "a").await.expect("it is bound");
    let Survey { depths, remarks } = survey(&settings).await.unwrap();
    let found: BTreeMap<_, _> = depths.iter().map(|depth| (depth.queue.as_str(), depth.ready)).collect();
    assert_eq!(found[results.as_str()], 1, "nothing of it is lost");
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    for part in
        [results.as_str(), "broker.results_max_messages", "delete_queue --if-empty", "assay doctor", "x-max-length"]
    {
        assert!(remarks[0].contains(part), "{part}: {}", remarks[0]);
    }
    let as_before = Settings { results_max_messages: 0, results_max_age_s: 0, ..settings.clone() };
    assert_eq!(survey(&as_before).await.unwrap().remarks, Vec::<String>::new(), "0 is no limit");
    // The fix.
    channel.queue_delete(results.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    assert_eq!(survey(&settings).await.unwrap().remarks, Vec::<String>::new());
    publish(&rabbit, "b").await.expect("the new one is bound");
    rabbit.close().await;
    rabbit::delete(&settings).await;
    connection.close(200, "done".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn left_out_it_is_not_there_and_outcomes_want_a_queue_of_ones_own() {
    let settings = Settings { results_queue: false, ..rabbit::settings(servers().rabbitmq_url()) };
    let topology = Topology::new(&settings);
    let rabbit = Rabbit::connect(&settings).await.unwrap();
    let error = publish(&rabbit, "a").await.unwrap_err();
    assert!(matches!(error, BrokerError::Unroutable { .. }), "{error}");
    let (connection, channel) = channel(&settings).await;
    let own = format!("{}.own", settings.prefix);
    channel.queue_declare(own.as_str().into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    let (exchange, options) = (topology.verdicts(), QueueBindOptions::default());
    let topic = "failure.acme.*".into();
    channel
        .queue_bind(own.as_str().into(), exchange.as_str().into(), topic, options, FieldTable::default())
        .await
        .unwrap();
    publish(&rabbit, "a").await.unwrap();
    assert_eq!(survey(&settings).await.unwrap().remarks, Vec::<String>::new());
    // One that is left from before goes on filling.
    declare_as_before(&channel, &topology.results()).await;
    let remarks = survey(&settings).await.unwrap().remarks;
    assert!(remarks.len() == 1 && remarks[0].contains("broker.results_queue is false"), "{remarks:?}");
    for queue in [own, topology.results()] {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    }
    rabbit.close().await;
    rabbit::delete(&settings).await;
    connection.close(200, "done".into()).await.unwrap();
}

/// By the program itself: the worker works, and says it; `doctor` ends with 2; `status` has a line.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_beside_one_of_an_earlier_version_works_and_doctor_says_what_to_do() {
    let site = Site::open().await;
    let results = Topology::new(&site.broker).results();
    let (connection, channel) = channel(&site.broker).await;
    channel.queue_delete(results.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    declare_as_before(&channel, &results).await;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let worker = site.worker(&[]).await;
    site.submit([site::request("one", &key)]).await;
    site.until_recorded(1).await;
    assert!(worker.log().contains("is used as it is") && worker.log().contains("--if-empty"), "{}", worker.log());
    let run = |command: &str| site.command().arg(command).stdin(Stdio::null()).output().unwrap();
    let doctor = run("doctor");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(2), "{said}");
    assert!(said.contains("WRONG  results") && said.contains("ok     broker"), "{said}");
    let status = run("status");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && said.contains("outcomes of at most 200000"), "{said}");
    drop(worker);
    connection.close(200, "done".into()).await.unwrap();
    site.close().await;
}
