//! The promises of `ledger`.

mod gone;
mod moving;
mod partitions;
mod postgres;
mod scale;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use database::migrate;

use domain::{ImageRef, ModelRef, Outcome, OutcomeId, Previous, SubmissionKey, Verdict};
use ledger::maintenance::FEWEST_AHEAD;
use ledger::memory::{Call, Fault, Memory};
use ledger::postgres::Postgres;
use ledger::{Content, Found, Ledger, LedgerError, Recorded};
use serde_json::json;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::support::outcomes::{failure, key, verdict, verdict_of};
use crate::support::servers::in_own_schema;

type Subject = Arc<dyn Ledger>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

macro_rules! suite {
    ($($test:ident)*) => {
        mod on_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(std::sync::Arc::new(super::Memory::new())).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::in_own_schema(|settings| async move {
                    super::migrate(&settings).await.unwrap();
                    super::$test(std::sync::Arc::new(super::Postgres::connect(&settings).await.unwrap())).await;
                })
                .await;
            })*
        }
    };
}

suite! {
    what_is_recorded_is_found_unchanged
    the_first_outcome_stands_whatever_its_kind
    of_the_same_key_twice_in_one_call_the_first_wins
    answers_come_in_the_order_of_the_questions
    the_predecessor_is_the_latest_earlier_generation
    keys_that_differ_anywhere_are_different_keys
    many_at_once_agree_on_one_winner_for_each_key
    a_large_call_is_one_call
    scores_are_found_by_tenant_bytes_and_model
    an_outcome_is_found_by_its_id
    the_latest_verdict_on_an_image_is_found
    asking_nothing_answers_nothing
    a_value_that_is_refused_spoils_only_its_own_outcome
    a_healthy_ledger_says_so
}

async fn standing(ledger: &Subject, key: &SubmissionKey) -> Option<Outcome> {
    ledger.find(std::slice::from_ref(key)).await.unwrap().remove(0).standing
}

async fn what_is_recorded_is_found_unchanged(ledger: Subject) {
    let awkward = "it's \"quoted\" \\ {curly} NULL, 日本 🦀\n\u{1}";
    let mut odd = verdict_of(key(awkward, 7));
    odd.score.logit = f32::MIN_POSITIVE;
    odd.score.synthetic = 0.1;
    odd.score.threshold_low = 1e-7;
    odd.score.threshold_high = 16_777_217.0;
    odd.image.key = awkward.into();
    odd.image.version_id = Some("null".into());
    odd.supersedes = Some(OutcomeId::of(&key(awkward, 6)));
    odd.metadata.insert(awkward.into(), json!(["\0", 1e19, 1.0, 1e-300, u64::MAX, i64::MIN, null, {"": []}]));
    let roots: Vec<f64> = (1..200).map(|n| f64::from(n).sqrt()).collect();
    odd.metadata.insert("roots".into(), json!(roots));
    let digits = serde_json::from_str("[12345678901234567890123, 1.10, 1E2, 1e400, -0.0]").unwrap();
    odd.metadata.insert("digits".into(), digits);
    let plain = Verdict { generator: None, ..verdict_of(key("plain", 0)) };
    let outcomes = [Outcome::Verdict(Box::new(odd)), Outcome::Verdict(Box::new(plain)), failure(key(awkward, 8))];
    assert_eq!(ledger.record(&outcomes).await.unwrap(), [Recorded::New, Recorded::New, Recorded::New]);
    for outcome in &outcomes {
        let found = standing(&ledger, &outcome.key()).await.unwrap();
        assert_eq!(&found, outcome);
        assert_eq!(serde_json::to_string(&found).unwrap(), serde_json::to_string(outcome).unwrap());
    }
}

async fn the_first_outcome_stands_whatever_its_kind(ledger: Subject) {
    let (first, second) = (verdict(key("a", 0)), failure(key("b", 0)));
    ledger.record(&[first.clone(), second.clone()]).await.unwrap();
    let stands = |outcome: &Outcome| Recorded::Standing(Box::new(outcome.clone()));
    for again in [[failure(key("a", 0)), verdict(key("b", 0))], [first.clone(), second.clone()]] {
        assert_eq!(ledger.record(&again).await.unwrap(), [stands(&first), stands(&second)]);
    }
    assert_eq!(standing(&ledger, &key("a", 0)).await, Some(first));
    assert_eq!(standing(&ledger, &key("b", 0)).await, Some(second));
}

