//! The promises of `broker::Events`.

use broker::BrokerError;
use domain::{Erased, ErasedSubmission, OutcomeId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::stages::{InMemory, RealRabbit, Stage};

promises! {
    an_event_is_published_to_whoever_wants_it
    an_unconfirmed_event_is_an_error
    after_close_no_event_is_published
}

fn erased(tenant: &str) -> Erased {
    let submission =
        ErasedSubmission { submission_id: "post-1".into(), outcome_ids: vec![OutcomeId(Uuid::from_u128(1))] };
    Erased::new(Uuid::from_u128(7), tenant, vec![submission], OffsetDateTime::UNIX_EPOCH)
}

async fn an_event_is_published_to_whoever_wants_it<S: Stage>() {
    let stage = S::set(4).await;
    let events = stage.events().await;
    events.erased(&erased("acme")).await.unwrap();
    let (topic, message) = stage.take_notices(1).await.remove(0);
    assert_eq!(topic, "erased.acme");
    assert_eq!(serde_json::from_slice::<Erased>(&message.body).unwrap(), erased("acme"));
    // The ids that somebody else gave are in the body only.
    let properties = format!("{:?}", message.properties);
    assert!(!properties.contains("post-1"), "{properties}");
    events.close().await;
    stage.end().await;
}

async fn an_unconfirmed_event_is_an_error<S: Stage>() {
    let stage = S::set(4).await;
    let events = stage.events().await;
    events.erased(&erased("acme")).await.unwrap();
    stage.lose_confirmation();
    let error = events.erased(&erased("globex")).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unconfirmed(_)) && error.is_transient(), "{error}");
    stage.restore();
    events.erased(&erased("globex")).await.unwrap();
    let topics: Vec<String> = stage.take_notices(3).await.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["erased.acme", "erased.globex", "erased.globex"]);
    events.close().await;
    stage.end().await;
}

async fn after_close_no_event_is_published<S: Stage>() {
    let stage = S::set(4).await;
    let events = stage.events().await;
    events.close().await;
    let error = events.erased(&erased("acme")).await.unwrap_err();
    assert!(matches!(error, BrokerError::Closed), "{error}");
    stage.end().await;
}
