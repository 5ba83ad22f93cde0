//! Headers, origins, names, sizes, and trouble.

use access::Mode;
use axum::http::{StatusCode, header};

use crate::support::{HERE, World, in_usual_world, in_world, usual};

#[test]
fn every_answer_has_the_headers() {
    in_usual_world(|world: World| async move {
        let items = world.items("acme", &["a"]).await;
        let ann = world.browser("ann", "reviewer-acme");
        let someone = world.browser("", "");
        let answers = [
            ann.get("/").await,
            ann.get(&format!("/pictures/{}/fit", items[0])).await,
            ann.get("/none").await,
            ann.get("/audit").await,
            ann.script("/review/leases", &[("lease", "x")]).await,
            ann.send(ann.request("DELETE", "/").header("sec-fetch-site", "same-origin"), "").await,
            someone.get("/").await,
            someone.get("/login").await,
            someone.get("/static/console.js").await,
        ];
        for answered in &answers {
            let value = |name: &str| answered.headers.get(name).map(|value| value.to_str().unwrap().to_string());
            let policy = value("content-security-policy").unwrap();
            assert!(
                policy.starts_with("default-src 'none'; img-src 'self';") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert!(policy.contains("; require-trusted-types-for 'script'; trusted-types 'none'"), "{policy}");
            assert_eq!(value("referrer-policy").unwrap(), "same-origin");
            assert_eq!(value("x-content-type-options").unwrap(), "nosniff");
            assert_eq!(value("cross-origin-opener-policy").unwrap(), "same-origin");
            assert_eq!(value("cross-origin-resource-policy").unwrap(), "same-origin");
        }
        let (files, others) = answers.split_last().unwrap();
        assert!(others.iter().all(|answered| answered.headers[header::CACHE_CONTROL] == "no-store"));
        assert_eq!(files.headers[header::CACHE_CONTROL], "no-cache");
        let etag = files.headers[header::ETAG].to_str().unwrap();
        let again = someone.request("GET", "/static/console.js").header(header::IF_NONE_MATCH, etag);
        assert_eq!(someone.send(again, "").await.status, StatusCode::NOT_MODIFIED);
        // Refusals have words.
        assert!(answers[2].text().contains("There is no such page"), "{}", answers[2].text());
        assert_eq!(answers[5].status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(answers[5].text().contains("can’t be done here"));
        assert_eq!(someone.get("/items/7?a=b").await.location(), "/login?next=%2Fitems%2F7%3Fa%3Db");
    });
}

#[test]
fn what_another_site_sends_changes_nothing() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("ann", "reviewer-acme");
        let post = |site: Option<&str>, origin: Option<&str>| {
            let mut request = ann.request("POST", "/preferences");
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            ann.send(request, "blur=on")
        };
        let here = format!("http://{HERE}");
        for (site, origin) in [
            (Some("cross-site"), Some("https://evil.example")),
            (Some("same-site"), Some("http://127.0.0.1:1")),
            (None, Some("https://evil.example")),
            (None, Some("null")),
            (Some("cross-site"), None),
            (None, None),
        ] {
            let answered = post(site, origin).await;
            assert_eq!(answered.status, StatusCode::FORBIDDEN, "{site:?} {origin:?}");
            assert!(answered.text().contains("Open the console by its address"), "{}", answered.text());
        }
        assert_eq!(world.count("SELECT count(*) FROM people WHERE prefs::text <> '{}'").await, 0);
        for (site, origin) in [(Some("same-origin"), Some(here.as_str())), (None, Some(&here)), (Some("none"), None)] {
            assert_eq!(post(site, origin).await.status, StatusCode::SEE_OTHER, "{site:?} {origin:?}");
        }
        assert!(ann.get("/help").await.text().contains("name=\"blur\" value=\"on\" checked"));
    });
}

#[test]
fn a_request_under_another_name_is_refused() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("ann", "reviewer-acme");
        for host in ["evil.example", "evil.example:9466", "10.0.0.1:9466"] {
            let mut request = ann.request("GET", "/");
            request.headers_mut().unwrap().insert(header::HOST, host.parse().unwrap());
            let answered = ann.send(request, "").await;
            assert_eq!(answered.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
    });
}

#[test]
fn what_is_too_long_or_no_form_is_refused() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("ann", "reviewer-acme");
        let long = "x".repeat(4 << 20);
        let answered = ann.script("/review/leases", &[("lease", &long)]).await;
        assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(answered.json()["mend"].as_str().unwrap().contains("Shorten"));
        let json = ann.request("POST", "/preferences").header("sec-fetch-site", "same-origin");
        let json = json.header(header::CONTENT_TYPE, "application/json");
        assert_eq!(ann.send(json, "{}").await.status, StatusCode::BAD_REQUEST);
        assert_eq!(ann.get("/search?q=%ff").await.status, StatusCode::BAD_REQUEST);
        assert_eq!(ann.get("/search?q=a%00b").await.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn a_forged_header_and_a_token_that_is_none_open_nothing() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("", "");
        let forged = ann.request("GET", "/").header("x-user", "root").header("x-groups", "admin-all");
        let answered = ann.send(forged, "").await;
        assert!(matches!(answered.status, StatusCode::UNAUTHORIZED | StatusCode::SEE_OTHER), "{}", answered.status);
        let token = ann.request("GET", "/").header(header::AUTHORIZATION, "Bearer assay_0123");
        assert_eq!(ann.send(token, "").await.status, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn a_token_does_what_its_role_may_without_an_origin_and_no_longer_once_revoked() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("ann", "reviewer-acme");
        let made = ann.post("/tokens", &[("name", "<i>script</i>"), ("role", "reviewer"), ("days", "3")]).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text());
        let secret = made.value("readonly value=\"").unwrap();
        assert!(!ann.get("/tokens").await.text().contains(&secret), "it is shown once");
        assert_eq!(
            ann.post("/tokens", &[("name", "x"), ("role", "admin"), ("days", "3")]).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        let script = world.browser("", "");
        let asked = |path: &'static str| {
            let request = script.request("POST", path).header(header::AUTHORIZATION, format!("Bearer {secret}"));
            script.send(request.header(header::ACCEPT, "application/json"), "")
        };
        assert_eq!(asked("/review/leases").await.status, StatusCode::OK);
        let text = ann.get("/tokens").await.text();
        let id = text.split("/tokens/").nth(1).unwrap().split('/').next().unwrap().to_string();
        assert_eq!(
            world.browser("bo", "reviewer-acme").post(&format!("/tokens/{id}/revoke"), &[]).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(ann.post(&format!("/tokens/{id}/revoke"), &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(asked("/review/leases").await.status, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn a_trial_is_on_loopback_alone_and_needs_no_signing_in() {
    in_world(Mode::Trial { name: "Ann".into() }, usual(), |world: World| async move {
        world.items("acme", &["a"]).await;
        let ann = world.browser("", "");
        let page = ann.next().await.unwrap();
        assert!(page.text().contains("trial, no sign-in"), "{}", page.text());
    });
}

#[test]
fn a_database_that_is_away_is_told_as_such() {
    in_usual_world(|world: World| async move {
        let ann = world.browser("ann", "reviewer-acme");
        ann.get("/").await;
        world.execute("ALTER TABLE review_items RENAME TO away").await;
        let answered = ann.get("/").await;
        assert!(answered.status.is_server_error());
        assert!(!answered.text().contains("review_items"), "{}", answered.text());
        assert!(answered.text().contains("Number of this request"));
    });
}
