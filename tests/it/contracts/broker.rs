//! The promises of the ports in `broker`, on the one in memory and on RabbitMQ: here those of `Broker`.

macro_rules! promises {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name::<super::InMemory>().await; })*
        }
        mod on_rabbitmq {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name::<super::RealRabbit>().await; })*
        }
    };
}

mod dead_letters;
mod events;
mod inbox;
mod outage;
mod rejections;
mod stages;
mod submission;

use broker::wire::{self, Message, Properties};
use broker::{Consumer, Publication, RequestQueue};
use domain::delivery::{Job, Settlement};
use domain::{Context, Failure, FailureCode, ImageRef, Outcome, Purpose, Request, SubmissionKey};
use futures_util::future::join_all;
use serde_json::json;
use time::OffsetDateTime;

use crate::support::rabbit::{soon, until};
use stages::{InMemory, RealRabbit, Stage};

promises! {
    a_message_becomes_a_job_with_its_context
    no_more_than_the_prefetch_is_unacknowledged
    a_released_or_dropped_message_comes_again
    a_dead_message_keeps_body_and_headers
    a_retried_message_comes_again_in_its_queue_as_the_next_attempt
    a_message_that_cannot_be_read_is_dead_lettered
    a_message_with_many_requests_is_settled_when_all_are
    an_event_that_asks_for_nothing_is_acknowledged
    a_record_that_cant_be_read_spoils_only_itself
    after_a_lost_connection_messages_come_again_and_old_tickets_have_no_effect
    an_outcome_is_published_under_its_ids_as_often_as_asked
    many_outcomes_are_published_at_once
    a_request_with_reply_to_gets_a_reply
    a_stopped_consumer_takes_no_more_and_its_jobs_can_be_settled
    closing_waits_for_every_settlement
}

fn native(id: &str) -> Message {
    let body = json!({"submission_id": id, "image": {"bucket": "uploads", "key": format!("{id}.jpg")}});
    Message { body: body.to_string().into_bytes(), properties: Properties::default() }
}

fn outcome(id: &str) -> Outcome {
    let request = Request {
        key: SubmissionKey { tenant: "acme".into(), submission_id: id.into(), generation: 0 },
        image: ImageRef { bucket: "uploads".into(), key: "k".into(), ..ImageRef::default() },
        deadline: None,
        purpose: Purpose::Live,
        metadata: serde_json::Map::new(),
        context: Context::default(),
    };
    let at = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    Outcome::Failure(Box::new(Failure::new(&request, FailureCode::ObjectNotFound, "gone", at)))
}

async fn next(consumer: &mut Consumer) -> Job<Request> {
    soon("a job", consumer.jobs.recv()).await.expect("the consumer goes on")
}

fn id(job: &Job<Request>) -> &str {
    &job.request.key.submission_id
}

async fn a_message_becomes_a_job_with_its_context<S: Stage>() {
    let stage = S::set(4).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let mut message = native("a");
    message.properties.message_id = Some("m".into());
    message.properties.correlation_id = Some("c".into());
    message.properties.reply_to = Some("r".into());
    message.properties.timestamp = Some(1_800_000_000);
    message.properties.headers.insert("traceparent".into(), "00-1-2-01".into());
    stage.submit(RequestQueue::Live, message).await;
    let job = next(&mut consumer).await;
    assert_eq!((id(&job), job.request.key.tenant.as_str()), ("a", "acme"));
    let context = &job.request.context;
    assert_eq!((context.attempt, context.redelivered), (1, false));
    assert_eq!(context.message_id.as_deref(), Some("m"));
    assert_eq!(context.correlation_id.as_deref(), Some("c"));
    assert_eq!(context.reply_to.as_deref(), Some("r"));
    assert_eq!(context.enqueued_at.unwrap().unix_timestamp(), 1_800_000_000);
    assert_eq!(context.trace.traceparent.as_deref(), Some("00-1-2-01"));
    job.ticket.settle(Settlement::Done);
    stage.end().await;
}

