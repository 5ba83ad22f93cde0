//! What is away, refuses or panics costs nobody a delivery, an attempt or an outcome: on stand-ins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use assay::worker::WorkerError;
use broker::{Health, RequestQueue};
use domain::{FailureCode, Outcome};
use engine::Scripted;
use ledger::memory::{Call, Fault as LedgerFault};
use objects::memory::{Fault, Outage};

use crate::support::images;
use crate::support::rig::{BUCKET, DEADLINE, Rig, decoders, failed, plan};

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A worker whose finished work waits for no more than a moment.
fn impatient() -> Rig {
    let mut plan = plan();
    plan.outage_wait = Duration::from_millis(50);
    let rig = Rig::start_with(Scripted::new(), plan, decoders());
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig
}

async fn until_ready(rig: &Rig) {
    until("it is ready", || rig.condition.ready().is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_one_image_is_prepared_is_the_failure_of_that_one() {
    let rig = Rig::start(Scripted::new());
    rig.objects.put(BUCKET, "good", images::bmp(30, 200));
    rig.objects.put(BUCKET, "bad", images::bmp(30, 201));
    rig.objects.fail(BUCKET, "bad", vec![Fault::Panic; 100]);
    rig.submit("bad", "bad");
    for number in 0..50 {
        rig.submit(&format!("s-{number}"), "good");
    }
    rig.idle().await;
    let (counts, attempts) = (rig.broker.counts(), plan().max_attempts);
    assert_eq!((counts.later as u32, counts.released, counts.dead), (attempts - 1, 0, 0), "{counts:?}");
    let metrics = rig.condition.metrics();
    assert!(metrics.contains(&format!("assay_panics_total {attempts}")), "{metrics}");
    let outcomes = rig.end().await;
    let Outcome::Failure(failure) = &outcomes["bad"] else { panic!("a failure") };
    assert!(failure.code == FailureCode::InternalError && failure.retryable, "{failure:?}");
    assert!(!failure.detail.contains("scripted"), "the words of a panic stay in the log: {}", failure.detail);
    assert_eq!(outcomes.values().filter(|outcome| failed(outcome).is_none()).count(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_look_up_costs_an_attempt_and_no_outcome() {
    let rig = Rig::start(Scripted::new());
    until_ready(&rig).await;
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    let finds = AtomicUsize::new(0);
    rig.ledger.set_script(Box::new(move |call| {
        assert!(call != Call::Find || finds.fetch_add(1, Ordering::Relaxed) >= 2, "scripted: the look-up panics");
        None
    }));
    for number in 0..20 {
        rig.submit(&format!("s-{number}"), "a");
    }
    rig.idle().await;
    let counts = rig.broker.counts();
    assert!(counts.later > 0 && counts.released == 0 && counts.dead == 0, "{counts:?}");
    assert!(rig.end().await.values().all(|outcome| failed(outcome).is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_panic_of_every_image_ends_the_worker_and_spends_no_delivery() {
    const SUBMISSIONS: usize = 200;
    let rig = Rig::start(Scripted::new());
    until_ready(&rig).await;
    rig.objects.set_outage(Some(Outage::Panicking));
    // All of them wait when it begins: here the retry schedule has no pauses.
    rig.broker.set_health(Health::Connecting);
    for number in 0..SUBMISSIONS {
        rig.submit(&format!("s-{number}"), "a");
    }
    rig.broker.set_health(Health::Ready);
    let ended = tokio::time::timeout(DEADLINE, rig.running).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(WorkerError::SamePanic)), "{ended:?}");
    assert!(rig.condition.ready().is_err());
    assert!(rig.broker.dead().is_empty() && rig.ledger.outcomes().is_empty(), "nobody pays for it");
    assert_eq!(rig.broker.waiting(RequestQueue::Live), SUBMISSIONS);
    assert!(rig.broker.counts().later < SUBMISSIONS, "it stops long before it has met them all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_not_do_its_job_takes_nothing_and_never_says_ready() {
    for case in 0..3 {
        let rig = Rig::start_after(
            |objects, ledger| match case {
                0 => objects.set_outage(Some(Outage::Refusing)),
                1 => objects.set_outage(Some(Outage::Panicking)),
                _ => ledger.fail_next(Call::Prove, LedgerFault::Forbidden, 1),
            },
            Scripted::new(),
            plan(),
            decoders(),
        );
        rig.submit("waiting", "a");
        let ended = tokio::time::timeout(DEADLINE, rig.running).await.expect("it ends").unwrap();
        assert!(matches!(ended, Err(WorkerError::Unproven(_))), "{case}: {ended:?}");
        assert!(rig.condition.ready().is_err());
        assert_eq!((rig.broker.counts().delivered, rig.broker.waiting(RequestQueue::Live)), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_costs_no_delivery_however_long() {
    const SUBMISSIONS: usize = 300;
    for away in [Call::Find, Call::Record] {
        let rig = impatient();
        until_ready(&rig).await;
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        rig.ledger.set_script(Box::new(move |call| {
            // The whole database, or only what writes to it.
            let hit = call == away || away == Call::Find;
            count.fetch_add(usize::from(hit), Ordering::Relaxed);
            hit.then_some(LedgerFault::Unreachable)
        }));
        for number in 0..SUBMISSIONS {
            rig.submit(&format!("s-{number}"), "a");
        }
        until("it is not ready", || rig.condition.ready().is_err()).await;
        // By then it has waited for longer than finished work waits for a broker.
        until("it asks again", || refused.load(Ordering::Relaxed) >= 5).await;
        let (settled, delivered) = (rig.broker.counts().settled(), rig.broker.counts().delivered);
        assert!(settled == 0 && delivered < SUBMISSIONS, "{settled} settled, {delivered} delivered");
        rig.ledger.set_script(Box::new(|_| None));
        rig.idle().await;
        let counts = rig.broker.counts();
        assert_eq!((counts.delivered, counts.done), (SUBMISSIONS, SUBMISSIONS), "{counts:?}");
        assert_eq!(rig.end().await.len(), SUBMISSIONS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_every_key_costs_no_attempt_however_long() {
    const SUBMISSIONS: usize = 300;
    let rig = impatient();
    until_ready(&rig).await;
    rig.objects.set_outage(Some(Outage::Refusing));
    for number in 0..SUBMISSIONS {
        rig.submit(&format!("s-{number}"), "a");
    }
    until("it says so", || rig.condition.ready().is_err_and(|reason| reason.contains("InvalidAccessKeyId"))).await;
    rig.objects.set_outage(None);
    rig.idle().await;
    let counts = rig.broker.counts();
    assert_eq!((counts.delivered, counts.done), (SUBMISSIONS, SUBMISSIONS), "{counts:?}");
    until_ready(&rig).await;
    assert!(rig.end().await.values().all(|outcome| failed(outcome).is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_an_outage_gives_back_what_waits_for_it() {
    let rig = impatient();
    until_ready(&rig).await;
    rig.objects.set_outage(Some(Outage::Refusing));
    for number in 0..100 {
        rig.submit(&format!("s-{number}"), "a");
    }
    until("it says so", || rig.condition.ready().is_err()).await;
    let broker = rig.broker.clone();
    assert!(rig.end().await.is_empty());
    assert_eq!((broker.waiting(RequestQueue::Live), broker.dead().len()), (100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_database_refuses_is_the_trouble_of_its_submission() {
    let rig = Rig::start(Scripted::new());
    rig.objects.put(BUCKET, "a", images::bmp(30, 200));
    rig.ledger.set_refusal(Box::new(|outcome| match outcome.key().submission_id.as_str() {
        "odd" => matches!(outcome, Outcome::Verdict(_)),
        id => id == "odder",
    }));
    for number in 0..60 {
        rig.submit(&format!("s-{number}"), "a");
    }
    rig.submit("odd", "a");
    rig.submit("odder", "a");
    rig.idle().await;
    let dead = rig.broker.dead();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].properties.headers["x-assay-reason"].contains("the database refuses a value"), "{dead:?}");
    assert_eq!(rig.broker.counts().released, 0);
    let outcomes = rig.end().await;
    assert_eq!(failed(&outcomes["odd"]), Some(FailureCode::InternalError));
    assert_eq!(outcomes.values().filter(|outcome| failed(outcome).is_none()).count(), 60);
}
