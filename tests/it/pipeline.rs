//! The whole pipeline with broker, store and ledger in memory and a scripted detector: many messages, and errors everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assay::worker::WorkerError;
use broker::RequestQueue;
use broker::memory::Fault as BrokerFault;
use broker::wire::Message;
use domain::{FailureCode, Outcome, Previous};
use engine::{ScoreError, Scripted, TorchError, TorchErrorKind};
use imaging::Crop;
use ledger::memory::{Call, Fault as LedgerFault};
use objects::memory::Fault as ObjectFault;
use serde_json::json;

use crate::support::images::{self, POISON};
use crate::support::rig::{BUCKET, DEADLINE, Rig, decoders, failed, message, plan};

fn scripted(kind: TorchErrorKind) -> TorchError {
    TorchError::new(kind, "scripted")
}

/// True for every `n`th call.
fn every(n: usize) -> impl FnMut() -> bool + Send {
    let count = AtomicUsize::new(0);
    move || count.fetch_add(1, Ordering::Relaxed) % n == n - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_with_errors_everywhere_get_one_outcome_each() {
    const MESSAGES: usize = 10_000;
    let mut too_large = every(97);
    let detector = Scripted::with_script(Box::new(move |crops: &[&Crop]| {
        if too_large() && crops.len() > 1 {
            return Err(ScoreError::OutOfMemory { images: crops.len(), cause: scripted(TorchErrorKind::OutOfMemory) });
        }
        match crops.iter().any(|crop| images::is_poison(crop)) {
            true => Err(ScoreError::Failed(scripted(TorchErrorKind::Other))),
            false => Ok(()),
        }
    }));
    let rig = Rig::start(detector);
    let (mut away, mut lost) = (every(53), every(67));
    rig.ledger.set_script(Box::new(move |call| match call {
        Call::Record if lost() => Some(LedgerFault::ReplyLost),
        _ if away() => Some(LedgerFault::Unreachable),
        _ => None,
    }));
    let kinds =
        [images::bmp(64, 40), images::bmp(300, 200), b"this is text, not an image".to_vec(), images::bmp(8, POISON)];
    for (index, bytes) in kinds.iter().enumerate() {
        rig.objects.put(BUCKET, &format!("kind-{index}"), bytes.clone());
    }
    let mut wanted = BTreeMap::new();
    for number in 0..MESSAGES {
        let id = format!("s-{number}");
        let (key, code) = match number % 100 {
            7 => ("kind-2".to_string(), Some(FailureCode::UnsupportedFormat)),
            13 => ("kind-3".to_string(), Some(FailureCode::InferenceFailed)),
            29 => ("nowhere".to_string(), Some(FailureCode::ObjectNotFound)),
            n => (format!("kind-{}", n % 2), None),
        };
        rig.submit(&id, &key);
        if number % 10 == 3 {
            rig.submit(&id, &key);
        }
        if number % 500 == 250 {
            rig.broker.submit(
                RequestQueue::Live,
                Message { body: format!("{{unreadable {number}").into_bytes(), ..Message::default() },
            );
        }
        wanted.insert(id, code);
    }
    // Errors meanwhile: lost and unconfirmed publications, unavailable objects, lost connections.
    for round in 0..20 {
        rig.broker.fail_publications([BrokerFault::Lost, BrokerFault::Unconfirmed, BrokerFault::Unroutable]);
        rig.objects.fail(BUCKET, "kind-0", [ObjectFault::Unavailable, ObjectFault::Truncated]);
        let seen = rig.broker.counts().done;
        let progress = async {
            while rig.broker.counts().done < seen + 200 && rig.broker.waiting(RequestQueue::Live) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, progress).await.unwrap_or_else(|_| panic!("round {round} makes no progress"));
        rig.broker.crash();
    }
    rig.idle().await;
    let (dead, counts) = (rig.broker.dead(), rig.broker.counts());
    let outcomes = rig.end().await;
    assert_eq!(dead.len(), 20, "the unreadable ones, and nothing else");
    assert!(dead.iter().all(|message| message.body.starts_with(b"{unreadable")));
    assert!(counts.stale > 0 && counts.later > 0, "there were errors: {counts:?}");
    assert_eq!(outcomes.len(), MESSAGES);
    for (id, code) in wanted {
        assert_eq!(failed(&outcomes[&id]), code, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_delivery_publishes_the_same_verdict_and_infers_nothing() {
    let scored = Arc::new(AtomicUsize::new(0));
    let count = scored.clone();
    let rig = Rig::start(Scripted::with_script(Box::new(move |crops: &[&Crop]| {
        count.fetch_add(crops.len(), Ordering::Relaxed);
        Ok(())
    })));
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig.submit("same", "a");
    rig.idle().await;
    let scored_once = scored.load(Ordering::Relaxed);
    rig.submit("same", "a");
    rig.idle().await;
    assert_eq!(scored.load(Ordering::Relaxed), scored_once);
    let published = rig.broker.published();
    assert_eq!(published.len(), 2);
    assert_eq!(published[0], published[1]);
    rig.end().await;
}

/// Whatever image and generation it comes with.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_not_judged_again() {
    let rig = Rig::start(Scripted::default());
    for key in ["a", "b"] {
        rig.objects.put(BUCKET, key, images::bmp(30, 200));
    }
    rig.submit("gone", "a");
    rig.idle().await;
    rig.ledger.erase("default", "gone");
    rig.submit("gone", "a");
    rig.submit("gone", "b");
    rig.idle().await;
    let published = rig.broker.published();
    assert_eq!(published.len(), 3, "the verdict and two answers");
    for (topic, message) in &published[1..] {
        let answer: Outcome = serde_json::from_slice(&message.body).unwrap();
        assert_eq!((topic.as_str(), failed(&answer)), ("failure.default.erased", Some(FailureCode::Erased)));
    }
    assert!(rig.ledger.outcomes().is_empty() && rig.broker.dead().is_empty(), "nothing is recorded");
}

/// Never a second verdict under the same key.
#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_what_is_not_kept_any_more_fails_as_expired() {
    let rig = Rig::start(Scripted::default());
    for key in ["a", "b"] {
        rig.objects.put(BUCKET, key, images::bmp(30, 200));
    }
    rig.submit("old", "a");
    rig.idle().await;
    let judged = rig.ledger.outcomes().remove(0);
    rig.ledger.expire(&judged.key());
    rig.submit("old", "a");
    rig.submit("old", "a");
    rig.idle().await;
    rig.submit("old", "b");
    rig.idle().await;
    let published = rig.broker.published();
    assert_eq!(published.len(), 3, "the verdict and two answers, which are the same; none for another image");
    assert_eq!(published[1], published[2]);
    let answer: Outcome = serde_json::from_slice(&published[1].1.body).unwrap();
    assert_eq!((failed(&answer), answer.id()), (Some(FailureCode::Expired), judged.id()));
    assert_eq!(published[1].0, "failure.default.expired");
    assert_eq!(rig.broker.dead().len(), 1, "a conflict");
    assert!(rig.ledger.outcomes().is_empty(), "nothing is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_scored_once_and_get_a_verdict_for_each_submission() {
    let scored = Arc::new(AtomicUsize::new(0));
    let count = scored.clone();
    let detector = Scripted::with_script(Box::new(move |crops: &[&Crop]| {
        count.fetch_add(crops.len(), Ordering::Relaxed);
        Ok(())
    }));
    let mut plan = plan();
    plan.worker.reuse = true;
    let rig = Rig::start_with(detector, plan, decoders());
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig.objects.put(BUCKET, "copy of a", images::bmp(30, 200));
    rig.objects.put(BUCKET, "b", images::bmp(30, 201));
    rig.submit("first", "a");
    rig.idle().await;
    let once = scored.load(Ordering::Relaxed);
    rig.submit("again", "a");
    rig.submit("copy", "copy of a");
    rig.idle().await;
    assert_eq!(scored.load(Ordering::Relaxed), once, "the same bytes are not scored again");
    rig.submit("another", "b");
    let image = json!({"bucket": BUCKET, "key": "a"});
    let elsewhere = json!({"submission_id": "elsewhere", "tenant": "other", "image": image});
    let appeal = json!({"submission_id": "first", "generation": 1, "purpose": "reverdict", "image": image});
    rig.broker.submit(RequestQueue::Live, message(&elsewhere));
    rig.broker.submit(RequestQueue::Live, message(&appeal));
    rig.idle().await;
    assert_eq!(
        scored.load(Ordering::Relaxed),
        once + 3,
        "other bytes, another tenant, and whoever asks for another look"
    );

    // Without the database's help, and with its answer lost, an image is scored.
    rig.ledger.fail_next(Call::Scored, LedgerFault::DiskFull, 1);
    rig.submit("unlucky", "a");
    rig.idle().await;
    assert_eq!(scored.load(Ordering::Relaxed), once + 4);

    let verdicts = rig.ledger.outcomes().into_iter().map(|outcome| match outcome {
        Outcome::Verdict(verdict) => *verdict,
        Outcome::Failure(failure) => panic!("{failure:?}"),
    });
    let verdicts: Vec<_> = verdicts.collect();
    let named =
        |id: &str| verdicts.iter().find(|verdict| verdict.submission_id == id && verdict.generation == 0).unwrap();
    let first = named("first");
    for id in ["again", "copy"] {
        let verdict = named(id);
        assert_eq!(verdict.reused_from, Some(first.verdict_id), "{id}");
        assert_eq!((&verdict.score, verdict.decision), (&first.score, first.decision));
        assert_eq!((verdict.image.format, verdict.image.width), (first.image.format, first.image.width));
        assert_ne!(verdict.verdict_id, first.verdict_id);
    }
    assert_eq!(named("copy").image.key, "copy of a");
    assert!(verdicts.iter().filter(|verdict| verdict.reused_from.is_some()).count() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_submission_with_another_image_is_a_conflict_and_the_first_outcome_stands() {
    let rig = Rig::start(Scripted::new());
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig.objects.put(BUCKET, "b", images::bmp(30, 10));
    rig.submit("same", "a");
    rig.idle().await;
    rig.submit("same", "b");
    rig.idle().await;
    let dead = rig.broker.dead();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].properties.headers["x-assay-reason"].contains("generation"), "{:?}", dead[0].properties.headers);
    let outcomes = rig.end().await;
    assert_eq!(outcomes["same"].image().key, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_generation_gets_a_verdict_of_its_own_that_names_the_one_before() {
    let rig = Rig::start(Scripted::new());
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig.submit("appealed", "a");
    rig.idle().await;
    let image = json!({"bucket": BUCKET, "key": "a"});
    rig.broker.submit(
        RequestQueue::Live,
        message(&json!({"submission_id": "appealed", "generation": 1, "purpose": "reverdict", "image": image})),
    );
    rig.idle().await;
    let outcomes = rig.ledger.outcomes();
    assert_eq!(outcomes.len(), 2);
    let Outcome::Verdict(second) = outcomes.iter().find(|outcome| outcome.key().generation == 1).unwrap() else {
        panic!("a verdict");
    };
    let first = outcomes.iter().find(|outcome| outcome.key().generation == 0).unwrap();
    assert_eq!(second.supersedes, Some(first.id()));
    let Outcome::Verdict(before) = first else { panic!("a verdict") };
    assert_eq!((&before.previous, &second.previous), (&None, &Some(Previous::of(before))));
    assert_ne!(second.verdict_id, first.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_error_that_outlasts_all_attempts_becomes_a_failure() {
    let rig = Rig::start(Scripted::new());
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig.objects.fail(BUCKET, "a", vec![ObjectFault::Unavailable; 100]);
    rig.submit("unlucky", "a");
    rig.idle().await;
    assert_eq!(rig.broker.counts().later as u32, plan().max_attempts - 1);
    let outcomes = rig.end().await;
    assert_eq!(failed(&outcomes["unlucky"]), Some(FailureCode::ObjectStoreUnavailable));
}

/// On one thread with a task that hogs it, so that the device's own thread is often the first to be done.
#[tokio::test]
async fn after_a_stop_under_load_all_that_is_recorded_is_published_and_the_device_is_not_called_lost() {
    const SUBMISSIONS: usize = 200;
    let hog = tokio::spawn(async {
        loop {
            let until = Instant::now() + Duration::from_millis(2);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..12 {
        let rig = Rig::start(Scripted::new());
        rig.objects.put(BUCKET, "a", images::bmp(30, 200));
        for number in 0..SUBMISSIONS {
            rig.submit(&format!("s-{number}"), "a");
        }
        let under_way = async {
            while rig.broker.counts().done < 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, under_way).await.expect("it works");
        let (broker, condition) = (rig.broker.clone(), rig.condition.clone());
        // The last outcomes are recorded and not yet published when the device has nothing more to do.
        broker.fail_publications([BrokerFault::Lost; 4]);
        let recorded = rig.end().await.len();
        assert_eq!(broker.counts().done, recorded, "what is recorded is published and acknowledged");
        assert_eq!(broker.waiting(RequestQueue::Live), SUBMISSIONS - recorded, "and all else is back");
        assert_eq!(condition.alive(), Ok(()));
    }
    hog.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_device_ends_the_worker_and_releases_what_was_under_way() {
    let mut batches = 0;
    let rig = Rig::start(Scripted::with_script(Box::new(move |_: &[&Crop]| {
        batches += 1;
        // One for warming up, then one good one.
        if batches > 2 { Err(ScoreError::DeviceLost(scripted(TorchErrorKind::DeviceLost))) } else { Ok(()) }
    })));
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    for number in 0..200 {
        rig.submit(&format!("s-{number}"), "a");
    }
    let ended = tokio::time::timeout(DEADLINE, rig.running).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(WorkerError::Detector(error)) if error.is_fatal()));
    let counts = rig.broker.counts();
    assert_eq!(counts.settled(), counts.delivered, "{counts:?}");
    assert_eq!(counts.done + rig.broker.waiting(RequestQueue::Live), 200, "nothing is lost");
    assert!(rig.ledger.outcomes().iter().all(|outcome| failed(outcome).is_none()), "no image is blamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_or_table_ends_the_worker_without_waiting() {
    for (call, fault) in [(Call::Record, LedgerFault::Forbidden), (Call::Find, LedgerFault::NotMigrated)] {
        let mut plan = plan();
        plan.outage_wait = 2 * DEADLINE;
        let rig = Rig::start_with(Scripted::new(), plan, decoders());
        rig.objects.put(BUCKET, "a", images::bmp(30, 200));
        rig.ledger.set_script(Box::new(move |made| (made == call).then_some(fault)));
        rig.submit("unlucky", "a");
        let ended = tokio::time::timeout(DEADLINE, rig.running).await.expect("it ends").unwrap();
        assert!(matches!(&ended, Err(WorkerError::Database(reason)) if !reason.is_empty()), "{ended:?}");
        assert!(rig.broker.published().is_empty(), "nothing is published that is not recorded");
        assert_eq!(rig.broker.waiting(RequestQueue::Live), 1, "the message is back on the queue");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_in_one_message_are_settled_together() {
    let rig = Rig::start(Scripted::new());
    rig.objects.put(BUCKET, "a b.bmp", images::bmp(30, 200));
    let record = |key: &str, sequencer: usize| json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "sequencer": format!("{sequencer:016X}")}}});
    let mut records: Vec<_> = (0..40).map(|number| record("a+b.bmp", number)).collect();
    records.push(record("missing", 99));
    rig.broker.submit(RequestQueue::Live, message(&json!({ "Records": records })));
    rig.idle().await;
    assert_eq!(rig.broker.counts().done, 1);
    let outcomes = rig.end().await;
    assert_eq!(outcomes.len(), 41);
    assert_eq!(outcomes.values().filter_map(failed).collect::<Vec<_>>(), [FailureCode::ObjectNotFound]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_waits_while_live_has_work() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = order.clone();
    let rig = Rig::start(Scripted::with_script(Box::new(move |crops: &[&Crop]| {
        seen.lock().unwrap().extend(crops.iter().map(|crop| crop.pixels()[0]));
        Ok(())
    })));
    rig.objects.put(BUCKET, "live", images::bmp(300, 200));
    rig.objects.put(BUCKET, "bulk", images::bmp(300, 100));
    for number in 0..300 {
        let image = json!({"bucket": BUCKET, "key": "bulk"});
        rig.broker
            .submit(RequestQueue::Bulk, message(&json!({"submission_id": format!("b-{number}"), "image": image})));
        rig.submit(&format!("l-{number}"), "live");
    }
    rig.idle().await;
    let order = order.lock().unwrap().clone();
    let last_live = order.iter().rposition(|&shade| shade == 200).unwrap();
    let bulk_before = order[..last_live].iter().filter(|&&shade| shade == 100).count();
    assert!(bulk_before < 150, "{bulk_before} of 300 bulk images came before the last live one");
    assert_eq!(rig.end().await.len(), 600);
}
