//! Role × tenant × route.

use axum::http::StatusCode;
use console::server::{Needs, lines};
use review::Role;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Browser, World, in_usual_world};

/// What a line needs, written down a second time: the lowest role, `None` for anybody.
const TABLE: [(&str, &str, Option<&str>); 43] = [
    ("GET", "/", Some("viewer")),
    ("POST", "/review/next", Some("reviewer")),
    ("POST", "/review/ahead", Some("reviewer")),
    ("POST", "/review/leases", Some("reviewer")),
    ("POST", "/review/release", Some("reviewer")),
    ("GET", "/items/{id}", Some("viewer")),
    ("GET", "/outcomes/{id}", Some("viewer")),
    ("POST", "/outcomes/{id}/appeal", Some("reviewer")),
    ("POST", "/outcomes/{id}/golden", Some("lead")),
    ("POST", "/items/{id}/claim", Some("reviewer")),
    ("POST", "/items/{id}/shown", Some("reviewer")),
    ("POST", "/items/{id}/vote", Some("reviewer")),
    ("POST", "/votes/{id}/undo", Some("reviewer")),
    ("POST", "/items/{id}/skip", Some("reviewer")),
    ("POST", "/items/{id}/hold", Some("reviewer")),
    ("POST", "/items/{id}/escalate", Some("reviewer")),
    ("POST", "/items/{id}/assign", Some("lead")),
    ("POST", "/items/{id}/close", Some("reviewer")),
    ("POST", "/items/{id}/rejudge", Some("lead")),
    ("GET", "/pictures/{id}/fit", Some("viewer")),
    ("GET", "/pictures/{id}/actual", Some("viewer")),
    ("GET", "/pictures/{id}/crops/{number}", Some("viewer")),
    ("GET", "/pictures/{id}/evidence/fit", Some("reviewer")),
    ("GET", "/pictures/{id}/evidence/actual", Some("reviewer")),
    ("GET", "/appeals", Some("reviewer")),
    ("GET", "/appeals/{id}", Some("reviewer")),
    ("POST", "/appeals/{id}/decide", Some("reviewer")),
    ("GET", "/search", Some("viewer")),
    ("GET", "/history", Some("viewer")),
    ("GET", "/numbers", Some("viewer")),
    ("GET", "/audit", Some("lead")),
    ("GET", "/audit.jsonl", Some("lead")),
    ("GET", "/tokens", Some("viewer")),
    ("POST", "/tokens", Some("viewer")),
    ("POST", "/tokens/{id}/revoke", Some("viewer")),
    ("GET", "/help", Some("none")),
    ("POST", "/preferences", Some("none")),
    ("POST", "/logout", Some("none")),
    ("GET", "/login", None),
    ("GET", "/login/oidc", None),
    ("GET", "/login/callback", None),
    ("GET", "/static/{name}", None),
    ("GET", "/none", None),
];

fn needed(needs: Needs) -> Option<&'static str> {
    match needs {
        Needs::Anybody => None,
        Needs::SignedIn => Some("none"),
        Needs::May(action) => Some(action.needs().as_str()),
    }
}

#[test]
fn the_table_of_routes_is_the_one_that_is_written_down_here() {
    let found: Vec<_> = lines().iter().map(|line| (line.method.to_string(), line.path, needed(line.needs))).collect();
    let wanted = TABLE.iter().filter(|(_, path, _)| *path != "/none");
    let wanted: Vec<_> = wanted.map(|(method, path, needed)| (method.to_string(), *path, *needed)).collect();
    assert_eq!(found, wanted);
}

/// An address of a line for this thing of that tenant.
fn address(path: &str, id: &str, tenant: &str) -> String {
    let path = path.replace("{id}", id).replace("{number}", "0").replace("{name}", "console.css");
    match path.as_str() {
        "/history" => format!("/history?tenant={tenant}&submission={tenant}-1"),
        "/numbers" => format!("/numbers?tenant={tenant}"),
        _ => path,
    }
}

async fn asked(browser: &Browser, method: &str, path: &str) -> StatusCode {
    let id = Uuid::new_v4().to_string();
    let fields = [("lease", id.as_str()), ("vote", &id), ("answer", "real"), ("ground", "by_eye"), ("why", "missing")];
    match method {
        "GET" => browser.get(path).await.status,
        _ => browser.script(path, &fields).await.status,
    }
}

#[test]
fn no_route_does_more_for_a_role_or_a_tenant_than_its_line_says() {
    in_usual_world(|world: World| async move {
        let (acme, globex) = (world.items("acme", &["acme-1"]).await[0], world.items("globex", &["globex-1"]).await[0]);
        let outcome = world.verdict("globex", "globex-2", "real", json!({})).await;
        for (method, path, needed) in TABLE {
            let someone = world.browser("", "");
            let status = asked(&someone, method, &address(path, &acme.to_string(), "acme")).await;
            match (path, needed, method) {
                ("/none", ..) => assert_eq!(status, StatusCode::NOT_FOUND),
                (_, None, _) => assert_ne!(status, StatusCode::UNAUTHORIZED, "{path}"),
                (_, Some(_), "GET") => assert_eq!(status, StatusCode::SEE_OTHER, "{path}: to sign in"),
                (_, Some(_), _) => assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}"),
            }
            let Some(needed) = needed else { continue };
            let nobody = world.browser("nobody", "");
            let status = asked(&nobody, method, &address(path, &acme.to_string(), "acme")).await;
            assert_eq!(status == StatusCode::FORBIDDEN, needed != "none", "{method} {path} without a role: {status}");
            for role in Role::ALL {
                let browser = world.browser(&format!("{role}"), &format!("{role}-acme"));
                let status = asked(&browser, method, &address(path, &Uuid::new_v4().to_string(), "acme")).await;
                let denied = needed.parse::<Role>().is_ok_and(|needed| role < needed);
                assert_eq!(status == StatusCode::FORBIDDEN, denied, "{method} {path} as {role}: {status}");
                if denied || !path.contains("{id}") && !["/history", "/numbers"].contains(&path) {
                    continue;
                }
                // What is another tenant's is as if it were not there.
                for id in [globex.to_string(), outcome.to_string()] {
                    let status = asked(&browser, method, &address(path, &id, "globex")).await;
                    assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path} of another tenant as {role}");
                }
            }
        }
        assert_eq!(world.count("SELECT count(*) FROM reviews").await, 0);
        assert_eq!(world.count("SELECT count(*) FROM review_items WHERE tenant = 'globex' AND (state <> 'open' OR holder IS NOT NULL)").await, 0);
    });
}
