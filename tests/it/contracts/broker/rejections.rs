//! What senders are told of messages that were not taken.

use broker::RequestQueue;
use broker::rabbit::Rabbit;
use broker::wire::{Message, Properties};
use broker::{Broker, InboxQueue, InputQueue, Settings};
use domain::delivery::Settlement;
use domain::{Rejection, RejectionCode};
use lapin::options::ExchangeDeleteOptions;
use serde_json::json;

use super::stages::{InMemory, RealRabbit, Stage};
use super::{native, next};
use crate::support::rabbit::{self, Bystander, soon, until};
use crate::support::servers::servers;

promises! {
    who_sent_what_cant_be_read_is_told_why
    who_contradicts_a_submission_is_told_why
    a_reply_to_a_queue_of_assays_own_is_not_sent
    a_rejection_that_comes_back_as_a_request_gets_none
}

fn read(message: &Message) -> Rejection {
    assert_eq!(message.properties.kind.as_deref().unwrap_or(Rejection::SCHEMA), Rejection::SCHEMA);
    serde_json::from_slice(&message.body).unwrap()
}

/// Without its image.
fn incomplete(id: &str) -> Message {
    let body = json!({"submission_id": id, "tenant": "globex", "private": "the sender's own"});
    Message { body: body.to_string().into_bytes(), properties: Properties::default() }
}

async fn who_sent_what_cant_be_read_is_told_why<S: Stage>() {
    let stage = S::set(4).await;
    let _consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let replies = stage.reply_queue().await;
    let mut message = incomplete("a");
    message.properties.reply_to = Some(replies.clone());
    message.properties.correlation_id = Some("asked".into());
    message.properties.message_id = Some("m".into());
    stage.submit(RequestQueue::Live, message).await;
    let (topic, published) = stage.take_notices(1).await.remove(0);
    let rejection = read(&published);
    assert_eq!((topic.as_str(), rejection.code), ("rejected.globex", RejectionCode::Unreadable));
    assert_eq!((rejection.submission_id.as_deref(), rejection.message_id.as_deref()), (Some("a"), Some("m")));
    assert!(rejection.reason.contains("`image` is missing"), "{}", rejection.reason);
    assert!(rejection.queue.ends_with(".images"), "{}", rejection.queue);
    assert!(!String::from_utf8_lossy(&published.body).contains("the sender's own"));
    let reply = stage.take_reply(&replies).await;
    assert_eq!((read(&reply), reply.properties.correlation_id.as_deref()), (rejection, Some("asked")));
    // It was there before anybody was told.
    assert_eq!(stage.take_dead(1).await.len(), 1);
    stage.end().await;
}

async fn who_contradicts_a_submission_is_told_why<S: Stage>() {
    let stage = S::set(4).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    stage.submit(RequestQueue::Live, native("a")).await;
    next(&mut consumer).await.ticket.settle(Settlement::Dead { reason: "two images, one name".into() });
    let (topic, published) = stage.take_notices(1).await.remove(0);
    let rejection = read(&published);
    assert_eq!((topic.as_str(), rejection.code), ("rejected.acme", RejectionCode::Conflict));
    assert_eq!((rejection.reason.as_str(), rejection.submission_id.as_deref()), ("two images, one name", Some("a")));
    stage.take_dead(1).await;
    stage.end().await;
}

async fn a_reply_to_a_queue_of_assays_own_is_not_sent<S: Stage>() {
    let stage = S::set(4).await;
    let consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let mut message = incomplete("a");
    message.properties.reply_to = Some(consumer.queue.replace(".images", ".labels"));
    stage.submit(RequestQueue::Live, message).await;
    assert_eq!(stage.take_notices(1).await[0].0, "rejected.globex");
    stage.take_dead(1).await;
    assert_eq!(stage.ready(InputQueue::Inbox(InboxQueue::Corrections)).await, 0);
    stage.end().await;
}

async fn a_rejection_that_comes_back_as_a_request_gets_none<S: Stage>() {
    let stage = S::set(4).await;
    let _consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    stage.submit(RequestQueue::Live, incomplete("a")).await;
    let (_, rejection) = stage.take_notices(1).await.remove(0);
    let kind = Some(Rejection::SCHEMA.into());
    let back = Message { properties: Properties { kind, ..Properties::default() }, ..rejection };
    stage.submit(RequestQueue::Live, back).await;
    stage.take_dead(2).await;
    stage.submit(RequestQueue::Live, incomplete("b")).await;
    let (_, next) = stage.take_notices(1).await.remove(0);
    assert_eq!(read(&next).submission_id.as_deref(), Some("b"), "none between the two");
    stage.take_dead(1).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_answered_a_little_and_the_rest_is_counted() {
    const FLOOD: usize = 300;
    let settings = Settings { rejections_per_s: 1, prefetch: 64, ..rabbit::settings(servers().rabbitmq_url()) };
    let beside = Bystander::new(settings.clone()).await;
    let replies = beside.reply_queue().await;
    for number in 0..FLOOD {
        let mut message = incomplete(&number.to_string());
        message.properties.reply_to = Some(replies.clone());
        beside.submit(RequestQueue::Live, message).await;
    }
    let rabbit = Rabbit::connect(&settings).await.unwrap();
    let consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    assert_eq!(beside.take_dead(FLOOD).await.len(), FLOOD, "all of them are dead letters");
    soon("closing", rabbit.close()).await;
    let withheld = consumer.rejections_withheld.load(std::sync::atomic::Ordering::Relaxed) as usize;
    // As many as were sent have answers, which nobody has taken.
    let mut answered = 0;
    while answered + withheld < FLOOD {
        read(&beside.take_reply(&replies).await);
        answered += 1;
    }
    assert!(withheld > FLOOD / 2 && answered > 0, "{withheld} of {FLOOD} withheld");
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_that_cant_be_sent_costs_nothing() {
    let settings = rabbit::settings(servers().rabbitmq_url());
    let beside = Bystander::new(settings.clone()).await;
    let rabbit = Rabbit::connect(&settings).await.unwrap();
    let _consumer = rabbit.consume(RequestQueue::Live).await.unwrap();
    // Where it would go to is gone.
    let (exchange, options) = (beside.topology.verdicts(), ExchangeDeleteOptions::default());
    beside.channel.exchange_delete(exchange.as_str().into(), options).await.unwrap();
    beside.submit(RequestQueue::Live, incomplete("a")).await;
    assert_eq!(beside.take_dead(1).await.len(), 1);
    soon("closing", rabbit.close()).await;
    until("it is acknowledged", || async {
        beside.ready(&beside.topology.request_queue(RequestQueue::Live)).await == 0
    })
    .await;
    beside.finish().await;
}
