//! The life of a vote.

use axum::http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::support::{World, in_usual_world};

const REAL: [(&str, &str); 2] = [("answer", "real"), ("ground", "known_source")];

#[test]
fn a_vote_is_pending_then_undone_then_cast_again_and_counted_as_one_label() {
    in_usual_world(|world: World| async move {
        world.items("acme", &["a"]).await;
        let ann = world.browser("ann", "reviewer-acme");
        let page = ann.next().await.expect("one item waits");
        assert_eq!(page.status, StatusCode::OK);
        let (item, lease, vote) = (page.item(), page.lease().unwrap(), page.vote());
        let to_vote = format!("/items/{item}/vote");
        let fields = |vote: &str| -> Vec<(String, String)> {
            let own = [("lease", lease.as_str()), ("vote", vote)];
            own.iter().chain(&REAL).map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let cast = async |vote: &str| {
            let fields = fields(vote);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            ann.script(&to_vote, &fields).await
        };
        let answered = cast(&vote).await;
        assert_eq!((answered.status, answered.json()), (StatusCode::OK, json!({"vote": vote})));
        // The same once more: the same answer, and nothing new.
        assert_eq!(cast(&vote).await.json(), json!({"vote": vote}));
        assert_eq!(world.count("SELECT count(*) FROM reviews").await, 1);
        // It is offered to be undone, and nothing has left.
        let start = ann.get("/").await.text();
        assert!(start.contains(&format!("/votes/{vote}/undo")), "{start}");
        assert_eq!(world.reviews.count_votes().await.unwrap().counted, 0);
        assert_eq!(world.count("SELECT count(*) FROM labels").await, 0);

        let undone = ann.script(&format!("/votes/{vote}/undo"), &[]).await;
        assert_eq!(undone.status, StatusCode::OK, "{}", undone.text());
        let fresh = undone.json()["vote"].as_str().unwrap().to_string();
        assert_ne!(fresh, vote);
        let answered = cast(&fresh).await;
        assert_eq!(answered.status, StatusCode::OK, "the same lease holds: {}", answered.text());
        let counted = world.count_votes().await;
        assert_eq!((counted.counted, counted.labels), (1, 1));
        assert_eq!(world.count_votes().await.counted, 0);
        assert_eq!(world.count("SELECT count(*) FROM labels WHERE origin = 'real'").await, 1);

        let late = ann.script(&format!("/votes/{fresh}/undo"), &[]).await;
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert!(late.json()["title"].as_str().unwrap().contains("too late"), "{}", late.text());
        let others = world.browser("bo", "reviewer-acme").script(&format!("/votes/{fresh}/undo"), &[]).await;
        assert_eq!(others.status, StatusCode::NOT_FOUND);
        let log = "SELECT count(*) FROM audit_log WHERE what IN ('saw', 'voted', 'undid') AND submission_id = 'a'";
        assert!(world.count(log).await >= 4);
    });
}

#[test]
fn a_form_that_lacks_something_is_shown_again_and_a_forged_one_is_refused() {
    in_usual_world(|world: World| async move {
        world.items("acme", &["a", "b"]).await;
        let ann = world.browser("ann", "reviewer-acme");
        let page = ann.next().await.unwrap();
        let (item, lease, vote) = (page.item(), page.lease().unwrap(), page.vote());
        let to_vote = format!("/items/{item}/vote");
        let own = [("lease", lease.as_str()), ("vote", vote.as_str())];
        let with = |more: &[(&'static str, &'static str)]| [&own[..], more].concat();
        let again = ann.post(&to_vote, &with(&[("answer", "synthetic"), ("comment", "<b>six</b>")])).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        let text = again.text();
        assert!(text.contains("Choose the ground") && text.contains("&lt;b&gt;six"), "{text}");
        assert_eq!(again.lease().as_deref(), Some(lease.as_str()));
        assert_eq!(ann.script(&to_vote, &with(&[])).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(ann.script(&to_vote, &[("lease", "7"), ("vote", "8")]).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(ann.script("/items/7/vote", &with(&REAL)).await.status, StatusCode::NOT_FOUND);
        let forged = Uuid::new_v4().to_string();
        let refused =
            ann.script(&to_vote, &[&[("lease", forged.as_str()), ("vote", vote.as_str())], &REAL[..]].concat()).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
        let bo = world.browser("bo", "reviewer-acme");
        assert_eq!(bo.script(&to_vote, &with(&REAL)).await.status, StatusCode::CONFLICT, "somebody else's lease");
        assert_eq!(world.count("SELECT count(*) FROM reviews").await, 0);
        // A form without the script goes on to the next image.
        let on = ann.post(&to_vote, &with(&REAL)).await;
        assert_eq!(on.status, StatusCode::SEE_OTHER);
        assert!(on.location().starts_with("/items/") && !on.location().contains(&item), "{}", on.location());
    });
}

#[test]
fn two_persons_never_have_one_item() {
    in_usual_world(|world: World| async move {
        let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
        world.items("acme", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let people = ["ann", "bo", "chidi"].map(|name| world.browser(name, "reviewer-acme"));
        let mut asked = tokio::task::JoinSet::new();
        for person in people.iter().flat_map(|person| [person.clone(), person.clone(), person.clone()]) {
            asked.spawn(async move { person.script("/review/ahead", &[]).await });
        }
        let mut claimed = Vec::new();
        while let Some(answered) = asked.join_next().await {
            let answered = answered.unwrap();
            assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
            claimed.push(answered.item());
        }
        claimed.sort();
        let all = claimed.len();
        claimed.dedup();
        assert_eq!((all, claimed.len()), (9, 9));
        assert_eq!(world.count("SELECT count(*) FROM audit_log WHERE what = 'sent'").await, 9);
    });
}

#[test]
fn an_item_is_claimed_once_and_is_skipped_held_closed_and_released() {
    in_usual_world(|world: World| async move {
        let items = world.items("acme", &["a", "b", "c"]).await;
        let (ann, bo) = (world.browser("ann", "reviewer-acme"), world.browser("bo", "reviewer-acme"));
        let claim = |item| format!("/items/{item}/claim");
        assert_eq!(ann.post(&claim(items[0]), &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(bo.post(&claim(items[0]), &[]).await.status, StatusCode::CONFLICT);
        assert_eq!(bo.get(&format!("/items/{}", items[0])).await.lease(), None);
        let lease = ann.get(&format!("/items/{}", items[0])).await.lease().unwrap();
        let unknown = Uuid::new_v4().to_string();
        let renewed = ann.script("/review/leases", &[("lease", &lease), ("lease", &unknown)]).await;
        assert_eq!(renewed.json(), json!({"lost": [unknown]}));
        let held =
            ann.script(&format!("/items/{}/hold", items[0]), &[("lease", &lease), ("comment", "tomorrow")]).await;
        assert_eq!((held.status, held.json()), (StatusCode::OK, json!({})));
        assert!(ann.get("/").await.text().contains("tomorrow"));
        let skipped = ann.post(&format!("/items/{}/skip", items[0]), &[("lease", &lease)]).await;
        assert_eq!(skipped.status, StatusCode::SEE_OTHER, "{}", skipped.text());
        assert_eq!(ann.post(&claim(items[0]), &[]).await.status, StatusCode::CONFLICT, "not to the same person again");
        assert_eq!(bo.post(&claim(items[0]), &[]).await.status, StatusCode::SEE_OTHER);
        let lease = bo.get(&format!("/items/{}", items[0])).await.lease().unwrap();
        let close = format!("/items/{}/close", items[0]);
        assert_eq!(
            bo.script(&close, &[("lease", &lease), ("why", "bored")]).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        assert_eq!(bo.script(&close, &[("lease", &lease), ("why", "missing")]).await.status, StatusCode::OK);
        assert_eq!(world.count("SELECT count(*) FROM review_items WHERE closed_why = 'missing'").await, 1);
        let ahead = bo.script("/review/ahead", &[]).await;
        assert_eq!(ahead.status, StatusCode::OK);
        let lease = ahead.lease().unwrap();
        assert_eq!(bo.post("/review/release", &[("lease", &lease)]).await.status, StatusCode::NO_CONTENT);
        assert_eq!(world.count("SELECT count(*) FROM review_items WHERE holder = 'proxy:bo'").await, 0);
    });
}

#[test]
fn a_lead_gives_an_item_to_somebody() {
    in_usual_world(|world: World| async move {
        let items = world.items("acme", &["a"]).await;
        let (lead, bo) = (world.browser("lea", "lead-acme"), world.browser("bo", "reviewer-acme"));
        bo.get("/").await;
        let page = lead.next().await.unwrap();
        let lease = page.lease().unwrap();
        assert!(page.text().contains(">bo</option>"), "{}", page.text());
        assert!(!page.text().contains("proxy:bo"), "who they are stays inside");
        let to = format!("/items/{}/assign", items[0]);
        assert_eq!(lead.script(&to, &[("lease", &lease)]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            lead.script(&to, &[("lease", &lease), ("assignee", "r-0")]).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        let text = page.text();
        let before = text.find(">bo</option>").unwrap();
        let pseudonym = text[..before].rsplit("value=\"").next().unwrap().trim_end_matches('"').to_string();
        let given =
            lead.script(&to, &[("lease", &lease), ("assignee", &pseudonym), ("comment", "you know ferries")]).await;
        assert_eq!(given.status, StatusCode::OK, "{}", given.text());
        assert!(bo.get("/").await.text().contains("you know ferries"));
        assert_eq!(bo.next().await.unwrap().item(), items[0].to_string());
    });
}
