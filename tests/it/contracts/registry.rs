//! The promises of `registry`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use registry::memory::Memory;
use registry::postgres::Postgres;
use registry::{
    Acquired, By, Change, Kind, Lease, NewModel, Promotion, Registered, Registry, RegistryError, Run, RunState,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::rabbit::{soon, until};

type Subject = Arc<dyn Registry>;

const HOUR: Duration = Duration::from_secs(3600);

on_memory_and_postgres! {
    a_registered_version_is_found_unchanged
    a_version_never_becomes_another_model
    the_active_model_is_that_of_the_last_promotion
    a_promotion_fails_where_something_else_became_active
    of_many_promotions_at_once_one_wins
    promoting_what_is_active_changes_nothing
    what_is_not_registered_is_not_promoted
    a_lease_has_one_holder_at_a_time
    a_lease_that_ran_out_or_was_given_back_is_free
    of_many_who_want_a_lease_one_gets_it
    an_earlier_holder_can_write_nothing_more
    a_run_is_written_down_until_it_has_ended
    a_promotion_is_announced
}

fn model(version: &str) -> NewModel {
    NewModel {
        version: version.into(),
        sha256: "a".repeat(64),
        location: format!("s3://models/{version}"),
        // As it came, spaces and all.
        manifest: format!("{{ \"version\":\"{version}\",\n  \"n\": 1.0 }}\n"),
        metrics: json!({"auc": 0.9, "by_generator": {"gan": null}}),
        parent: None,
        actor: "tester".into(),
    }
}

fn change(version: &str, replaces: Option<&str>) -> Change {
    Change {
        version: version.into(),
        replaces: replaces.map(Into::into),
        kind: Kind::Promotion,
        actor: "tester".into(),
        reason: Some("better".into()),
    }
}

async fn with_models(registry: &Subject, versions: &[&str]) {
    for version in versions {
        registry.register(&model(version), By::Person).await.unwrap();
    }
}

async fn promoted(registry: &Subject, version: &str, replaces: Option<&str>) -> Promotion {
    registry.promote(&change(version, replaces), By::Person).await.unwrap()
}

async fn acquired(registry: &Subject, holder: &str, ttl: Duration) -> Lease {
    match registry.acquire("retrain", holder, ttl).await.unwrap() {
        Acquired::Mine(lease) => lease,
        held => panic!("{held:?}"),
    }
}

fn run(id: u128, state: RunState) -> Run {
    Run { id: Uuid::from_u128(id), state, snapshot: None, candidate: None, report: Value::Null }
}

async fn a_registered_version_is_found_unchanged(registry: Subject) {
    with_models(&registry, &["1"]).await;
    let child = NewModel { parent: Some("1".into()), ..model("2") };
    assert_eq!(registry.register(&child, By::Person).await.unwrap(), Registered::New);
    assert_eq!(registry.model("2").await.unwrap().unwrap().entry, child);
    assert_eq!(registry.model("3").await.unwrap(), None);
    let versions: Vec<_> = registry.models().await.unwrap().into_iter().map(|model| model.entry.version).collect();
    assert_eq!(versions, ["2", "1"], "the newest first");
    let orphan = NewModel { parent: Some("nobody".into()), ..model("4") };
    let error = registry.register(&orphan, By::Person).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unknown { version } if version == "nobody"));
}

async fn a_version_never_becomes_another_model(registry: Subject) {
    with_models(&registry, &["1"]).await;
    let again = NewModel { location: "/elsewhere".into(), actor: "other".into(), ..model("1") };
    assert_eq!(registry.register(&again, By::Person).await.unwrap(), Registered::Known);
    for other in [
        NewModel { sha256: "b".repeat(64), ..model("1") },
        NewModel { manifest: "{\"version\": \"1\"}".into(), ..model("1") },
    ] {
        let error = registry.register(&other, By::Person).await.unwrap_err();
        assert!(matches!(error, RegistryError::Taken { .. }), "{error}");
    }
    assert_eq!(registry.model("1").await.unwrap().unwrap().entry, model("1"));
}

