//! Keys whose outcomes are gone stay taken.

use std::sync::Arc;

use domain::{ImageRef, Outcome, Predecessors, Previous, SubmissionKey};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ledger::memory::Memory;
use ledger::{Found, Gone, Recorded};

use super::Subject;
use crate::support::outcomes::{failure, key, verdict};

/// `expire` leaves nothing of an outcome but its key.
pub(super) async fn a_key_outlives_its_outcome(
    ledger: Subject,
    expire: impl Fn(SubmissionKey) -> BoxFuture<'static, ()>,
) {
    let (verdict, failure) = (verdict(key("v", 0)), failure(key("f", 0)));
    ledger.record(&[verdict.clone(), failure.clone()]).await.unwrap();
    for outcome in [&verdict, &failure] {
        expire(outcome.key()).await;
        let found = ledger.find(&[outcome.key()]).await.unwrap().remove(0);
        let Some(Gone::Expired(expired)) = found.gone.clone() else { panic!("the key is taken: {found:?}") };
        assert_eq!((found.standing, expired.id), (None, outcome.id()));
        assert!(expired.agrees_with(&outcome.image()));
        assert!(!expired.agrees_with(&ImageRef { key: "u/2.jpg".into(), ..outcome.image() }));
        let again = ledger.record(std::slice::from_ref(outcome)).await.unwrap();
        assert_eq!(again, [Recorded::Gone(Gone::Expired(expired))], "never a second one");
        assert_eq!(ledger.outcome(outcome.id()).await.unwrap(), None);
    }
    let next = ledger.find(&[key("v", 1)]).await.unwrap().remove(0);
    // What people were told is in columns, which stay.
    let Outcome::Verdict(judged) = &verdict else { panic!("a verdict") };
    let predecessors = Predecessors { latest: Some(verdict.id()), verdict: Some(Previous::of(judged)) };
    assert_eq!(next, Found { predecessors, ..Found::default() });
    assert_eq!(ledger.latest("acme", &verdict.image()).await.unwrap(), None);
}

#[tokio::test]
async fn in_memory_a_key_outlives_its_outcome() {
    let ledger = Arc::new(Memory::new());
    let kept = ledger.clone();
    let expire = move |key| {
        kept.expire(&key);
        futures_util::future::ready(()).boxed()
    };
    a_key_outlives_its_outcome(ledger, expire).await;
}

/// `erase` leaves nothing of a submission.
pub(super) async fn of_what_was_erased_every_key_is_taken(
    ledger: Subject,
    erase: impl Fn(&'static str) -> BoxFuture<'static, ()>,
) {
    let outcomes = [verdict(key("v", 0)), failure(key("v", 1)), verdict(key("w", 0))];
    ledger.record(&outcomes).await.unwrap();
    erase("v").await;
    let keys = [key("v", 0), key("v", 1), key("v", 2), key("w", 0), key("x", 0)];
    let found = ledger.find(&keys).await.unwrap();
    let erased: Vec<bool> = found.iter().map(|found| matches!(found.gone, Some(Gone::Erased { .. }))).collect();
    assert_eq!(erased, [true, true, true, false, false], "{found:?}");
    assert!(
        found[..3].iter().all(|found| found.standing.is_none() && found.predecessors.latest.is_none()),
        "{found:?}"
    );
    // Of several recorded at once, those that are free are.
    let again = [verdict(key("v", 0)), verdict(key("v", 2)), verdict(key("x", 0))];
    let recorded = ledger.record(&again).await.unwrap();
    assert!(recorded[..2].iter().all(|one| matches!(one, Recorded::Gone(Gone::Erased { .. }))), "{recorded:?}");
    assert_eq!(recorded[2], Recorded::New);
    assert_eq!(ledger.outcome(outcomes[0].id()).await.unwrap(), None);
    // Of another tenant it is another submission.
    let other = SubmissionKey { tenant: "globex".into(), ..key("v", 0) };
    assert_eq!(ledger.record(&[verdict(other)]).await.unwrap(), [Recorded::New]);
}

#[tokio::test]
async fn in_memory_of_what_was_erased_every_key_is_taken() {
    let ledger = Arc::new(Memory::new());
    let kept = ledger.clone();
    let erase = move |submission: &str| {
        kept.erase(&key(submission, 0).tenant, submission);
        futures_util::future::ready(()).boxed()
    };
    of_what_was_erased_every_key_is_taken(ledger, erase).await;
}
