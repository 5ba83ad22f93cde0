//! What a blind review hides is sent nowhere.

use access::Mode;
use axum::http::StatusCode;
use review::ReviewSettings;

use crate::support::{Answered, World, in_world, usual};

/// What only the model and others know: none of it may be in an answer.
const HIDDEN: [&str; 6] = ["0.594", "0.593", "59375", "2026.11.77", "uncertain verdict", "probability of synthetic"];

fn says_nothing(answered: &Answered, what: &str) {
    let headers = format!("{:?}", answered.headers);
    for hidden in HIDDEN {
        assert!(!answered.text().contains(hidden) && !headers.contains(hidden), "{what} says {hidden}");
    }
}

#[test]
fn an_item_of_the_audit_says_nothing_until_the_vote_is_counted() {
    let settings = ReviewSettings { audit_share: 1.0, ..usual() };
    in_world(Mode::Configured, settings, |world: World| async move {
        let items = world.items("acme", &["a"]).await;
        let ann = world.browser("ann", "reviewer-acme");
        let page = ann.next().await.unwrap();
        assert!(page.text().contains("Blind review"), "{}", page.text());
        says_nothing(&page, "the page");
        let item = items[0];
        let fit = ann.get(&format!("/pictures/{item}/fit")).await;
        assert_eq!(fit.status, StatusCode::OK);
        assert!(!format!("{:?}", fit.headers).contains("2026.11.77"));
        let history = ann.get("/history?tenant=acme&submission=a").await;
        says_nothing(&history, "the history");
        let outcome = page.value("<dt>Outcome</dt><dd>").unwrap();
        let outcome = outcome.split('<').next().unwrap().to_string();
        says_nothing(&ann.get(&format!("/outcomes/{outcome}")).await, "the outcome");
        says_nothing(&ann.get("/search?q=a").await, "the search");

        let (lease, vote) = (page.lease().unwrap(), page.vote());
        let fields = [("lease", lease.as_str()), ("vote", &vote), ("answer", "real"), ("ground", "by_eye")];
        let cast = ann.script(&format!("/items/{item}/vote"), &fields).await;
        assert_eq!(cast.status, StatusCode::OK, "{}", cast.text());
        says_nothing(&cast, "the answer to the vote");
        says_nothing(&ann.get(&format!("/items/{item}")).await, "the page while the vote can be undone");
        world.count_votes().await;
        assert_eq!(world.count("SELECT count(*) FROM reviews WHERE blind").await, 1);
        let open = ann.get(&format!("/items/{item}")).await.text();
        assert!(open.contains("2026.11.77"), "{open}");
    });
}

#[test]
fn a_second_review_does_not_see_the_first() {
    let settings = ReviewSettings { double_share: 1.0, ..usual() };
    in_world(Mode::Configured, settings, |world: World| async move {
        let items = world.items("acme", &["a"]).await;
        let (ann, bo) = (world.browser("ann", "reviewer-acme"), world.browser("bo", "reviewer-acme"));
        let page = ann.next().await.unwrap();
        let (lease, vote) = (page.lease().unwrap(), page.vote());
        let fields = [
            ("lease", lease.as_str()),
            ("vote", &vote),
            ("answer", "synthetic"),
            ("ground", "visible_artefact"),
            ("comment", "six fingers"),
        ];
        let to = format!("/items/{}/vote", items[0]);
        assert_eq!(ann.script(&to, &fields).await.status, StatusCode::OK);
        world.count_votes().await;
        let second = bo.next().await.expect("another person is wanted");
        says_nothing(&second, "the second review");
        assert!(!second.text().contains("six fingers"));
        assert!(ann.next().await.is_none(), "nobody votes twice");
    });
}
