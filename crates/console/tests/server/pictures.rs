//! The judged bytes, and nothing else.

use axum::http::{StatusCode, header};
use objects::memory::Outage;
use serde_json::json;

use crate::support::{World, in_usual_world, png};

#[test]
fn the_judged_picture_and_its_crop_are_written_anew() {
    in_usual_world(|world: World| async move {
        let items = world.items("acme", &["a"]).await;
        let ann = world.browser("ann", "viewer-acme");
        for part in ["fit", "actual", "crops/0"] {
            let answered = ann.get(&format!("/pictures/{}/{part}", items[0])).await;
            assert_eq!(answered.status, StatusCode::OK, "{part}: {}", answered.text());
            let kind = answered.headers[header::CONTENT_TYPE].to_str().unwrap();
            assert!(["image/png", "image/jpeg"].contains(&kind), "{kind}");
            assert_ne!(answered.body, png("a"), "not the object's own bytes");
        }
        for none in ["crops/1", "crops/256", "crops/x", "whole"] {
            assert_eq!(
                ann.get(&format!("/pictures/{}/{none}", items[0])).await.status,
                StatusCode::NOT_FOUND,
                "{none}"
            );
        }
        let other = world.browser("bo", "viewer-globex");
        assert_eq!(other.get(&format!("/pictures/{}/fit", items[0])).await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn other_bytes_are_never_shown_as_the_judged_ones() {
    in_usual_world(|world: World| async move {
        let items = world.items("acme", &["a"]).await;
        world.objects.put("uploads", "acme/a.png", png("another"));
        let lead = world.browser("lea", "lead-acme");
        let page = lead.next().await.unwrap();
        assert_eq!(page.status, StatusCode::OK);
        let text = page.text();
        assert!(text.contains("The object has changed since it was judged") && !text.contains("<img"), "{text}");
        for part in ["fit", "actual", "crops/0"] {
            let answered = lead.get(&format!("/pictures/{}/{part}", items[0])).await;
            assert_eq!(answered.status, StatusCode::CONFLICT, "{part}");
            assert!(answered.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        }
        // It is dealt with all the same: the next generation is asked for.
        let lease = page.lease().unwrap();
        let asked = lead.script(&format!("/items/{}/rejudge", items[0]), &[("lease", &lease)]).await;
        assert_eq!((asked.status, asked.json()), (StatusCode::OK, json!({})));
        assert_eq!(world.count("SELECT count(*) FROM review_outbox WHERE kind = 'rejudge'").await, 1);
    });
}

#[test]
fn an_image_that_is_gone_damaged_or_out_of_reach_is_told_apart() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("ann", "reviewer-acme");
        let at = |item| format!("/items/{item}");
        let items = world.items("acme", &["a", "b"]).await;
        world.objects.create_bucket("uploads");
        let gone = ann.get(&at(items[0])).await;
        assert!(gone.text().contains("The image is no longer there"), "{}", gone.text());
        world.objects.set_outage(Some(Outage::Refusing));
        let away = ann.get(&at(items[1])).await;
        assert!(away.text().contains("The object store did not answer"), "{}", away.text());
        let picture = ann.get(&format!("/pictures/{}/fit", items[1])).await;
        assert_eq!(picture.status, StatusCode::SERVICE_UNAVAILABLE);
        world.objects.set_outage(None);
    });
}
