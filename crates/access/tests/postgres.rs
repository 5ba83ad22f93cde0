//! Tokens, proxies, trials, commands and the log, on a real PostgreSQL.

#![allow(clippy::large_futures, reason = "a test has the stack to itself")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking, in its helpers too")]

mod support;

use std::net::IpAddr;

use access::audit::From;
use access::{Access, AccessError, AuditFilter, Entry, Gate, Kind, Mode, NewToken, Proxy, Settings, TokenState};
use database::Database;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use review::{Action, Role, Scope};
use support::{HERE, count, database_url, execute, in_own_schema, rules, secret_file, trial};
use tokio::sync::mpsc;
use uuid::Uuid;

const SECRET: &str = "0123456789abcdef";

fn bearer(secret: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())])
}

/// A console behind a proxy on 10.0.0.0/8.
async fn behind_a_proxy(database: &Database) -> Gate {
    let file = secret_file(SECRET);
    let proxy = Proxy {
        from: vec!["10.0.0.0/8".parse().unwrap()],
        secret_file: file.clone(),
        secret_header: "X-Secret".into(),
        user_header: "X-User".into(),
        groups_header: "X-Groups".into(),
    };
    let settings = Settings { proxy, roles: rules(), ..Settings::default() };
    let gate = Gate::open(&settings, database, Mode::Configured).await.unwrap();
    std::fs::remove_file(file).unwrap();
    gate
}

