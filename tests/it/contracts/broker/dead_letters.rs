//! The promises of `broker::DeadLetters`.

use broker::wire::Message;
use broker::{BrokerError, DeadLetter, DeadLetters, InboxQueue, InputQueue, RequestQueue};
use domain::delivery::Settlement;

use super::stages::{InMemory, RealRabbit, Stage};
use super::{id, native, next};
use crate::support::rabbit::until;

promises! {
    looking_through_them_changes_nothing
    each_is_replayed_to_its_queue_and_keeps_its_origin_when_it_is_dead_lettered_again
    a_letter_of_unknown_origin_says_so_and_goes_where_it_is_sent
    a_letter_that_could_not_be_replayed_stays_as_it_was
    a_discarded_letter_is_gone_and_the_others_stay_in_their_order
    letters_that_come_later_are_not_read
    after_a_lost_connection_every_call_fails_and_the_letters_stay
}

const BULK: InputQueue = InputQueue::Requests(RequestQueue::Bulk);

async fn dead<S: Stage>(stage: &S, count: usize) {
    until("the dead letters are ready", || async { stage.ready_dead().await == count }).await;
}

async fn all(letters: &mut dyn DeadLetters) -> Vec<DeadLetter> {
    let mut found = Vec::new();
    while let Some(letter) = letters.next().await.unwrap() {
        found.push(letter);
    }
    found
}

/// Replays everything to one queue and takes it from there, so that nothing is left.
async fn clear<S: Stage>(stage: &S) {
    let mut letters = stage.dead_letters().await;
    for letter in all(letters.as_mut()).await {
        letters.replay(letter, InputQueue::Inbox(InboxQueue::Corrections)).await.unwrap();
    }
    letters.close().await;
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    while let Some(delivery) = queue.take().await.unwrap() {
        queue.acknowledge(delivery).await.unwrap();
    }
    queue.close().await;
}

/// What does not change with each look: the broker counts deliveries in a header.
fn lasting(letters: &[DeadLetter]) -> Vec<(Message, Option<InputQueue>)> {
    let lasting = |letter: &DeadLetter| {
        let mut message = letter.message.clone();
        message.properties.headers.remove("x-delivery-count");
        (message, letter.origin)
    };
    letters.iter().map(lasting).collect()
}

async fn looking_through_them_changes_nothing<S: Stage>() {
    let stage = S::set(1).await;
    // More than one page.
    for index in 0..70 {
        stage.put_dead(&native(&format!("d{index}"))).await;
    }
    dead(&stage, 70).await;
    let mut looks = Vec::new();
    for _ in 0..2 {
        let mut letters = stage.dead_letters().await;
        assert_eq!(letters.remaining(), 70);
        let found = all(letters.as_mut()).await;
        assert_eq!((found.len(), letters.remaining()), (70, 0));
        looks.push(lasting(&found));
        letters.close().await;
        dead(&stage, 70).await;
    }
    assert_eq!(looks[0], looks[1]);
    assert!(looks[0].iter().enumerate().all(|(index, (letter, _))| letter.body == native(&format!("d{index}")).body));
    clear(&stage).await;
    stage.end().await;
}

async fn a_discarded_letter_is_gone_and_the_others_stay_in_their_order<S: Stage>() {
    let stage = S::set(1).await;
    for id in ["a", "b", "c"] {
        stage.put_dead(&native(id)).await;
    }
    dead(&stage, 3).await;
    let mut letters = stage.dead_letters().await;
    let mut found = all(letters.as_mut()).await;
    letters.discard(found.remove(1)).await.unwrap();
    letters.close().await;
    dead(&stage, 2).await;
    let mut letters = stage.dead_letters().await;
    let left: Vec<_> = all(letters.as_mut()).await.into_iter().map(|letter| letter.message.body).collect();
    assert_eq!(left, [native("a").body, native("c").body]);
    letters.close().await;
    clear(&stage).await;
    stage.end().await;
}

async fn each_is_replayed_to_its_queue_and_keeps_its_origin_when_it_is_dead_lettered_again<S: Stage>() {
    let stage = S::set(1).await;
    let mut live = stage.broker().consume(RequestQueue::Live).await.unwrap();
    let mut bulk = stage.broker().consume(RequestQueue::Bulk).await.unwrap();
    stage.submit(RequestQueue::Live, native("live")).await;
    stage.submit(RequestQueue::Bulk, native("bulk")).await;
    let correction = Message { body: b"correction".to_vec(), ..Message::default() };
    stage.put(InputQueue::Inbox(InboxQueue::Corrections), &correction).await;
    until("the correction is ready", || async { stage.ready(InputQueue::Inbox(InboxQueue::Corrections)).await == 1 })
        .await;
    for round in 0..2 {
        for (consumer, name) in [(&mut live, "live"), (&mut bulk, "bulk")] {
            let job = next(consumer).await;
            assert_eq!((id(&job), job.request.context.attempt), (name, 1));
            job.ticket.settle(Settlement::Dead { reason: format!("odd {round}") });
        }
        let mut queue = stage.inbox(InboxQueue::Corrections).await;
        let delivery = queue.take().await.unwrap().unwrap();
        assert_eq!(delivery.message.body, b"correction");
        queue.dead_letter(delivery, &format!("odd {round}")).await.unwrap();
        queue.close().await;
        dead(&stage, 3).await;
        let mut letters = stage.dead_letters().await;
        for letter in all(letters.as_mut()).await {
            assert_eq!(letter.message.properties.headers["x-assay-reason"], format!("odd {round}"));
            let origin = letter.origin.expect("the letter says where it came from");
            letters.replay(letter, origin).await.unwrap();
        }
        letters.close().await;
        until("all are out", || async { stage.ready_dead().await == 0 }).await;
    }
    for consumer in [&mut live, &mut bulk] {
        next(consumer).await.ticket.settle(Settlement::Done);
    }
    let mut queue = stage.inbox(InboxQueue::Corrections).await;
    let delivery = queue.take().await.unwrap().unwrap();
    queue.acknowledge(delivery).await.unwrap();
    queue.close().await;
    stage.end().await;
}

