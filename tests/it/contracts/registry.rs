//! The promises of `registry::Registry`.

use std::sync::Arc;
use std::time::Duration;

use registry::memory::Memory;
use registry::postgres::Postgres;
use registry::{By, Change, Kind, NewModel, Promotion, Registered, Registry, RegistryError};
use serde_json::json;
use tokio::task::JoinSet;

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
    a_promotion_is_announced
}

pub(super) fn model(version: &str) -> NewModel {
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

pub(super) fn change(version: &str, replaces: Option<&str>) -> Change {
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

async fn a_promotion_is_announced(registry: Subject) {
    with_models(&registry, &["1", "2"]).await;
    let waiting = tokio::spawn({
        let registry = registry.clone();
        async move { registry.wait_for_promotion(HOUR).await }
    });
    // Until it listens nothing is promised, so there is another promotion until one is received.
    let (mut next, mut before) = ("1", None);
    until("the promotion is announced", || {
        let (registry, received) = (registry.clone(), waiting.is_finished());
        let change = change(next, before);
        (next, before) = if next == "1" { ("2", Some("1")) } else { ("1", Some("2")) };
        async move {
            registry.promote(&change, By::Person).await.unwrap();
            received
        }
    })
    .await;
    waiting.await.unwrap();
    soon("no promotion", registry.wait_for_promotion(Duration::from_millis(1))).await;
}
