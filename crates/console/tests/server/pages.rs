//! Every page from the store, with what strangers wrote in it.

use axum::http::{StatusCode, header};
use serde_json::json;

use crate::support::{World, in_usual_world};

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

#[test]
fn markup_of_strangers_is_text_on_every_page() {
    in_usual_world(|world: World| async move {
        let submission = "a\"<script>alert(1)<b>";
        let metadata = json!({HOSTILE: HOSTILE, "deep": {"list": [1.50, null, HOSTILE]}});
        let outcome = world.verdict("acme", submission, "uncertain", metadata).await;
        world.reviews.collect().await.unwrap();
        let lead = world.browser("lea", "lead-acme");
        let page = lead.next().await.unwrap();
        let held = page.lease().unwrap();
        let hold =
            lead.script(&format!("/items/{}/hold", page.item()), &[("lease", &held), ("comment", HOSTILE)]).await;
        assert_eq!(hold.status, StatusCode::OK, "{}", hold.text());
        let history = "/history?tenant=acme&submission=a%22%3Cscript%3Ealert(1)%3Cb%3E";
        let search = format!("/search?q={}", "%3Cscript%3Ealert(1)%3C/script%3E");
        let pages = [
            "/".to_string(),
            format!("/items/{}", page.item()),
            format!("/outcomes/{}", outcome.0),
            history.into(),
            search,
            "/search?by=submission&q=a%22%3Cscript%3Ealert(1)%3Cb%3E".into(),
            "/audit".into(),
            "/audit?who=%3Cb%3E&from=2026-13-77".into(),
            "/numbers".into(),
            "/tokens".into(),
            "/help".into(),
            "/appeals".into(),
        ];
        for path in &pages {
            let answered = lead.get(path).await;
            assert_eq!(answered.status, StatusCode::OK, "{path}: {}", answered.text());
            let text = answered.text();
            assert!(text.contains("</html>"), "{path}");
            assert!(
                !text.contains("<script>") && !text.contains("<img src=x") && !text.contains("alert(1)<b>"),
                "{path}"
            );
        }
        assert!(page.text().contains("deep.list.0") && page.text().contains("<bdi>1.5</bdi>"), "{}", page.text());
    });
}

#[test]
fn what_was_done_is_in_the_log_for_leads_and_can_be_exported() {
    in_usual_world(|world: World| async move {
        world.items("acme", &["a"]).await;
        let (ann, lead) = (world.browser("ann", "reviewer-acme"), world.browser("lea", "lead-acme"));
        ann.next().await.unwrap();
        ann.get("/search?q=a*").await;
        assert_eq!(ann.get("/audit").await.status, StatusCode::FORBIDDEN);
        assert!(lead.get("/audit?what=saw").await.text().contains("ann"));
        let export = lead.get("/audit.jsonl?tenant=acme").await;
        assert_eq!(export.headers[header::CONTENT_TYPE], "application/x-ndjson");
        assert!(export.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
        let lines: Vec<serde_json::Value> =
            export.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|line| line["what"] == "saw" && line["submission_id"] == "a"), "{lines:?}");
        assert!(!export.text().contains("proxy:ann"), "pseudonyms outward");
        assert_eq!(
            world.count("SELECT count(*) FROM audit_log WHERE what = 'searched' AND detail->>'q' = 'a*'").await,
            1
        );
    });
}

#[test]
fn a_submission_of_another_tenant_is_found_by_nothing() {
    in_usual_world(|world: World| async move {
        let outcome = world.verdict("globex", "secret-post", "synthetic", json!({})).await;
        let ann = world.browser("ann", "reviewer-acme");
        for q in ["secret-post", "secret*", &outcome.0.to_string(), "globex/secret-post.png"] {
            let found = ann.get(&format!("/search?q={q}")).await;
            assert!(found.text().contains("Nothing found"), "{q}: {}", found.text());
        }
        assert_eq!(ann.get("/history?tenant=globex&submission=secret-post").await.status, StatusCode::NOT_FOUND);
        assert_eq!(ann.get("/numbers?tenant=globex").await.status, StatusCode::NOT_FOUND);
        let own = world.browser("gil", "reviewer-globex").get("/search?q=secret-post").await;
        assert!(own.text().contains("1 found"), "{}", own.text());
    });
}
