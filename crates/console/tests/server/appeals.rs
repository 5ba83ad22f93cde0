//! Appeals on the console.

use axum::http::StatusCode;
use review::{NewAppeal, Via};
use serde_json::json;

use crate::support::{Answered, Browser, World, in_usual_world};

async fn decided(browser: &Browser, page: &Answered, appeal: &str, result: &str) -> Answered {
    let (lease, vote) = (page.lease().unwrap(), page.vote());
    let fields = [
        ("lease", lease.as_str()),
        ("vote", &vote),
        ("result", result),
        ("ground", "uploaders_original"),
        ("reason", "the raw file was shown"),
    ];
    browser.script(&format!("/appeals/{appeal}/decide"), &fields).await
}

#[test]
fn an_appeal_is_overturned_by_two_who_did_not_review_it_first() {
    in_usual_world(|world: World| async move {
        let outcome = world.verdict("acme", "a", "synthetic", json!({})).await;
        let evidence = world.objects.put("uploads", "acme/raw.png", crate::support::png("raw"));
        let filed = NewAppeal {
            outcome,
            tenant: Some("acme".into()),
            text: "<b>mine</b>".into(),
            evidence: Some(evidence),
            via: Via::Queue,
            filed_by: None,
        };
        let appeal = world.reviews.file_appeal(&filed).await.unwrap().appeal.to_string();
        let (ann, bo) = (world.browser("ann", "reviewer-acme"), world.browser("bo", "reviewer-acme"));
        assert!(ann.get("/appeals").await.text().contains(&appeal));
        assert_eq!(
            world.browser("g", "reviewer-globex").get(&format!("/appeals/{appeal}")).await.status,
            StatusCode::NOT_FOUND
        );
        let page = ann.next().await.unwrap();
        let text = page.text();
        assert!(text.contains("&lt;b&gt;mine") && text.contains(&format!("/pictures/{appeal}/evidence/fit")), "{text}");
        let picture = ann.get(&format!("/pictures/{appeal}/evidence/fit")).await;
        assert_eq!(picture.status, StatusCode::OK, "{}", picture.text());
        assert_eq!(decided(&ann, &page, &appeal, "overturn_synthetic").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let first = decided(&ann, &page, &appeal, "overturn_real").await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text());
        world.count_votes().await;
        let page = bo.next().await.expect("two decide");
        assert_eq!(decided(&bo, &page, &appeal, "overturn_real").await.status, StatusCode::OK);
        world.count_votes().await;
        assert_eq!(world.count("SELECT count(*) FROM appeals WHERE result = 'overturned'").await, 1);
        assert!(ann.get("/appeals?state=decided").await.text().contains(&appeal));
        assert!(ann.get(&format!("/appeals/{appeal}")).await.text().contains("the raw file was shown"));
        assert_eq!(ann.get("/appeals?state=lost").await.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn who_reviewed_it_first_does_not_decide_on_the_appeal() {
    in_usual_world(|world: World| async move {
        let items = world.items("acme", &["a"]).await;
        let ann = world.browser("ann", "reviewer-acme");
        let page = ann.next().await.unwrap();
        let (lease, vote) = (page.lease().unwrap(), page.vote());
        let fields = [("lease", lease.as_str()), ("vote", &vote), ("answer", "cannot_tell")];
        assert_eq!(ann.script(&format!("/items/{}/vote", items[0]), &fields).await.status, StatusCode::OK);
        world.count_votes().await;
        let outcome = page.value("<dt>Outcome</dt><dd>").unwrap();
        let outcome = domain::OutcomeId(outcome.split('<').next().unwrap().parse().unwrap());
        let filed = NewAppeal {
            outcome,
            tenant: None,
            text: "look again".into(),
            evidence: None,
            via: Via::Queue,
            filed_by: None,
        };
        let appeal = world.reviews.file_appeal(&filed).await.unwrap().appeal;
        assert!(ann.next().await.is_none());
        let shown = ann.get(&format!("/appeals/{appeal}")).await;
        assert_eq!((shown.status, shown.lease()), (StatusCode::OK, None), "{}", shown.text());
        let lease = uuid::Uuid::new_v4().to_string();
        let fields = [
            ("lease", lease.as_str()),
            ("vote", &lease),
            ("result", "overturn_real"),
            ("ground", "by_eye"),
            ("reason", "no"),
        ];
        let refused = ann.script(&format!("/appeals/{appeal}/decide"), &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
    });
}
