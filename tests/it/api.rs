//! `assay api`: submissions by HTTP, on a real database.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::images;
use crate::support::rig::DEADLINE;
use crate::support::site::{Site, Worker, request};

const SERVES: &str = "api: /v1/submissions/{tenant}/{id}";

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// Asks until the port is served; after that the first answer counts.
async fn ask(api: &Worker, path: &str, token: Option<&str>) -> Answer {
    let header = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let asking = async {
        loop {
            if let Some(answer) = api.get_at(SERVES, path, &header) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("no answer: {}", api.log()));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_is_looked_up_with_a_token_of_its_tenant() {
    let site = Site::open().await;
    let (acme, all) = ("a".repeat(32), "b".repeat(32));
    let tokens = site.folder().join("tokens");
    std::fs::write(&tokens, format!("acme {acme}\n* {all}\n")).unwrap();
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let worker = site.worker(&[]).await;
    let of_acme = |id: &str, key: &str, generation: u32| {
        let mut request = request(id, key);
        request["tenant"] = json!("acme");
        request["generation"] = json!(generation);
        request
    };
    let id = "2026/11/a picture.jpg";
    site.submit([of_acme(id, &key, 0), of_acme(id, "never/uploaded.jpg", 1), request("other", &key)]).await;
    site.until_recorded(3).await;
    drop(worker);

    let api = site.api(&[("ASSAY__API__LISTEN", "127.0.0.1:0"), ("ASSAY__API__TOKENS_FILE", tokens.to_str().unwrap())]);
    let path = "/v1/submissions/acme/2026/11/a%20picture.jpg";
    let found = ask(&api, path, Some(&acme)).await;
    assert_eq!(found.status, 200, "{}", found.head);
    assert!(found.head.contains("content-type: application/json") && found.head.contains("cache-control: no-store"));
    assert_eq!(found.body["submission_id"], id);
    let outcomes = found.body["outcomes"].as_array().unwrap();
    let said: Vec<_> = outcomes.iter().map(|outcome| (&outcome["generation"], &outcome["schema"])).collect();
    assert_eq!(said, [(&json!(0), &json!("assay.verdict.v1")), (&json!(1), &json!("assay.failure.v1"))]);

    // The same document as the command's.
    let arguments = ["verdict", id, "--tenant", "acme", "--json"];
    let output = site.command().args(arguments).stdin(Stdio::null()).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown, found.body);

    for (path, token, status, words) in [
        (path, Some(&all), 200, ""),
        (path, None, 401, "Authorization: Bearer"),
        (path, Some(&"c".repeat(32)), 401, "api.tokens_file"),
        ("/v1/submissions/default/other", Some(&acme), 403, "another tenant"),
        ("/v1/submissions/default/other", Some(&all), 200, ""),
        ("/v1/submissions/acme/nothing", Some(&acme), 404, "no outcome"),
        ("/v1/submissions/acme/a%0Ab", Some(&acme), 400, "control characters"),
        ("/v1/submissions/ac%20me/a", Some(&all), 400, "tenant"),
        ("/v1/verdicts", Some(&all), 404, "/v1/openapi.json"),
    ] {
        let answer = ask(&api, path, token.map(String::as_str)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body["detail"].as_str().unwrap_or_default().contains(words), "{path}: {}", answer.body);
        assert_eq!(answer.head.contains("application/problem+json"), status != 200, "{path}");
        assert_eq!(answer.head.contains("www-authenticate: bearer"), status == 401, "{path}");
    }
    assert!(ask(&api, "/v1/openapi.json", None).await.body["paths"].is_object());
    for secret in [&acme, &all] {
        assert!(!api.log().contains(secret.as_str()), "a token is in the log");
    }
    let mut api = api;
    api.terminate();
    assert!(api.ended(Duration::from_secs(20)).await.success(), "{}", api.log());
    site.close().await;
}

#[test]
fn without_tokens_it_does_not_start() {
    let folder = std::env::temp_dir().join(format!("assay-api-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    let tokens = folder.join("tokens");
    std::fs::write(&tokens, "acme tooshort\n").unwrap();
    let run = |file: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_assay"));
        let output = command.arg("api").env("ASSAY__API__TOKENS_FILE", file).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (file, words) in
        [("", "tokens_file is not set"), ("/nowhere/tokens", "can't be read"), (tokens.to_str().unwrap(), "line 1")]
    {
        let (code, said) = run(file);
        assert!(code == Some(2) && said.contains(words) && !said.contains("tooshort"), "{file}: {code:?} {said}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