fn sent(user: &str, groups: &str) -> HeaderMap {
    let pairs = [("x-user", user), ("x-groups", groups), ("x-secret", SECRET)];
    pairs.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

async fn by_proxy(gate: &Gate, user: &str, groups: &str) -> Access {
    gate.access(&sent(user, groups), PROXY).await.unwrap().unwrap()
}

fn new(name: &str, role: Role) -> NewToken {
    NewToken { name: name.into(), role, days: 30 }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_a_role_is_denied() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let (_, access) = trial(&database, "ann").await;
        for denied in [
            format!("may('{}', 1::smallint, 'acme')", Uuid::new_v4()),
            "may(NULL, 1::smallint, 'acme')".into(),
            format!("may('{}', 0::smallint, 'acme')", access.id),
            format!("may('{}', NULL, 'acme')", access.id),
            format!("may('{}', 5::smallint, 'acme')", access.id),
        ] {
            assert_eq!(count(&database, &format!("SELECT {denied}::int::bigint")).await, 0, "{denied}");
        }
        assert_eq!(count(&database, &format!("SELECT may('{}', 4::smallint, NULL)::int::bigint", access.id)).await, 1);
        let none = format!("SELECT cardinality(tenants_of('{}', 1::smallint))::bigint", Uuid::new_v4());
        assert_eq!(count(&database, &none).await, 0);
        // Whatever stands in the caller's own path.
        let mut connection = database.connection().await.unwrap();
        let forged = sqlx::raw_sql("CREATE TEMP VIEW accesses_in_force AS SELECT gen_random_uuid() AS access_id")
            .execute(&mut *connection)
            .await;
        forged.unwrap();
        let sql = "SELECT role_in($1, 'acme')";
        let role: i16 = database::query_scalar(sql).bind(access.id).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(role, 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_until_it_is_revoked_or_expires() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = behind_a_proxy(&database).await;
        let ann = by_proxy(&gate, "ann", "moderators").await;
        let (token, secret) = gate.make_token(&ann, &new("nightly", Role::Reviewer)).await.unwrap();
        assert!(secret.starts_with("assay_") && secret.len() == 49, "{}", secret.len());
        let by_token = gate.access(&bearer(&secret), HERE).await.unwrap().unwrap();
        assert_eq!((by_token.kind, &by_token.person, &by_token.grants), (Kind::Token, &ann.person, &ann.grants));
        // A token makes no tokens, and its secret is nowhere.
        assert!(matches!(gate.make_token(&by_token, &new("more", Role::Viewer)).await, Err(AccessError::Kind(_))));
        let kept = format!("SELECT count(*) FROM accesses WHERE accesses::text LIKE '%{secret}%'");
        assert_eq!(count(&database, &kept).await, 0);
        gate.revoke_token(&ann, token.id).await.unwrap();
        assert!(matches!(gate.revoke_token(&ann, token.id).await, Err(AccessError::NoSuchToken)));
        assert!(matches!(gate.access(&bearer(&secret), HERE).await, Err(AccessError::TokenEnded(_))));
        let may = format!("SELECT may('{}', 1::smallint, 'acme')::int::bigint", token.id);
        assert_eq!(count(&database, &may).await, 0);
        let (second, secret) = gate.make_token(&ann, &new("second", Role::Viewer)).await.unwrap();
        assert_eq!(second.role, Some(Role::Viewer));
        execute(&database, &format!("UPDATE accesses SET expires_at = now() WHERE access_id = '{}'", second.id)).await;
        let error = gate.access(&bearer(&secret), HERE).await.unwrap_err();
        assert_eq!(error.status(), http::StatusCode::UNAUTHORIZED);
        let states: Vec<_> = gate.tokens(&ann).await.unwrap().into_iter().map(|token| token.state).collect();
        assert_eq!(states, [TokenState::Expired, TokenState::Revoked]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_tenant_opens_nothing() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = behind_a_proxy(&database).await;
        let ben = by_proxy(&gate, "ben", "leads,beta-viewers").await;
        // As a lead of acme and a viewer of beta, a reviewer's token reviews for acme and looks for beta.
        let (token, secret) = gate.make_token(&ben, &new("script", Role::Reviewer)).await.unwrap();
        let by_token = gate.access(&bearer(&secret), HERE).await.unwrap().unwrap();
        let roles = ["acme", "beta", "gamma"].map(|tenant| by_token.role_in(tenant));
        assert_eq!(roles, [Some(Role::Reviewer), Some(Role::Viewer), None]);
        assert!(by_token.may(Action::Vote, Scope::Tenant("gamma")).is_err());
        assert!(by_token.may(Action::SeeQueue, Scope::EveryTenant).is_err());
        for (tenant, level) in [("acme", 2), ("beta", 1), ("gamma", 0), ("*", 0)] {
            let role = format!("SELECT role_in('{}', '{tenant}')::bigint", token.id);
            assert_eq!(count(&database, &role).await, level, "{tenant}");
        }
        // Tokens of others are seen and ended by admins of all tenants alone.
        let ann = by_proxy(&gate, "ann", "moderators").await;
        assert!(gate.tokens(&ann).await.unwrap().is_empty());
        assert!(matches!(gate.revoke_token(&ann, token.id).await, Err(AccessError::NoSuchToken)));
        let root = by_proxy(&gate, "root", "admins").await;
        assert_eq!(gate.tokens(&root).await.unwrap()[0].owner.name, "ben");
        gate.revoke_token(&root, token.id).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_may_make_is_refused_with_words() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = behind_a_proxy(&database).await;
        let ann = by_proxy(&gate, "ann", "moderators").await;
        for (wanted, field) in [
            (new("", Role::Viewer), "name"),
            (new("a\nb", Role::Viewer), "name"),
            (new("a", Role::Lead), "role"),
            (NewToken { days: 0, ..new("a", Role::Viewer) }, "days"),
            (NewToken { days: 91, ..new("a", Role::Viewer) }, "days"),
        ] {
            let error = gate.make_token(&ann, &wanted).await.unwrap_err();
            assert!(matches!(error, AccessError::Invalid { field: named, .. } if named == field), "{wanted:?}");
        }
        let nobody = by_proxy(&gate, "nobody", "staff").await;
        assert!(matches!(gate.make_token(&nobody, &new("a", Role::Viewer)).await, Err(AccessError::Denied(_))));
        for wrong in ["Basic YTpi", "Bearer", "assay_", "Bearer a b"] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, wrong.parse().unwrap())]);
            let error = gate.access(&headers, HERE).await.unwrap_err();
            assert_eq!(error.status(), http::StatusCode::UNAUTHORIZED, "{wrong}");
        }
        let unknown = gate.access(&bearer(&format!("assay_{}", "a".repeat(43))), HERE).await;
        assert!(matches!(unknown, Err(AccessError::UnknownToken)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_header_is_an_error_even_beside_a_good_token() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = behind_a_proxy(&database).await;
        let ann = by_proxy(&gate, "ann", "moderators").await;
        assert_eq!((ann.kind, ann.person.as_str()), (Kind::Proxy, "proxy:ann"));
        // The same access, until the groups change.
        assert_eq!(by_proxy(&gate, "ann", "moderators,staff").await.id, ann.id);
        let lead = by_proxy(&gate, "ann", "leads").await;
        assert_ne!(lead.id, ann.id);
        let (_, secret) = gate.make_token(&lead, &new("a", Role::Viewer)).await.unwrap();
        let forged = sent("root", "admins");
        let mut both = forged.clone();
        both.extend(bearer(&secret));
        for headers in [&forged, &both] {
            let error = gate.access(headers, HERE).await.unwrap_err();
            assert!(matches!(error, AccessError::UnknownProxy { .. }), "{error}");
        }
        let mut wrong = forged.clone();
        wrong.insert("x-secret", "another secret".parse().unwrap());
        assert!(matches!(gate.access(&wrong, PROXY).await, Err(AccessError::ProxySecret { .. })));
        assert_eq!(count(&database, "SELECT count(*) FROM people WHERE person = 'proxy:root'").await, 0);
        assert_eq!(gate.access(&HeaderMap::new(), PROXY).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trial_made_opens_no_configured_console() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let (gate, access) = trial(&database, "ann").await;
        assert_eq!((access.kind, access.person.as_str(), access.role()), (Kind::Trial, "trial:ann", Some(Role::Admin)));
        assert_eq!(gate.access(&HeaderMap::new(), HERE).await.unwrap().unwrap(), access);
        let (_, secret) = gate.make_token(&access, &new("a", Role::Admin)).await.unwrap();
        assert!(gate.access(&bearer(&secret), HERE).await.unwrap().is_some());
        assert!(gate.access(&bearer("assay_wrong"), HERE).await.is_err());
        let configured = Gate::open(&Settings::default(), &database, Mode::Configured).await.unwrap();
        assert!(matches!(configured.access(&bearer(&secret), HERE).await, Err(AccessError::UnknownToken)));
        assert!(!configured.sign_in_is_possible());
        assert!(matches!(configured.begin_sign_in("/").await, Err(AccessError::NoIssuer)));
        for name in ["", " ", "a\nb"] {
            assert!(Gate::open(&Settings::default(), &database, Mode::Trial { name: name.into() }).await.is_err());
        }
        // A trial lasts while it is used.
        execute(&database, "UPDATE accesses SET expires_at = now() WHERE kind = 'trial'").await;
        assert_eq!(gate.access(&HeaderMap::new(), HERE).await.unwrap().unwrap().id, access.id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_a_lead_of_all_tenants() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let access = access::command(&database, "ops\u{0}").await.unwrap();
        assert_eq!((access.kind, access.person.as_str()), (Kind::Command, "command:ops"));
        assert!(access.may(Action::DecideAppeal, Scope::EveryTenant).is_ok());
        assert!(access.may(Action::ManageTokens, Scope::EveryTenant).is_err());
        let again = access::command(&database, "ops").await.unwrap();
        assert_eq!(again.id, access.id);
    })
    .await;
}

fn entry(what: &str, tenant: Option<&str>) -> Entry {
    Entry { what: what.into(), tenant: tenant.map(String::from), ..Entry::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_each_admin_their_tenants() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = behind_a_proxy(&database).await;
        let ann = by_proxy(&gate, "ann", "moderators").await;
        for tenant in ["acme", "beta"] {
            gate.record(&ann, &entry("saw", Some(tenant))).await.unwrap();
        }
        let nul = Entry {
            submission_id: Some("a\0b".into()),
            detail: Some(serde_json::json!({"q": "\0"})),
            ..entry("searched", None)
        };
        gate.record(&ann, &nul).await.unwrap();
        let (console, admin) = trial(&database, "root").await;
        let none = AuditFilter::default();
        let seen = |page: access::AuditPage| page.entries.into_iter().map(|entry| entry.what).collect::<Vec<_>>();
        assert_eq!(seen(console.audit_log(&admin, &none, From::Newest, 10).await.unwrap()), ["searched", "saw", "saw"]);
        assert!(matches!(gate.audit_log(&ann, &none, From::Newest, 10).await, Err(AccessError::Denied(_))));
        // An admin of one tenant, also where the program would let everything pass.
        execute(&database, &format!("UPDATE access_grants SET tenant = 'beta' WHERE access_id = '{}'", admin.id)).await;
        let page = console.audit_log(&admin, &none, From::Newest, 10).await.unwrap();
        assert_eq!(page.entries.iter().map(|entry| entry.tenant.as_deref()).collect::<Vec<_>>(), [Some("beta")]);
        assert_eq!((page.entries[0].who.name.as_str(), &page.entries[0].who.pseudonym), ("ann", &ann.pseudonym));
        execute(&database, &format!("UPDATE access_grants SET role = 2 WHERE access_id = '{}'", admin.id)).await;
        assert!(console.audit_log(&admin, &none, From::Newest, 10).await.unwrap().entries.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_by_page_and_given_out_whole_under_pseudonyms() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let (gate, admin) = trial(&database, "root").await;
        for number in 0..1_203 {
            let what = if number % 3 == 0 { "saw" } else { "voted" };
            gate.record(&admin, &entry(what, Some("acme"))).await.unwrap();
        }
        let filter =
            AuditFilter { what: Some("saw".into()), who: Some(admin.pseudonym.clone()), ..AuditFilter::default() };
        let first = gate.audit_log(&admin, &filter, From::Newest, 200).await.unwrap();
        assert_eq!((first.entries.len(), first.newer), (200, None));
        let second = gate.audit_log(&admin, &filter, first.older.unwrap(), 200).await.unwrap();
        let third = gate.audit_log(&admin, &filter, second.older.unwrap(), 200).await.unwrap();
        assert_eq!((second.entries.len(), third.entries.len(), third.older), (200, 1, None));
        let back = gate.audit_log(&admin, &filter, third.newer.unwrap(), 200).await.unwrap();
        assert_eq!(back.entries, second.entries);
        let back = gate.audit_log(&admin, &filter, back.newer.unwrap(), 200).await.unwrap();
        assert_eq!((&back.entries, back.newer), (&first.entries, None));
        let (sender, mut receiver) = mpsc::channel(8);
        let collected = tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Some(entry) = receiver.recv().await {
                lines.push(serde_json::to_string(&entry).unwrap());
            }
            lines
        });
        gate.export_audit_log(&admin, &AuditFilter::default(), &sender).await.unwrap();
        drop(sender);
        let lines = collected.await.unwrap();
        assert_eq!(lines.len(), 1_203);
        assert!(lines.iter().all(|line| line.contains(&admin.pseudonym) && !line.contains("trial:root")));
        let later = AuditFilter { from: Some(first.entries[0].at), ..filter };
        assert_eq!(gate.audit_log(&admin, &later, From::Newest, 200).await.unwrap().entries.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_given_to_whoever_has_the_role_by_the_latest_they_proved() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let gate = behind_a_proxy(&database).await;
        for (user, groups) in [("ann", "moderators"), ("ben", "leads"), ("eve", "beta-viewers"), ("root", "admins")] {
            by_proxy(&gate, user, groups).await;
        }
        let names = |people: Vec<access::Who>| people.into_iter().map(|who| who.name).collect::<Vec<_>>();
        assert_eq!(names(gate.people(Role::Reviewer, "acme").await.unwrap()), ["ann", "ben", "root"]);
        assert_eq!(names(gate.people(Role::Viewer, "beta").await.unwrap()), ["eve", "root"]);
        // Ben is no lead any more; Ann was not here for long.
        by_proxy(&gate, "ben", "staff").await;
        execute(&database, "UPDATE people SET last_seen_at = now() - interval '31 days' WHERE person = 'proxy:ann'")
            .await;
        assert_eq!(names(gate.people(Role::Reviewer, "acme").await.unwrap()), ["root"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_kept_with_the_person() {
    let url = database_url();
    in_own_schema(&url, |database| async move {
        let (gate, access) = trial(&database, "ann").await;
        let prefs = serde_json::json!({"blur": true, "keys": false}).as_object().unwrap().clone();
        gate.set_prefs(&access, &prefs).await.unwrap();
        assert_eq!(gate.access(&HeaderMap::new(), HERE).await.unwrap().unwrap().prefs, prefs);
        let large = serde_json::json!({"a": "x".repeat(5_000)}).as_object().unwrap().clone();
        assert!(matches!(gate.set_prefs(&access, &large).await, Err(AccessError::Invalid { .. })));
    })
    .await;
}