async fn no_more_than_the_prefetch_is_unacknowledged<S: Stage>() {
    let stage = S::set(3).await;
    for index in 0..10 {
        stage.submit(RequestQueue::Bulk, native(&format!("b{index}"))).await;
    }
    let mut consumer = stage.broker().consume(RequestQueue::Bulk).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut consumer).await);
    }
    until("the rest waits", || async { stage.waiting(RequestQueue::Bulk).await == 7 }).await;
    assert_eq!(stage.broker().waiting(RequestQueue::Bulk).await.unwrap(), 7, "by the broker itself");
    assert_eq!(stage.broker().waiting(RequestQueue::Live).await.unwrap(), 0);
    assert!(consumer.jobs.try_recv().is_err(), "a fourth message is unacknowledged");
    // Each settlement makes room for one more.
    for round in 0..7 {
        held.pop().unwrap().ticket.settle(Settlement::Done);
        held.push(next(&mut consumer).await);
        until("the rest waits", || async { stage.waiting(RequestQueue::Bulk).await == 6 - round }).await;
    }
    for job in held {
        job.ticket.settle(Settlement::Done);
    }
    stage.end().await;
}

async fn a_released_or_dropped_message_comes_again<S: Stage>() {
    let stage = S::set(1).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    stage.submit(RequestQueue::Live, native("a")).await;
    next(&mut consumer).await.ticket.settle(Settlement::Released);
    let again = next(&mut consumer).await;
    assert_eq!((id(&again), again.request.context.redelivered, again.request.context.attempt), ("a", true, 1));
    drop(again);
    let once_more = next(&mut consumer).await;
    assert_eq!(id(&once_more), "a");
    once_more.ticket.settle(Settlement::Done);
    stage.end().await;
}

async fn a_dead_message_keeps_body_and_headers<S: Stage>() {
    let stage = S::set(4).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let mut message = native("a");
    message.properties.content_type = Some("application/json".into());
    message.properties.message_id = Some("m".into());
    message.properties.timestamp = Some(1_800_000_000);
    message.properties.headers.insert("x-upload".into(), "7".into());
    stage.submit(RequestQueue::Live, message.clone()).await;
    next(&mut consumer).await.ticket.settle(Settlement::Dead { reason: "two images, one name".into() });
    let mut dead = stage.take_dead(1).await.remove(0);
    let mut mark = |name| dead.properties.headers.remove(name);
    assert_eq!(mark("x-assay-reason").as_deref(), Some("two images, one name"));
    assert!(mark("x-assay-queue").is_some() && mark("x-assay-at").is_some());
    assert_eq!(dead, message);
    stage.end().await;
}

async fn a_retried_message_comes_again_in_its_queue_as_the_next_attempt<S: Stage>() {
    let stage = S::set(4).await;
    let mut live = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let mut bulk = stage.broker().consume(RequestQueue::Bulk).await.unwrap();
    let mut message = native("a");
    message.properties.headers.insert("x-upload".into(), "7".into());
    stage.submit(RequestQueue::Bulk, message).await;
    stage.submit(RequestQueue::Live, native("b")).await;
    for attempt in 1..=3 {
        let (of_bulk, of_live) = (next(&mut bulk).await, next(&mut live).await);
        assert_eq!((id(&of_bulk), of_bulk.request.context.attempt), ("a", attempt));
        assert_eq!((id(&of_live), of_live.request.context.attempt), ("b", attempt));
        for job in [of_bulk, of_live] {
            let end = if attempt == 3 {
                Settlement::Dead { reason: "enough".into() }
            } else {
                Settlement::Later { reason: "busy".into() }
            };
            job.ticket.settle(end);
        }
    }
    let dead = stage.take_dead(2).await;
    let of_bulk = dead.iter().find(|dead| dead.body == native("a").body).unwrap();
    assert_eq!(of_bulk.properties.headers["x-upload"], "7");
    assert_eq!(of_bulk.properties.headers["x-assay-attempt"], "3");
    stage.end().await;
}

async fn a_message_that_cannot_be_read_is_dead_lettered<S: Stage>() {
    let stage = S::set(4).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let garbage = Message { body: b"\xff\x00 no JSON".to_vec(), properties: Properties::default() };
    stage.submit(RequestQueue::Live, garbage.clone()).await;
    stage.submit(RequestQueue::Live, native("after")).await;
    let job = next(&mut consumer).await;
    assert_eq!(id(&job), "after", "what can't be read is never delivered");
    job.ticket.settle(Settlement::Done);
    let dead = stage.take_dead(1).await.remove(0);
    assert_eq!(dead.body, garbage.body);
    assert!(dead.properties.headers["x-assay-reason"].contains("no JSON"), "{:?}", dead.properties.headers);
    stage.end().await;
}

