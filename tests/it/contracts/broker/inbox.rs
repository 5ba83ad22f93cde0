//! The promises of `broker::Inbox`.

use broker::wire::Message;
use broker::{BrokerError, InboxQueue, InputQueue};

use super::stages::{InMemory, RealRabbit, Stage};
use crate::support::rabbit::{soon, until};

promises! {
    what_is_not_acknowledged_comes_again
    the_next_correction_is_waited_for
    a_dead_lettered_correction_keeps_body_headers_and_origin
    a_correction_that_could_not_be_dead_lettered_stays
    after_a_lost_connection_every_call_fails_and_nothing_is_lost
}

fn correction(body: &str) -> Message {
    let mut message = Message { body: body.into(), ..Message::default() };
    message.properties.headers.insert("x-review".into(), "7".into());
    message
}

async fn put<S: Stage>(stage: &S, bodies: &[&str]) {
    for body in bodies {
        stage.put(InputQueue::Inbox(InboxQueue::Corrections), &correction(body)).await;
    }
    until("the corrections are ready", || async {
        stage.ready(InputQueue::Inbox(InboxQueue::Corrections)).await == bodies.len()
    })
    .await;
}

async fn what_is_not_acknowledged_comes_again<S: Stage>() {
    let stage = S::set(1).await;
    put(&stage, &["a", "b", "c"]).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let first = queue.take().await.unwrap().unwrap();
    let mut message = first.message.clone();
    // A quorum queue adds a header of its own: how often it has delivered the message.
    message.properties.headers.remove("x-delivery-count");
    assert_eq!((&message, first.redelivered), (&correction("a"), false));
    queue.acknowledge(first).await.unwrap();
    assert_eq!(queue.take().await.unwrap().unwrap().message.body, b"b");
    assert_eq!(queue.take().await.unwrap().unwrap().message.body, b"c");
    assert_eq!(queue.take().await.unwrap(), None);
    queue.close().await;
    until("two are back", || async { stage.ready(InputQueue::Inbox(InboxQueue::Corrections)).await == 2 }).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    for body in ["b", "c"] {
        let again = queue.take().await.unwrap().unwrap();
        assert_eq!((again.message.body.as_slice(), again.redelivered), (body.as_bytes(), true));
        queue.acknowledge(again).await.unwrap();
    }
    assert_eq!(queue.take().await.unwrap(), None);
    queue.close().await;
    stage.end().await;
}

async fn the_next_correction_is_waited_for<S: Stage>() {
    let stage = S::set(1).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let (message, delivery) = (correction("a"), soon("a correction", queue.next()));
    let (delivery, ()) = tokio::join!(delivery, stage.put(InputQueue::Inbox(InboxQueue::Corrections), &message));
    let delivery = delivery.unwrap();
    assert_eq!(delivery.message, message);
    queue.acknowledge(delivery).await.unwrap();
    queue.close().await;
    stage.end().await;
}

async fn a_dead_lettered_correction_keeps_body_headers_and_origin<S: Stage>() {
    let stage = S::set(1).await;
    put(&stage, &["no correction"]).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let delivery = queue.take().await.unwrap().unwrap();
    queue.dead_letter(delivery, "it can't be read").await.unwrap();
    assert_eq!(queue.take().await.unwrap(), None);
    queue.close().await;
    until("it is dead", || async { stage.ready_dead().await == 1 }).await;
    let mut letters = stage.dead_letters().await;
    let letter = letters.next().await.unwrap().unwrap();
    assert_eq!(letter.origin, Some(InputQueue::Inbox(InboxQueue::Corrections)));
    letters.close().await;
    until("it is back", || async { stage.ready_dead().await == 1 }).await;
    let mut dead = stage.take_dead(1).await.remove(0);
    let headers = &mut dead.properties.headers;
    assert_eq!(headers.remove("x-assay-reason").as_deref(), Some("it can't be read"));
    assert!(headers.remove("x-assay-queue").unwrap().ends_with(".labels") && headers.remove("x-assay-at").is_some());
    headers.remove("x-delivery-count");
    assert_eq!(dead, correction("no correction"));
    stage.end().await;
}

async fn a_correction_that_could_not_be_dead_lettered_stays<S: Stage>() {
    let stage = S::set(1).await;
    put(&stage, &["a"]).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let delivery = queue.take().await.unwrap().unwrap();
    stage.lose_publication();
    let error = queue.dead_letter(delivery, "odd").await.unwrap_err();
    assert!(matches!(error, BrokerError::Unconfirmed(_)) && error.is_transient(), "{error}");
    stage.restore();
    queue.close().await;
    until("it is back", || async { stage.ready(InputQueue::Inbox(InboxQueue::Corrections)).await == 1 }).await;
    assert_eq!(stage.ready_dead().await, 0);
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let again = queue.take().await.unwrap().unwrap();
    assert!(again.redelivered);
    queue.acknowledge(again).await.unwrap();
    queue.close().await;
    stage.end().await;
}

async fn after_a_lost_connection_every_call_fails_and_nothing_is_lost<S: Stage>() {
    let stage = S::set(1).await;
    put(&stage, &["a", "b"]).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let held = [queue.take().await.unwrap().unwrap(), queue.take().await.unwrap().unwrap()];
    stage.cut().await;
    let [first, second] = held;
    let errors = [
        queue.acknowledge(first).await.unwrap_err(),
        queue.dead_letter(second, "late").await.unwrap_err(),
        queue.take().await.unwrap_err(),
        soon("an error", queue.next()).await.unwrap_err(),
    ];
    assert!(errors.iter().all(BrokerError::is_transient), "{errors:?}");
    queue.close().await;
    until("both are back", || async { stage.ready(InputQueue::Inbox(InboxQueue::Corrections)).await == 2 }).await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    for body in ["a", "b"] {
        let again = queue.take().await.unwrap().unwrap();
        assert_eq!((again.message.body.as_slice(), again.redelivered), (body.as_bytes(), true));
        queue.acknowledge(again).await.unwrap();
    }
    queue.close().await;
    // The copy of the second may have been confirmed before its acknowledgement failed.
    let dead = stage.ready_dead().await;
    stage.take_dead(dead).await;
    stage.end().await;
}