async fn the_active_model_is_that_of_the_last_promotion(registry: Subject) {
    with_models(&registry, &["1", "2"]).await;
    assert_eq!(registry.active().await.unwrap(), None);
    let first = promoted(&registry, "1", None).await;
    let second = promoted(&registry, "2", Some("1")).await;
    let back = Change { kind: Kind::Rollback, reason: None, ..change("1", Some("2")) };
    let third = registry.promote(&back, By::Person).await.unwrap();
    assert_eq!(registry.active().await.unwrap(), Some(third.clone()));
    assert_eq!((third.version.as_str(), third.kind, third.reason.as_deref()), ("1", Kind::Rollback, None));
    assert_eq!((second.replaces.as_deref(), second.reason.as_deref()), (Some("1"), Some("better")));
    assert_eq!([first.number, second.number, third.number], [1, 2, 3]);
    assert_eq!(registry.promotions().await.unwrap(), [first, second, third]);
}

async fn a_promotion_fails_where_something_else_became_active(registry: Subject) {
    with_models(&registry, &["1", "2", "3"]).await;
    promoted(&registry, "1", None).await;
    for expected in [None, Some("3")] {
        let error = registry.promote(&change("2", expected), By::Person).await.unwrap_err();
        assert!(error.to_string().contains("the active model is 1 now"), "{error}");
        assert!(matches!(error, RegistryError::Moved { .. }));
    }
    assert_eq!(registry.promotions().await.unwrap().len(), 1);
}

async fn of_many_promotions_at_once_one_wins(registry: Subject) {
    let versions: Vec<_> = (0..8).map(|n| n.to_string()).collect();
    with_models(&registry, &["before"]).await;
    promoted(&registry, "before", None).await;
    let mut tasks = JoinSet::new();
    for version in &versions {
        registry.register(&model(version), By::Person).await.unwrap();
        let (registry, change) = (registry.clone(), change(version, Some("before")));
        tasks.spawn(async move { registry.promote(&change, By::Person).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    let active = registry.active().await.unwrap().unwrap().version;
    assert_eq!(won[0].as_ref().unwrap().version, active);
    for error in lost.into_iter().map(Result::unwrap_err) {
        assert!(matches!(&error, RegistryError::Moved { active: Some(now), .. } if *now == active), "{error}");
    }
}

async fn promoting_what_is_active_changes_nothing(registry: Subject) {
    with_models(&registry, &["1"]).await;
    let first = promoted(&registry, "1", None).await;
    for expected in [None, Some("1"), Some("2")] {
        assert_eq!(promoted(&registry, "1", expected).await, first);
    }
    assert_eq!(registry.promotions().await.unwrap(), [first]);
}

async fn what_is_not_registered_is_not_promoted(registry: Subject) {
    let error = registry.promote(&change("1", None), By::Person).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Unknown { version } if version == "1"), "{error}");
    assert_eq!(registry.active().await.unwrap(), None);
}

async fn a_lease_has_one_holder_at_a_time(registry: Subject) {
    let lease = acquired(&registry, "a", HOUR).await;
    assert_eq!((lease.epoch, lease.holder.as_str(), lease.name.as_str()), (1, "a", "retrain"));
    for holder in ["b", "a"] {
        let held = registry.acquire("retrain", holder, HOUR).await.unwrap();
        assert_eq!(held, Acquired::Held { by: "a".into(), until: lease.expires_at });
    }
    let other = registry.acquire("another", "b", HOUR).await.unwrap();
    assert!(matches!(other, Acquired::Mine(lease) if lease.epoch == 1), "leases of other names are others");
    let renewed = registry.renew(&lease, 2 * HOUR).await.unwrap();
    assert!(renewed.epoch == 1 && renewed.expires_at > lease.expires_at);
}

async fn a_lease_that_ran_out_or_was_given_back_is_free(registry: Subject) {
    let first = acquired(&registry, "a", Duration::ZERO).await;
    // It ran out, but nobody took it.
    registry.record_run(&run(1, RunState::Running), &first).await.unwrap();
    let second = acquired(&registry, "b", HOUR).await;
    assert_eq!(second.epoch, 2);
    registry.release(&first).await.unwrap();
    assert!(matches!(registry.acquire("retrain", "c", HOUR).await.unwrap(), Acquired::Held { .. }));
    registry.release(&second).await.unwrap();
    assert_eq!(acquired(&registry, "c", HOUR).await.epoch, 3);
}

async fn of_many_who_want_a_lease_one_gets_it(registry: Subject) {
    let mut tasks = JoinSet::new();
    for holder in 0..12 {
        let registry = registry.clone();
        tasks.spawn(async move { registry.acquire("retrain", &holder.to_string(), HOUR).await.unwrap() });
    }
    let (mine, held): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(|acquired| matches!(acquired, Acquired::Mine(_)));
    assert_eq!((mine.len(), held.len()), (1, 11));
    let Acquired::Mine(lease) = &mine[0] else { unreachable!() };
    assert!(held.iter().all(|held| matches!(held, Acquired::Held { by, .. } if *by == lease.holder)));
}

async fn an_earlier_holder_can_write_nothing_more(registry: Subject) {
    with_models(&registry, &["1"]).await;
    let late = acquired(&registry, "late", Duration::ZERO).await;
    let current = acquired(&registry, "current", HOUR).await;
    let fenced = |error: RegistryError| {
        assert!(matches!(&error, RegistryError::Fenced { epoch: 1, current: 2, .. }), "{error}");
    };
    fenced(registry.register(&model("2"), By::Job(&late)).await.unwrap_err());
    fenced(registry.promote(&change("1", None), By::Job(&late)).await.unwrap_err());
    fenced(registry.record_run(&run(1, RunState::Running), &late).await.unwrap_err());
    fenced(registry.renew(&late, HOUR).await.unwrap_err());
    assert_eq!(registry.model("2").await.unwrap(), None);
    assert_eq!(registry.active().await.unwrap(), None);
    assert_eq!(registry.runs(10).await.unwrap(), []);

    registry.register(&model("2"), By::Job(&current)).await.unwrap();
    registry.promote(&change("2", None), By::Job(&current)).await.unwrap();
    registry.record_run(&run(1, RunState::Running), &current).await.unwrap();
    let forged = Lease { name: "another".into(), ..current };
    let error = registry.register(&model("3"), By::Job(&forged)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Fenced { current: 0, .. }), "{error}");
}

