//! What is begun from the history of a submission.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{World, in_usual_world};

const HISTORY: &str = "/history?tenant=acme&submission=a";

#[test]
fn an_appeal_is_filed_for_the_uploader_and_decided_by_others() {
    in_usual_world(|world: World| async move {
        let outcome = world.verdict("acme", "a", "synthetic", json!({})).await;
        world.objects.put("uploads", "acme/raw.png", crate::support::png("raw"));
        let (ann, bo) = (world.browser("ann", "reviewer-acme"), world.browser("bo", "reviewer-acme"));
        let form = format!("/outcomes/{outcome}/appeal");
        assert!(ann.get(HISTORY).await.text().contains(&form));
        assert!(!world.browser("vi", "viewer-acme").get(HISTORY).await.text().contains(&form));

        let filed = ann.post(&form, &[("text", "it is my photograph"), ("evidence", "acme/raw.png")]).await;
        assert_eq!(filed.status, StatusCode::SEE_OTHER, "{}", filed.text());
        let appeal = filed.location().to_string();
        let page = ann.get(&appeal).await.text();
        assert!(page.contains("it is my photograph") && page.contains("/evidence/fit"), "{page}");
        assert!(page.contains("filed the appeal"), "{page}");
        assert!(ann.next().await.is_none(), "who filed it does not decide on it");
        assert_eq!(bo.get(&appeal).await.status, StatusCode::OK);
        assert!(bo.next().await.is_some());
        // The same again is the same appeal; with another text it is none.
        let again = ann.post(&form, &[("text", "it is my photograph"), ("evidence", "acme/raw.png")]).await;
        assert_eq!(again.location(), appeal);
        assert_eq!(ann.post(&form, &[("text", "another")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!bo.get(HISTORY).await.text().contains(&form), "it is appealed already");
        assert_eq!(world.count("SELECT count(*) FROM appeals WHERE via = 'console' AND filed_by IS NOT NULL").await, 1);
        let lead = world.browser("eve", "lead-acme").get("/audit?what=filed").await.text();
        assert!(lead.contains("filed") && lead.contains(&outcome.to_string()), "{lead}");
    });
}

#[test]
fn an_appeal_that_can_not_be_filed_comes_back_with_what_was_written() {
    in_usual_world(|world: World| async move {
        let outcome = world.verdict("acme", "a", "synthetic", json!({})).await;
        let foreign = world.verdict("globex", "g", "synthetic", json!({})).await;
        let ann = world.browser("ann", "reviewer-acme");
        let form = format!("/outcomes/{outcome}/appeal");
        let long = "x".repeat(4097);
        for (fields, words) in [
            (vec![("text", "")], "`text` is empty"),
            (vec![("text", long.as_str())], "4097 bytes"),
            (vec![("text", "kept words"), ("evidence", "../other.png")], "has a part"),
        ] {
            let refused = ann.post(&form, &fields).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
            let page = refused.text();
            assert!(page.contains(words) && page.contains(fields[0].1), "{page}");
        }
        assert_eq!(ann.post(&form, &[("text", &"x".repeat(70_000))]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        let other = format!("/outcomes/{foreign}/appeal");
        assert_eq!(ann.post(&other, &[("text", "mine")]).await.status, StatusCode::NOT_FOUND);
        assert_eq!(world.count("SELECT count(*) FROM appeals").await, 0);
    });
}

#[test]
fn a_lead_makes_an_item_whose_answer_is_known_and_nobody_can_tell_it() {
    in_usual_world(|world: World| async move {
        let outcome = world.verdict("acme", "a", "uncertain", json!({})).await;
        let lead = world.browser("eve", "lead-acme");
        let form = format!("/outcomes/{outcome}/golden");
        assert!(lead.get(HISTORY).await.text().contains(&form));
        assert!(!world.browser("ann", "reviewer-acme").get(HISTORY).await.text().contains(&form));
        assert_eq!(lead.post(&form, &[]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let made = lead.post(&form, &[("origin", "real")]).await;
        assert_eq!((made.status, made.location()), (StatusCode::SEE_OTHER, HISTORY));
        assert_eq!(world.count("SELECT count(*) FROM review_items WHERE scrutiny = 'golden_real'").await, 1);
        let other = lead.post(&form, &[("origin", "synthetic")]).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(other.text().contains("another known answer"), "{}", other.text());
        assert!(lead.next().await.is_none(), "who said the answer is not measured by it");
        // The id does not follow from what a page shows.
        let computed = review::ItemId::of(outcome, review::ItemKind::Golden);
        let found = format!("SELECT count(*) FROM review_items WHERE item_id = '{computed}'");
        assert_eq!(world.count(&found).await, 0);
        assert!(lead.get("/audit?what=made_golden").await.text().contains(&outcome.to_string()));
    });
}