fn event(names: &[&str]) -> Message {
    let record = |(index, name): (usize, &&str)| json!({"eventName": name, "s3": {"bucket": {"name": "uploads"}, "object": {"key": format!("{index}.jpg")}}});
    let records: Vec<_> = names.iter().enumerate().map(record).collect();
    Message { body: json!({"Records": records}).to_string().into_bytes(), properties: Properties::default() }
}

async fn a_message_with_many_requests_is_settled_when_all_are<S: Stage>() {
    let stage = S::set(2).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let names = ["s3:ObjectCreated:Put"; 5];
    stage.submit(RequestQueue::Live, event(&names)).await;
    let mut jobs = Vec::new();
    for _ in names {
        jobs.push(next(&mut consumer).await);
    }
    let last = jobs.pop().unwrap();
    for job in jobs {
        job.ticket.settle(Settlement::Done);
    }
    // One part released, and the whole message comes again.
    last.ticket.settle(Settlement::Released);
    for index in 0..5 {
        let job = next(&mut consumer).await;
        assert_eq!(job.request.image.key, format!("{index}.jpg"));
        assert!(job.request.context.redelivered);
        job.ticket.settle(Settlement::Done);
    }
    stage.end().await;
}

async fn an_event_that_asks_for_nothing_is_acknowledged<S: Stage>() {
    let stage = S::set(1).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    stage.submit(RequestQueue::Live, event(&["ObjectRemoved:Delete"])).await;
    stage.submit(RequestQueue::Live, native("after")).await;
    let job = next(&mut consumer).await;
    assert_eq!(id(&job), "after");
    job.ticket.settle(Settlement::Done);
    stage.end().await;
}

async fn a_record_that_cant_be_read_spoils_only_itself<S: Stage>() {
    let stage = S::set(3).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let mut message = event(&["ObjectCreated:Put"; 3]);
    message.body = String::from_utf8(message.body).unwrap().replace("1.jpg", "%FF").into_bytes();
    stage.submit(RequestQueue::Live, message.clone()).await;
    for key in ["0.jpg", "2.jpg"] {
        let job = next(&mut consumer).await;
        assert_eq!(job.request.image.key, key);
        job.ticket.settle(Settlement::Done);
    }
    let dead = stage.take_dead(1).await.remove(0);
    assert_eq!(dead.body, message.body);
    assert!(dead.properties.headers["x-assay-reason"].contains("Records[1]"), "{:?}", dead.properties.headers);
    stage.end().await;
}

async fn after_a_lost_connection_messages_come_again_and_old_tickets_have_no_effect<S: Stage>() {
    let stage = S::set(3).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        stage.submit(RequestQueue::Live, native(name)).await;
    }
    let mut old = Vec::new();
    for _ in 0..3 {
        old.push(next(&mut consumer).await);
    }
    stage.cut().await;
    let ends =
        [Settlement::Done, Settlement::Dead { reason: "late".into() }, Settlement::Later { reason: "late".into() }];
    for (job, end) in old.into_iter().zip(ends) {
        job.ticket.settle(end);
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let job = next(&mut consumer).await;
        assert_eq!(job.request.context.redelivered, id(&job) != "d");
        assert_eq!(job.request.context.attempt, 1);
        seen.push(id(&job).to_string());
        job.ticket.settle(Settlement::Done);
    }
    seen.sort();
    assert_eq!(seen, ["a", "b", "c", "d"]);
    // And publishing goes on over the next connection.
    let outcome = outcome("a");
    let publication = Publication { outcome: &outcome, context: &Context::default() };
    stage.broker().publish(publication).await.unwrap();
    assert_eq!(stage.take_published(1).await.len(), 1);
    stage.end().await;
}

