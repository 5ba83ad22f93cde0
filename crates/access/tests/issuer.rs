//! Signing in at a real issuer.

#![allow(clippy::large_futures, reason = "a test has the stack to itself")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in its helpers too")]

mod support;

use access::{AccessError, AuditFilter, Gate, Kind, Mode, NewToken};
use database::Database;
use http::HeaderMap;
use review::{Role, RoleBinding, Tenants};
use support::{Browser, HERE, Issuer, count, database_url, execute, in_own_schema, secret_file, settings};

const SECRET: &str = "not much of a secret";

/// Runs a test with a console at an issuer.
async fn at_an_issuer<Test>(test: impl FnOnce(Database, Gate, String) -> Test + Send + 'static)
where
    Test: Future<Output = ()> + Send + 'static,
{
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let issuer = Issuer::start();
        let file = secret_file(SECRET);
        let gate = Gate::open(&settings(&issuer.address, &file), &database, Mode::Configured).await.unwrap();
        std::fs::remove_file(file).unwrap();
        test(database, gate, issuer.address.clone()).await;
        drop(issuer);
    })
    .await;
}

fn binding(role: Role, tenants: &[&str]) -> RoleBinding {
    let tenants = match tenants {
        ["*"] => Tenants::All,
        some => Tenants::These(some.iter().map(ToString::to_string).collect()),
    };
    RoleBinding { role, tenants }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_gives_exactly_the_grants_of_the_groups() {
    at_an_issuer(|database, gate, issuer| async move {
        assert!(gate.sign_in_is_possible() && gate.issuer_name() == Some("127.0.0.1"));
        for (hint, name, grants) in [
            ("ann", "Ann Example", vec![binding(Role::Reviewer, &["acme"])]),
            ("ben", "Ben Example", vec![binding(Role::Viewer, &["beta"]), binding(Role::Lead, &["acme"])]),
            ("root", "root", vec![binding(Role::Admin, &["*"])]),
            ("nobody", "Nobody", vec![]),
            ("groupless", "Groupless", vec![]),
        ] {
            let mut browser = Browser::new();
            let (access, next) = browser.sign_in(&gate, hint, "/items?a=b").await;
            assert_eq!((access.kind, access.name.as_str(), next.as_str()), (Kind::Session, name, "/items?a=b"));
            assert_eq!(access.person, format!("{issuer} {hint}"));
            assert_eq!(access.grants, grants, "{hint}");
            let digits = access.pseudonym.strip_prefix("r-").unwrap();
            assert!(digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits}");
            let known = gate.access(&browser.headers(), HERE).await.unwrap().unwrap();
            assert_eq!(known, access);
        }
        assert_eq!(count(&database, "SELECT count(*) FROM sign_ins").await, 0);
        assert_eq!(count(&database, "SELECT count(*) FROM audit_log WHERE what = 'signed_in'").await, 5);
        assert_eq!(count(&database, "SELECT count(*) FROM people").await, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_stand_in_the_token_itself_are_read_there() {
    at_an_issuer(|_, gate, _| async move {
        let mut browser = Browser::new();
        let (mut to, cookie) = gate.begin_sign_in("").await.unwrap();
        browser.take(&cookie);
        to.query_pairs_mut().append_pair("claims", r#"{"id_token":{"groups":null,"name":null}}"#);
        let query = browser.go(to, "ann").await;
        let (access, _, next) = gate.finish_sign_in(&query, &browser.headers()).await.unwrap();
        assert_eq!((access.name.as_str(), next.as_str()), ("Ann Example", "/"));
        assert_eq!(access.grants, vec![binding(Role::Reviewer, &["acme"])]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_begun_here_is_refused() {
    at_an_issuer(|database, gate, _| async move {
        let mut browser = Browser::new();
        let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
        browser.take(&cookie);
        let query = browser.go(to, "root").await;
        // Another state; none; another browser; one that has begun its own.
        let mut other = Browser::new();
        other.take(&gate.begin_sign_in("/").await.unwrap().1);
        let forged = query.replace("state=", "state=x");
        for (query, headers) in [
            (forged.as_str(), browser.headers()),
            ("", browser.headers()),
            ("code=abc", browser.headers()),
            (&query, HeaderMap::new()),
            (&query, other.headers()),
        ] {
            let refused = gate.finish_sign_in(query, &headers).await;
            assert!(matches!(refused, Err(AccessError::UnknownSignIn)), "{query}");
        }
        assert_eq!(count(&database, "SELECT count(*) FROM accesses").await, 0);
        assert!(gate.finish_sign_in(&query, &browser.headers()).await.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_used_once() {
    at_an_issuer(|database, gate, _| async move {
        let mut browser = Browser::new();
        let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
        browser.take(&cookie);
        let query = browser.go(to, "ann").await;
        gate.finish_sign_in(&query, &browser.headers()).await.unwrap();
        let again = gate.finish_sign_in(&query, &browser.headers()).await;
        assert!(matches!(again, Err(AccessError::UnknownSignIn)));
        // Its code under a state of another sign-in.
        let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
        browser.take(&cookie);
        let of = |query: &str, field: &str| {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.filter(|(name, _)| name == field).map(|(_, value)| value.into_owned()).next().unwrap()
        };
        let state = of(to.query().unwrap(), "state");
        let mixed = format!("code={}&state={state}", of(&query, "code"));
        let error = gate.finish_sign_in(&mixed, &browser.headers()).await.unwrap_err();
        assert!(matches!(error, AccessError::NotLetIn(_)), "{error}");
        assert_eq!(count(&database, "SELECT count(*) FROM accesses WHERE kind = 'session'").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_sign_in_is_not_trusted() {
    at_an_issuer(|database, gate, _| async move {
        for (changed, said) in [
            ("nonce = 'another'", Some("nonce")),
            ("verifier = repeat('a', 43)", Some("invalid_grant")),
            ("next = next", None),
        ] {
            let mut browser = Browser::new();
            let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
            browser.take(&cookie);
            let query = browser.go(to, "root").await;
            execute(&database, &format!("UPDATE sign_ins SET {changed}")).await;
            let refused = gate.finish_sign_in(&query, &browser.headers()).await.err();
            assert_eq!(refused.is_some(), said.is_some(), "{changed}");
            if let Some((error, said)) = refused.zip(said) {
                assert_eq!(error.status(), http::StatusCode::FORBIDDEN, "{error}");
                assert!(error.to_string().contains(said), "{error}");
            }
        }
        assert_eq!(count(&database, "SELECT count(*) FROM accesses").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_took_too_long_or_was_refused_gives_no_session() {
    at_an_issuer(|database, gate, _| async move {
        let mut browser = Browser::new();
        let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
        browser.take(&cookie);
        let query = browser.go(to, "ann").await;
        execute(&database, "UPDATE sign_ins SET expires_at = now()").await;
        let late = gate.finish_sign_in(&query, &browser.headers()).await;
        assert!(matches!(late, Err(AccessError::UnknownSignIn)));
        let mut browser = Browser::new();
        let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
        browser.take(&cookie);
        let query = browser.go(to, "stranger").await;
        let error = gate.finish_sign_in(&query, &browser.headers()).await.unwrap_err();
        assert!(matches!(&error, AccessError::NotLetIn(why) if why.contains("nobody of that name")), "{error}");
        // From another issuer (RFC 9207).
        let (to, cookie) = gate.begin_sign_in("/").await.unwrap();
        browser.take(&cookie);
        let query = browser.go(to, "ann").await;
        assert!(query.contains("iss="), "{query}");
        let query = query.replace("iss=http", "iss=https");
        assert!(matches!(gate.finish_sign_in(&query, &browser.headers()).await, Err(AccessError::Untrusted(_))));
        assert_eq!(count(&database, "SELECT count(*) FROM accesses").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_next_is_refused_before_anybody_is_sent_anywhere() {
    at_an_issuer(|database, gate, _| async move {
        for next in ["//evil.example", "/\\evil.example", "https://evil.example/", "/\t/evil.example"] {
            assert!(matches!(gate.begin_sign_in(next).await, Err(AccessError::Next)), "{next}");
        }
        assert_eq!(count(&database, "SELECT count(*) FROM sign_ins").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_opens_nothing() {
    at_an_issuer(|database, gate, _| async move {
        for (how, column) in
            [("expired", "expires_at = now()"), ("idle", "idle_until = now()"), ("revoked", "revoked_at = now()")]
        {
            let mut browser = Browser::new();
            let (access, _) = browser.sign_in(&gate, "ann", "/").await;
            let role = format!("SELECT role_in('{}', 'acme')::bigint", access.id);
            assert_eq!(count(&database, &role).await, 2);
            execute(&database, &format!("UPDATE accesses SET {column} WHERE access_id = '{}'", access.id)).await;
            assert_eq!(gate.access(&browser.headers(), HERE).await.unwrap(), None, "{how}");
            assert_eq!(count(&database, &role).await, 0, "{how}");
            let prefs = gate.set_prefs(&access, &serde_json::Map::new()).await;
            assert!(matches!(prefs, Err(AccessError::Ended)), "{how}");
            let new = NewToken { name: "late".into(), role: Role::Viewer, days: 1 };
            assert!(matches!(gate.make_token(&access, &new).await, Err(AccessError::Ended)), "{how}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_and_signing_in_again_the_one_before() {
    at_an_issuer(|database, gate, _| async move {
        let mut browser = Browser::new();
        browser.sign_in(&gate, "ann", "/").await;
        let before = browser.headers();
        browser.forget_the_issuer();
        let (access, _) = browser.sign_in(&gate, "root", "/").await;
        assert_eq!(gate.access(&before, HERE).await.unwrap(), None);
        let cookie = gate.sign_out(&access).await.unwrap();
        assert!(cookie.contains("Max-Age=0"), "{cookie}");
        assert_eq!(gate.access(&browser.headers(), HERE).await.unwrap(), None);
        let (admin, _) = browser.sign_in(&gate, "root", "/").await;
        let page = gate.audit_log(&admin, &AuditFilter::default(), access::audit::From::Newest, 10).await.unwrap();
        let said: Vec<_> = page.entries.iter().map(|entry| entry.what.as_str()).collect();
        assert_eq!(said, ["signed_in", "signed_out", "signed_in", "signed_in"]);
        assert_eq!(count(&database, "SELECT count(*) FROM accesses_in_force").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_no_more_than_its_owners_latest_sign_in() {
    at_an_issuer(|database, gate, issuer| async move {
        let (access, _) = Browser::new().sign_in(&gate, "ben", "/").await;
        let new = NewToken { name: "nightly".into(), role: Role::Lead, days: 30 };
        let (token, secret) = gate.make_token(&access, &new).await.unwrap();
        let bearer = HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())]);
        let by_token = gate.access(&bearer, HERE).await.unwrap().unwrap();
        assert_eq!((by_token.id, &by_token.grants), (token.id, &access.grants));
        // Ben is no lead any more.
        let file = secret_file(SECRET);
        let mut settings = settings(&issuer, &file);
        settings.roles[1].role = Role::Reviewer;
        let gate = Gate::open(&settings, &database, Mode::Configured).await.unwrap();
        std::fs::remove_file(file).unwrap();
        Browser::new().sign_in(&gate, "ben", "/").await;
        let by_token = gate.access(&bearer, HERE).await.unwrap().unwrap();
        assert_eq!(by_token.grants, vec![binding(Role::Viewer, &["beta"])]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_starts_while_the_issuer_is_away_and_says_so() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = Gate::open(&settings("http://127.0.0.1:9", ""), &database, Mode::Configured).await.unwrap();
        assert!(gate.sign_in_is_possible());
        let error = gate.begin_sign_in("/").await.unwrap_err();
        assert_eq!(error.status(), http::StatusCode::SERVICE_UNAVAILABLE);
        assert!(error.to_string().contains("http://127.0.0.1:9"), "{error}");
        assert_eq!(gate.access(&HeaderMap::new(), HERE).await.unwrap(), None);
    })
    .await;
}