async fn of_the_same_key_twice_in_one_call_the_first_wins(ledger: Subject) {
    let (first, second) = (failure(key("a", 0)), verdict(key("a", 0)));
    let answers = ledger.record(&[first.clone(), second, verdict(key("b", 0)), first.clone()]).await.unwrap();
    let stands = Recorded::Standing(Box::new(first.clone()));
    assert_eq!(answers, [Recorded::New, stands.clone(), Recorded::New, stands]);
    assert_eq!(standing(&ledger, &key("a", 0)).await, Some(first));
}

async fn answers_come_in_the_order_of_the_questions(ledger: Subject) {
    let order = ["m", "c", "z", "a", "q"];
    let outcomes: Vec<Outcome> = order.iter().map(|id| verdict(key(id, 0))).collect();
    ledger.record(&outcomes[1..3]).await.unwrap();
    let answers = ledger.record(&outcomes).await.unwrap();
    let new: Vec<bool> = answers.iter().map(|answer| *answer == Recorded::New).collect();
    assert_eq!(new, [true, false, false, true, true]);

    let asked: Vec<SubmissionKey> = ["z", "?", "a", "z", "m"].iter().map(|id| key(id, 0)).collect();
    let found: Vec<Option<Outcome>> =
        ledger.find(&asked).await.unwrap().into_iter().map(|found| found.standing).collect();
    let outcome = |index: usize| Some(outcomes[index].clone());
    assert_eq!(found, [outcome(2), None, outcome(3), outcome(2), outcome(0)]);
}

async fn scores_are_found_by_tenant_bytes_and_model(ledger: Subject) {
    let digest = |bytes: &str| hex::encode(bytes.repeat(32));
    let on = |id: &str, bytes: &str| {
        let mut verdict = verdict_of(key(id, 0));
        verdict.image.sha256 = digest(bytes);
        verdict
    };
    let scored = on("scored", "b");
    let model = scored.model.clone();
    let reused = Verdict { reused_from: Some(scored.verdict_id), ..on("reused", "r") };
    let foreign = Verdict { tenant: "other".into(), ..on("foreign", "f") };
    let old = Verdict { model: ModelRef { version: "old".into(), ..model.clone() }, ..on("old", "o") };
    let verdicts = [scored.clone(), reused, foreign, old.clone()].map(|verdict| Outcome::Verdict(Box::new(verdict)));
    ledger.record(&verdicts).await.unwrap();
    ledger.record(&[failure(key("failed", 0))]).await.unwrap();

    let contents = ["n", "b", "r", "f", "o", "b"].map(|bytes| Content { tenant: "acme".into(), sha256: digest(bytes) });
    let found = ledger.scored(&contents, &model, DAY).await.unwrap();
    assert_eq!(found, [None, Some(scored.clone()), None, None, None, Some(scored)]);
    assert_eq!(ledger.scored(&contents[4..5], &old.model, DAY).await.unwrap(), [Some(old.clone())]);
    assert_eq!(ledger.scored(&contents[4..5], &old.model, Duration::MAX).await.unwrap(), [Some(old.clone())]);
    assert_eq!(ledger.scored(&contents[4..5], &old.model, Duration::ZERO).await.unwrap(), [None]);
    let other_weights = ModelRef { sha256: "c".repeat(64), ..old.model };
    assert_eq!(ledger.scored(&contents[4..5], &other_weights, DAY).await.unwrap(), [None]);
}

async fn an_outcome_is_found_by_its_id(ledger: Subject) {
    let (one, other) = (verdict(key("a", 0)), failure(key("a", 1)));
    ledger.record(&[one.clone(), other.clone()]).await.unwrap();
    assert_eq!(ledger.outcome(one.id()).await.unwrap(), Some(one));
    assert_eq!(ledger.outcome(other.id()).await.unwrap(), Some(other));
    assert_eq!(ledger.outcome(OutcomeId::of(&key("b", 0))).await.unwrap(), None);
}