async fn an_outcome_is_published_under_its_ids_as_often_as_asked<S: Stage>() {
    let stage = S::set(4).await;
    let outcome = outcome("a");
    let mut context = Context::default();
    context.trace.traceparent = Some("00-1-2-01".into());
    let publication = Publication { outcome: &outcome, context: &context };
    for _ in 0..2 {
        stage.broker().publish(publication).await.unwrap();
    }
    for (routing_key, message) in stage.take_published(2).await {
        assert_eq!(routing_key, "failure.acme.object_not_found");
        assert_eq!(message, wire::outcome(publication));
        assert_eq!(message.properties.message_id, Some(outcome.id().to_string()));
        assert_eq!(message.properties.correlation_id.as_deref(), Some("a"));
        assert_eq!(message.properties.headers["traceparent"], "00-1-2-01");
    }
    stage.end().await;
}

async fn many_outcomes_are_published_at_once<S: Stage>() {
    let stage = S::set(4).await;
    let broker = stage.broker();
    let outcomes: Vec<_> = (0..500).map(|index| outcome(&format!("o{index}"))).collect();
    let context = Context::default();
    let published =
        join_all(outcomes.iter().map(|outcome| broker.publish(Publication { outcome, context: &context }))).await;
    assert!(published.iter().all(Result::is_ok), "{published:?}");
    let ids = |messages: Vec<Option<String>>| messages.into_iter().collect::<std::collections::BTreeSet<_>>();
    let taken = stage.take_published(500).await;
    assert_eq!(
        ids(taken.into_iter().map(|(_, message)| message.properties.message_id).collect()),
        ids(outcomes.iter().map(|outcome| Some(outcome.id().to_string())).collect())
    );
    stage.end().await;
}

async fn a_request_with_reply_to_gets_a_reply<S: Stage>() {
    let stage = S::set(4).await;
    let queue = stage.reply_queue().await;
    let outcome = outcome("a");
    let asked = Context { reply_to: Some(queue.clone()), correlation_id: Some("mine".into()), ..Context::default() };
    stage.broker().publish(Publication { outcome: &outcome, context: &asked }).await.unwrap();
    let answer = stage.take_reply(&queue).await;
    assert_eq!(answer.properties.correlation_id.as_deref(), Some("mine"));
    assert_eq!(answer.body, serde_json::to_vec(&outcome).unwrap());
    // Where the queue of `reply_to` is missing, the outcome is published all the same.
    let gone = Context { reply_to: Some("nobody-is-here".into()), ..Context::default() };
    stage.broker().publish(Publication { outcome: &outcome, context: &gone }).await.unwrap();
    let taken = stage.take_published(2).await;
    assert!(taken.iter().all(|(_, message)| message.properties.correlation_id.as_deref() == Some("a")));
    stage.end().await;
}

async fn a_stopped_consumer_takes_no_more_and_its_jobs_can_be_settled<S: Stage>() {
    let stage = S::set(2).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    for name in ["a", "b", "c"] {
        stage.submit(RequestQueue::Live, native(name)).await;
    }
    let held = [next(&mut consumer).await, next(&mut consumer).await];
    consumer.stop.cancel();
    // What was on its way is released; then the jobs end.
    soon("the end of the jobs", async { while consumer.jobs.recv().await.is_some() {} }).await;
    for job in held {
        job.ticket.settle(Settlement::Done);
    }
    until("the rest waits", || async { stage.waiting(RequestQueue::Live).await == 1 }).await;
    let mut other = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let left = next(&mut other).await;
    assert_eq!(id(&left), "c");
    left.ticket.settle(Settlement::Done);
    stage.end().await;
}

async fn closing_waits_for_every_settlement<S: Stage>() {
    let stage = S::set(200).await;
    let mut consumer = stage.broker().consume(RequestQueue::Live).await.unwrap();
    for index in 0..100 {
        stage.submit(RequestQueue::Live, native(&format!("c{index}"))).await;
    }
    let mut jobs = Vec::new();
    for _ in 0..100 {
        jobs.push(next(&mut consumer).await);
    }
    consumer.stop.cancel();
    for (index, job) in jobs.into_iter().enumerate() {
        let dead = Settlement::Dead { reason: "odd".into() };
        job.ticket.settle(if index % 2 == 0 { Settlement::Done } else { dead });
    }
    stage.broker().close().await;
    assert_eq!(stage.take_dead(50).await.len(), 50);
    stage.end().await;
}
