//! The promises of `broker::Events`.

use broker::{BrokerError, Event, Publication};
use domain::{Context, Erased, ErasedSubmission, Outcome, OutcomeId, Previous, Purpose};
use time::OffsetDateTime;
use uuid::Uuid;

use super::stages::{InMemory, RealRabbit, Stage};
use crate::support::outcomes::{key, verdict_of};

promises! {
    an_event_is_published_to_whoever_wants_it
    an_unconfirmed_event_is_an_error
    after_close_no_event_is_published
    what_is_unchanged_goes_to_whoever_wants_it_and_not_among_the_results
}

fn erased(tenant: &str) -> Erased {
    let submission =
        ErasedSubmission { submission_id: "post-1".into(), outcome_ids: vec![OutcomeId(Uuid::from_u128(1))] };
    Erased::new(Uuid::from_u128(7), tenant, vec![submission], OffsetDateTime::UNIX_EPOCH)
}

async fn an_event_is_published_to_whoever_wants_it<S: Stage>() {
    let stage = S::set(4).await;
    let events = stage.events().await;
    events.publish(&Event::Erased(erased("acme"))).await.unwrap();
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
    events.publish(&Event::Erased(erased("acme"))).await.unwrap();
    stage.lose_confirmation();
    let error = events.publish(&Event::Erased(erased("globex"))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unconfirmed(_)) && error.is_transient(), "{error}");
    stage.restore();
    events.publish(&Event::Erased(erased("globex"))).await.unwrap();
    let topics: Vec<String> = stage.take_notices(3).await.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["erased.acme", "erased.globex", "erased.globex"]);
    events.close().await;
    stage.end().await;
}

async fn after_close_no_event_is_published<S: Stage>() {
    let stage = S::set(4).await;
    let events = stage.events().await;
    events.close().await;
    let error = events.publish(&Event::Erased(erased("acme"))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Closed), "{error}");
    stage.end().await;
}

async fn what_is_unchanged_goes_to_whoever_wants_it_and_not_among_the_results<S: Stage>() {
    let stage = S::set(4).await;
    let mut verdict = verdict_of(key("a", 1));
    verdict.purpose = Purpose::Reverdict;
    verdict.previous = Some(Previous::of(&verdict_of(key("a", 0))));
    let outcome = Outcome::Verdict(Box::new(verdict));
    let context = Context::default();
    stage.broker().publish(Publication { outcome: &outcome, context: &context }).await.unwrap();
    let (topic, message) = stage.take_notices(1).await.remove(0);
    assert_eq!(topic, "unchanged.acme.synthetic");
    assert_eq!(serde_json::from_slice::<Outcome>(&message.body).unwrap(), outcome);
    // There nothing is left to take.
    stage.end().await;
}