async fn the_latest_verdict_on_an_image_is_found(ledger: Subject) {
    let on = |id: &str, seconds: i64, version: &str| {
        let mut verdict = verdict_of(key(id, 0));
        verdict.image.bucket = "uploads".into();
        verdict.image.key = "u/1.jpg".into();
        verdict.image.version_id = Some(version.into());
        verdict.decided_at = OffsetDateTime::from_unix_timestamp(1_795_000_000 + seconds).unwrap();
        verdict
    };
    let mut elsewhere = on("elsewhere", 9, "v2");
    elsewhere.image.bucket = "avatars".into();
    let foreign = Verdict { tenant: "other".into(), ..on("foreign", 8, "v2") };
    let (new, old) = (on("new", 2, "v2"), on("old", 1, "v1"));
    let all = [elsewhere, foreign, new.clone(), old.clone()].map(|verdict| Outcome::Verdict(Box::new(verdict)));
    ledger.record(&all).await.unwrap();
    let image = ImageRef { bucket: "uploads".into(), key: "u/1.jpg".into(), ..ImageRef::default() };
    let version = |version: &str| ImageRef { version_id: Some(version.into()), ..image.clone() };
    assert_eq!(ledger.latest("acme", &image).await.unwrap(), Some(new));
    assert_eq!(ledger.latest("acme", &version("v1")).await.unwrap(), Some(old));
    assert_eq!(ledger.latest("acme", &version("v3")).await.unwrap(), None);
    let missing = ImageRef { key: "u/2.jpg".into(), ..image };
    assert_eq!(ledger.latest("acme", &missing).await.unwrap(), None);
}

async fn the_predecessor_is_the_latest_earlier_generation(ledger: Subject) {
    let mut other = verdict_of(key("a", 4));
    other.tenant = "other".into();
    let others = [Outcome::Verdict(Box::new(other)), verdict(key("a1", 3)), verdict(key("A", 3))];
    ledger.record(&others).await.unwrap();
    ledger.record(&[verdict(key("a", 10)), failure(key("a", 0)), verdict(key("a", 9))]).await.unwrap();
    let asked = [0, 1, 9, 10, 11, u32::MAX].map(|generation| key("a", generation));
    let found = ledger.find(&asked).await.unwrap();
    let id = |generation| Some(OutcomeId::of(&key("a", generation)));
    let latest: Vec<_> = found.iter().map(|found| found.predecessors.latest).collect();
    assert_eq!(latest, [None, id(0), id(0), id(9), id(10), id(10)]);
    // A failure takes no verdict back.
    ledger.record(&[failure(key("a", 11))]).await.unwrap();
    let asked = [1, 9, 10, 11, 12].map(|generation| key("a", generation));
    let found: Vec<_> =
        ledger.find(&asked).await.unwrap().into_iter().map(|found| found.predecessors.verdict).collect();
    let of = |generation| Some(Previous::of(&verdict_of(key("a", generation))));
    assert_eq!(found, [None, None, of(9), of(10), of(10)]);
}

async fn keys_that_differ_anywhere_are_different_keys(ledger: Subject) {
    let key = |tenant: &str, id: &str, generation| SubmissionKey {
        tenant: tenant.into(),
        submission_id: id.into(),
        generation,
    };
    let keys = [
        key("a", "b", 0),
        key("a", "b", 1),
        key("a", "B", 0),
        key("a", "b ", 0),
        key("a", "%", 0),
        key("ab", "b", 0),
        // The same letter, composed and decomposed.
        key("a", "\u{e9}", 0),
        key("a", "e\u{301}", 0),
    ];
    let outcomes = keys.clone().map(verdict);
    assert_eq!(ledger.record(&outcomes).await.unwrap(), keys.map(|_| Recorded::New));
}

async fn many_at_once_agree_on_one_winner_for_each_key(ledger: Subject) {
    const KEYS: usize = 50;
    // Prime to 50, so that multiplying by one of them makes an order of its own.
    const STEPS: [usize; 16] = [1, 3, 7, 9, 11, 13, 17, 19, 21, 23, 27, 29, 31, 33, 37, 49];
    let mut tasks = JoinSet::new();
    for (task, step) in STEPS.into_iter().enumerate() {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            // Every task in another order, with outcomes that name the task.
            let order = (0..KEYS).map(|place| place * step % KEYS);
            let outcomes: Vec<Outcome> = order
                .map(|id| match (task + id) % 2 {
                    0 => {
                        let mut verdict = verdict_of(key(&format!("post-{id}"), 0));
                        verdict.attempt = task as u32;
                        Outcome::Verdict(Box::new(verdict))
                    }
                    _ => match failure(key(&format!("post-{id}"), 0)) {
                        Outcome::Failure(mut failure) => {
                            failure.attempt = task as u32;
                            Outcome::Failure(failure)
                        }
                        verdict => verdict,
                    },
                })
                .collect();
            let answers = ledger.record(&outcomes).await.unwrap();
            outcomes.into_iter().zip(answers).collect::<Vec<_>>()
        });
    }
    let mut winners: BTreeMap<SubmissionKey, Vec<Outcome>> = BTreeMap::new();
    let mut losers: Vec<Outcome> = Vec::new();
    for (outcome, answer) in tasks.join_all().await.into_iter().flatten() {
        match answer {
            Recorded::New => winners.entry(outcome.key()).or_default().push(outcome),
            Recorded::Standing(standing) => losers.push(*standing),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), KEYS);
    assert!(winners.values().all(|winners| winners.len() == 1), "a key with two winners");
    for standing in losers {
        assert_eq!(winners[&standing.key()][0], standing);
    }
    let keys: Vec<SubmissionKey> = winners.keys().cloned().collect();
    for (key, found) in keys.iter().zip(ledger.find(&keys).await.unwrap()) {
        assert_eq!(found.standing.as_ref(), Some(&winners[key][0]));
    }
}