async fn a_letter_of_unknown_origin_says_so_and_goes_where_it_is_sent<S: Stage>() {
    let stage = S::set(1).await;
    let mut foreign = native("foreign");
    foreign.properties.headers.insert("x-assay-queue".into(), "another.images".into());
    stage.put_dead(&native("unmarked")).await;
    stage.put_dead(&foreign).await;
    dead(&stage, 2).await;
    let mut letters = stage.dead_letters().await;
    for letter in all(letters.as_mut()).await {
        assert_eq!(letter.origin, None, "{:?}", letter.message);
        letters.replay(letter, BULK).await.unwrap();
    }
    letters.close().await;
    // From then on it is known.
    let mut bulk = stage.broker().consume(RequestQueue::Bulk).await.unwrap();
    for name in ["unmarked", "foreign"] {
        let job = next(&mut bulk).await;
        assert_eq!(id(&job), name);
        job.ticket.settle(Settlement::Dead { reason: "odd".into() });
    }
    dead(&stage, 2).await;
    let mut letters = stage.dead_letters().await;
    assert!(all(letters.as_mut()).await.iter().all(|letter| letter.origin == Some(BULK)));
    letters.close().await;
    dead(&stage, 2).await;
    clear(&stage).await;
    stage.end().await;
}

async fn a_letter_that_could_not_be_replayed_stays_as_it_was<S: Stage>() {
    let stage = S::set(1).await;
    let mut bulk = stage.broker().consume(RequestQueue::Bulk).await.unwrap();
    stage.submit(RequestQueue::Bulk, native("a")).await;
    next(&mut bulk).await.ticket.settle(Settlement::Dead { reason: "odd".into() });
    dead(&stage, 1).await;
    let mut letters = stage.dead_letters().await;
    let letter = letters.next().await.unwrap().unwrap();
    let before = lasting(std::slice::from_ref(&letter));
    stage.lose_publication();
    let error = letters.replay(letter, BULK).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unconfirmed(_) | BrokerError::Unreachable { .. }), "{error}");
    assert!(error.is_transient());
    stage.restore();
    letters.close().await;
    dead(&stage, 1).await;
    // Nor where its queue is missing.
    let mut letters = stage.dead_letters().await;
    let letter = letters.next().await.unwrap().unwrap();
    stage.delete_queue(InputQueue::Inbox(InboxQueue::Corrections)).await;
    let error = letters.replay(letter, InputQueue::Inbox(InboxQueue::Corrections)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unroutable { .. }), "{error}");
    letters.close().await;
    dead(&stage, 1).await;
    let mut letters = stage.dead_letters().await;
    let letter = letters.next().await.unwrap().unwrap();
    assert_eq!(lasting(std::slice::from_ref(&letter)), before);
    letters.replay(letter, BULK).await.unwrap();
    letters.close().await;
    next(&mut bulk).await.ticket.settle(Settlement::Done);
    stage.end().await;
}

async fn letters_that_come_later_are_not_read<S: Stage>() {
    let stage = S::set(1).await;
    stage.put_dead(&native("a")).await;
    dead(&stage, 1).await;
    let mut letters = stage.dead_letters().await;
    stage.put_dead(&native("b")).await;
    let found = all(letters.as_mut()).await;
    assert_eq!(found.iter().map(|letter| &letter.message.body).collect::<Vec<_>>(), [&native("a").body]);
    letters.close().await;
    dead(&stage, 2).await;
    clear(&stage).await;
    stage.end().await;
}

async fn after_a_lost_connection_every_call_fails_and_the_letters_stay<S: Stage>() {
    let stage = S::set(1).await;
    for index in 0..40 {
        stage.put_dead(&native(&format!("d{index}"))).await;
    }
    dead(&stage, 40).await;
    let mut letters = stage.dead_letters().await;
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(letters.next().await.unwrap().unwrap());
    }
    stage.cut().await;
    let error = letters.next().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let error = letters.replay(held.remove(0), BULK).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    letters.close().await;
    dead(&stage, 40).await;
    // Its copy may have been confirmed before the acknowledgement failed: the letter is then in both places.
    let copies = stage.waiting(RequestQueue::Bulk).await;
    let mut bulk = stage.broker().consume(RequestQueue::Bulk).await.unwrap();
    for _ in 0..copies {
        next(&mut bulk).await.ticket.settle(Settlement::Done);
    }
    clear(&stage).await;
    stage.end().await;
}
