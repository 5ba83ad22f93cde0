//! The promises of `broker::Submitter`.

use broker::{BrokerError, InputQueue, RequestQueue};
use futures_util::future::join_all;

use super::stages::{InMemory, RealRabbit, Stage};
use super::{id, native, next};
use crate::support::rabbit::until;
use domain::delivery::Settlement;

promises! {
    a_submitted_message_is_on_its_queue
    many_are_submitted_at_once
    without_its_queue_a_submission_is_unroutable
    an_unconfirmed_submission_may_have_arrived
    after_close_nothing_is_submitted
}

/// Takes everything off a queue.
async fn drain<S: Stage>(stage: &S, request_queue: RequestQueue, count: usize) -> Vec<String> {
    let mut consumer = stage.broker().consume(request_queue).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..count {
        let job = next(&mut consumer).await;
        ids.push(id(&job).to_string());
        job.ticket.settle(Settlement::Done);
    }
    ids
}

async fn a_submitted_message_is_on_its_queue<S: Stage>() {
    let stage = S::set(4).await;
    let submitter = stage.submitter().await;
    submitter.submit(RequestQueue::Live, &native("a")).await.unwrap();
    submitter.submit(RequestQueue::Bulk, &native("b")).await.unwrap();
    for request_queue in [RequestQueue::Live, RequestQueue::Bulk] {
        until("it waits there", || async { submitter.waiting(request_queue).await.unwrap() == 1 }).await;
    }
    submitter.close().await;
    assert_eq!(drain(&stage, RequestQueue::Live, 1).await, ["a"]);
    assert_eq!(drain(&stage, RequestQueue::Bulk, 1).await, ["b"]);
    stage.end().await;
}

async fn many_are_submitted_at_once<S: Stage>() {
    let stage = S::set(4).await;
    let submitter = stage.submitter().await;
    let messages: Vec<_> = (0..300).map(|index| native(&format!("m{index}"))).collect();
    let ends = join_all(messages.iter().map(|message| submitter.submit(RequestQueue::Bulk, message))).await;
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    submitter.close().await;
    let ids = drain(&stage, RequestQueue::Bulk, 300).await;
    assert_eq!(ids.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 300);
    stage.end().await;
}

async fn without_its_queue_a_submission_is_unroutable<S: Stage>() {
    let stage = S::set(4).await;
    let submitter = stage.submitter().await;
    stage.delete_queue(InputQueue::Requests(RequestQueue::Bulk)).await;
    let error = submitter.submit(RequestQueue::Bulk, &native("a")).await.unwrap_err();
    assert!(
        matches!(&error, BrokerError::Unroutable { routing_key, .. } if routing_key.ends_with(".images.bulk")),
        "{error}"
    );
    submitter.submit(RequestQueue::Live, &native("b")).await.unwrap();
    submitter.close().await;
    assert_eq!(drain(&stage, RequestQueue::Live, 1).await, ["b"]);
    stage.end().await;
}

async fn an_unconfirmed_submission_may_have_arrived<S: Stage>() {
    let stage = S::set(4).await;
    let submitter = stage.submitter().await;
    submitter.submit(RequestQueue::Live, &native("a")).await.unwrap();
    stage.lose_confirmation();
    let error = submitter.submit(RequestQueue::Live, &native("b")).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unconfirmed(_)) && error.is_transient(), "{error}");
    stage.restore();
    until("both have arrived", || async { stage.waiting(RequestQueue::Live).await == 2 }).await;
    submitter.submit(RequestQueue::Live, &native("c")).await.unwrap();
    submitter.close().await;
    assert_eq!(drain(&stage, RequestQueue::Live, 3).await, ["a", "b", "c"]);
    stage.end().await;
}

async fn after_close_nothing_is_submitted<S: Stage>() {
    let stage = S::set(4).await;
    let submitter = stage.submitter().await;
    submitter.close().await;
    let error = submitter.submit(RequestQueue::Live, &native("a")).await.unwrap_err();
    assert!(matches!(error, BrokerError::Closed), "{error}");
    assert!(submitter.waiting(RequestQueue::Live).await.is_err());
    assert_eq!(stage.waiting(RequestQueue::Live).await, 0);
    stage.end().await;
}