async fn a_large_call_is_one_call(ledger: Subject) {
    let outcomes: Vec<Outcome> = (0..2000).map(|n| verdict(key(&format!("post-{n}"), 0))).collect();
    assert!(ledger.record(&outcomes).await.unwrap().iter().all(|answer| *answer == Recorded::New));
    let keys: Vec<SubmissionKey> = outcomes.iter().map(Outcome::key).collect();
    assert!(ledger.find(&keys).await.unwrap().iter().all(|found| found.standing.is_some()));
}

async fn asking_nothing_answers_nothing(ledger: Subject) {
    assert_eq!(ledger.find(&[]).await.unwrap(), []);
    assert_eq!(ledger.record(&[]).await.unwrap(), []);
    assert_eq!(ledger.find(&[key("a", 0)]).await.unwrap(), [Found::default()]);
}

async fn a_healthy_ledger_says_so(ledger: Subject) {
    ledger.check().await.unwrap();
    ledger.prove().await.unwrap();
    assert!(ledger.partitions_ahead().await.unwrap() >= FEWEST_AHEAD);
}

/// The ledger in memory must be able to fail like the real one in `postgres`.
#[tokio::test]
async fn the_ledger_in_memory_fails_like_a_database() {
    let ledger = Memory::new();
    let outcome = verdict(key("a", 0));
    for (fault, written) in
        [(Fault::Unreachable, false), (Fault::DiskFull, false), (Fault::Forbidden, false), (Fault::ReplyLost, true)]
    {
        ledger.fail_next(Call::Record, fault, 1);
        assert_eq!(ledger.find(&[key("a", 0)]).await.unwrap(), [Found::default()]);
        let error = ledger.record(std::slice::from_ref(&outcome)).await.unwrap_err();
        assert_eq!(matches!(error, LedgerError::Hindered { .. }), fault == Fault::DiskFull);
        assert_eq!(error.is_transient(), fault != Fault::Forbidden);
        assert_eq!(ledger.outcomes().len(), usize::from(written), "{fault:?}");
    }
    let again = ledger.record(std::slice::from_ref(&outcome)).await.unwrap();
    assert_eq!(again, [Recorded::Standing(Box::new(outcome))]);
    ledger.fail_next(Call::Check, Fault::NotMigrated, 2);
    for migrated in [false, false, true] {
        assert_eq!(ledger.check().await.is_ok(), migrated);
    }
}

async fn a_value_that_is_refused_spoils_only_its_own_outcome(ledger: Subject) {
    let mut odd = verdict_of(key("odd", 0));
    odd.image.key = "a\0b".into();
    let mut outcomes: Vec<_> = (0..9).map(|number| verdict(key(&format!("s-{number}"), 0))).collect();
    outcomes.insert(4, Outcome::Verdict(Box::new(odd)));
    let recorded = ledger.record(&outcomes).await.unwrap();
    assert!(matches!(&recorded[4], Recorded::Refused(reason) if !reason.is_empty()), "{recorded:?}");
    let new = recorded.iter().filter(|recorded| **recorded == Recorded::New).count();
    assert_eq!(new, 9);
    let mut keys: Vec<_> = outcomes.iter().map(Outcome::key).collect();
    keys[4].submission_id = "o\0dd".into();
    let found = ledger.find(&keys).await.unwrap();
    let standing: Vec<_> = found.iter().map(|found| found.standing.is_some()).collect();
    assert_eq!(standing, (0..10).map(|index| index != 4).collect::<Vec<_>>());
}