async fn a_run_is_written_down_until_it_has_ended(registry: Subject) {
    let first = acquired(&registry, "a", Duration::ZERO).await;
    registry.record_run(&run(1, RunState::Running), &first).await.unwrap();
    let begun = registry.runs(10).await.unwrap().remove(0);
    assert_eq!((begun.epoch, begun.finished_at, &begun.run), (1, None, &run(1, RunState::Running)));
    // Killed, and resumed by another process.
    let second = acquired(&registry, "b", HOUR).await;
    let ended = Run {
        snapshot: Some("c".repeat(64)),
        candidate: Some("2".into()),
        report: json!({"gate": ["worse on gan"]}),
        ..run(1, RunState::Refused)
    };
    registry.record_run(&ended, &second).await.unwrap();
    registry.record_run(&run(2, RunState::NothingNew), &second).await.unwrap();
    let runs = registry.runs(10).await.unwrap();
    assert_eq!(runs[0].run, run(2, RunState::NothingNew));
    assert_eq!((&runs[1].run, runs[1].epoch, runs[1].started_at), (&ended, 2, begun.started_at));
    assert!(runs.iter().all(|run| run.finished_at.is_some()));
    let ids: BTreeSet<_> = registry.runs(1).await.unwrap().into_iter().map(|run| run.run.id).collect();
    assert_eq!(ids, [Uuid::from_u128(2)].into());
}

async fn a_promotion_is_announced(registry: Subject) {
    with_models(&registry, &["1", "2"]).await;
    let waiting = tokio::spawn({
        let registry = registry.clone();
        async move { registry.news(HOUR).await }
    });
    // Until it listens nothing is promised, so there is another promotion until it hears of one.
    let (mut next, mut before) = ("1", None);
    until("the promotion is heard of", || {
        let (registry, heard) = (registry.clone(), waiting.is_finished());
        let change = change(next, before);
        (next, before) = if next == "1" { ("2", Some("1")) } else { ("1", Some("2")) };
        async move {
            registry.promote(&change, By::Person).await.unwrap();
            heard
        }
    })
    .await;
    waiting.await.unwrap();
    soon("no news", registry.news(Duration::from_millis(1))).await;
}
