//! The registry by its commands, and running workers that follow it, on real servers.

use std::path::Path;
use std::process::Stdio;

use artefact::{Architecture, Manifest};
use database::Database;
use domain::{Outcome, Verdict};
use engine::untrained;
use registry::postgres::Postgres;
use registry::{By, Change, Kind, Registry};
use serde_json::{Value, json};

use crate::support::images;
use crate::support::rabbit::until;
use crate::support::servers::servers;
use crate::support::site::{Site, Worker, request};

const FOLLOWS: [(&str, &str); 4] = [
    ("ASSAY__DETECTOR__MODEL", "registry"),
    ("ASSAY__DETECTOR__DEVICE", "cpu"),
    ("ASSAY__REGISTRY__STORE", "store"),
    ("ASSAY__REGISTRY__POLL_S", "1"),
];

/// The smallest network there is, of random weights.
fn made(folder: &Path, seed: i64) -> Manifest {
    untrained::create(folder, Architecture::RESNET18, seed).unwrap()
}

/// Exit code, what was printed, and what was said beside it.
fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = site.command().args(arguments).envs(FOLLOWS).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What a command prints that goes well.
fn done(site: &Site, arguments: &[&str]) -> String {
    let (code, out, said) = run(site, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {out}{said}");
    out
}

fn listed(site: &Site) -> Value {
    serde_json::from_str(&done(site, &["model", "list", "--json"])).unwrap()
}

/// Registers a model of this seed.
fn registered(site: &Site, seed: i64) -> Manifest {
    let folder = format!("made-{seed}");
    let manifest = made(&site.folder().join(&folder), seed);
    done(site, &["model", "register", &folder]);
    manifest
}

fn spoil(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

async fn verdict(site: &Site, id: &str) -> Verdict {
    let asked = format!(
        "SELECT {0}.document(v)::text AS document FROM {0}.verdicts AS v WHERE submission_id = '{id}'",
        site.name
    );
    until("the verdict is recorded", || async { !site.query(&asked).await.is_empty() }).await;
    let text: String = sqlx::Row::get(&site.query(&asked).await[0], "document");
    match serde_json::from_str(&text).unwrap() {
        Outcome::Verdict(verdict) => *verdict,
        Outcome::Failure(failure) => panic!("{failure:?}"),
    }
}

async fn serves(site: &Site, worker: &Worker, manifest: &Manifest) {
    let (version, sha256) = (&manifest.version, &manifest.weights.sha256);
    let gauge = format!("assay_model_info{{sha256=\"{sha256}\",version=\"{version}\"}}");
    until("the promoted model serves", || async { worker.metric(&gauge) == 1.0 }).await;
    let models = worker.get("/metrics").unwrap().lines().filter(|line| line.starts_with("assay_model_info")).count();
    assert_eq!(models, 1, "one model at a time");
    until("the worker says so", || async {
        let status: Value = serde_json::from_str(&done(site, &["status", "--json"])).unwrap();
        status["models"] == json!([{"version": version, "sha256": sha256, "workers": 1}])
    })
    .await;
    let said = done(site, &["status"]);
    assert!(said.contains(&format!("1 worker following the registry: {version} (1)")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_worker_changes_its_version_between_two_verdicts() {
    let site = Site::open().await;
    let (one, other) = (registered(&site, 1), registered(&site, 2));
    done(&site, &["model", "promote", &one.version]);
    let mut worker = site.worker(&FOLLOWS).await;
    let mut verdicts = Vec::new();
    // Images go on coming, each with bytes of its own, until one is judged by the other model.
    for number in 0.. {
        assert!(number < 300, "the worker never changed: {}", worker.log());
        if number == 3 {
            done(&site, &["model", "promote", &other.version, "--expect", &one.version, "--reason", "another seed"]);
        }
        let key = site.put(&format!("{number}.bmp"), images::bmp(200 + number, 80)).await;
        let id = format!("s-{number}");
        site.submit([request(&id, &key)]).await;
        verdicts.push(verdict(&site, &id).await);
        if verdicts.last().is_some_and(|verdict| verdict.model.version == other.version) {
            break;
        }
    }
    for (number, verdict) in verdicts.iter().enumerate() {
        let judge = if number + 1 < verdicts.len() { &one } else { &other };
        assert_eq!((&verdict.model.version, &verdict.model.sha256), (&judge.version, &judge.weights.sha256));
    }
    assert!(verdicts.len() > 3);
    serves(&site, &worker, &other).await;
    // The bytes of the first, to the model that serves now: what the other one found says nothing.
    let first = &verdicts[0];
    site.submit([request("after", &first.image.key)]).await;
    let after = verdict(&site, "after").await;
    assert_eq!((&after.model.version, after.reused_from), (&other.version, None));
    assert_eq!(after.image.sha256, first.image.sha256);
    assert_ne!(after.score.logit, first.score.logit);
    site.submit([request("again", &first.image.key)]).await;
    let again = verdict(&site, "again").await;
    assert_eq!((&again.model, again.reused_from), (&after.model, Some(after.verdict_id)));

    done(&site, &["model", "rollback", "--reason", "it was only a seed"]);
    serves(&site, &worker, &one).await;
    let (code, _, said) = run(&site, &["model", "rollback"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("nothing to go back to"), "{said}");
    worker.terminate();
    assert!(worker.ended(std::time::Duration::from_secs(25)).await.success(), "{}", worker.log());
    assert_eq!(worker.log().matches("another model serves").count(), 2);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_artefact_is_refused_by_everybody_and_a_running_worker_serves_on() {
    let site = Site::open().await;
    let folder = site.folder().to_owned();
    made(&folder.join("spoiled"), 9);
    spoil(&folder.join("spoiled/weights.safetensors"));
    let (code, _, said) = run(&site, &["model", "register", "spoiled"]);
    assert!(code == Some(2) && said.contains("sha256"), "{said}");
    assert_eq!(listed(&site), json!({"active": null, "models": []}));
    let (code, _, said) = run(&site, &["worker"]);
    assert!(code == Some(2) && said.contains("no model is active"), "{said}");

    let (good, bad) = (registered(&site, 1), registered(&site, 2));
    done(&site, &["model", "promote", &good.version]);
    let stored = folder.join("store").join(&bad.version);
    spoil(&stored.join("weights.safetensors"));
    let (code, _, said) = run(&site, &["model", "promote", &bad.version]);
    assert!(code == Some(1) && said.contains("sha256") && said.contains(&bad.version), "{said}");
    assert_eq!(listed(&site)["active"], json!(good.version));

    // Somebody promotes it all the same.
    let mut worker = site.worker(&FOLLOWS).await;
    let registry = Postgres::on(&Database::connect(&servers().database_settings(&site.name)).await.unwrap());
    let change = Change {
        version: bad.version.clone(),
        replaces: Some(good.version.clone()),
        kind: Kind::Promotion,
        actor: "a test".into(),
        reason: None,
    };
    registry.promote(&change, By::Person).await.unwrap();
    let failures = "assay_model_changes_total{result=\"failed\"}";
    until("the worker has tried", || async { worker.metric(failures) >= 2.0 }).await;
    assert!(worker.log().contains("the one before serves on"), "{}", worker.log());
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit([request("a", &key)]).await;
    assert_eq!(verdict(&site, "a").await.model.version, good.version);

    // Repaired, it takes over with the next try.
    spoil(&stored.join("weights.safetensors"));
    serves(&site, &worker, &bad).await;
    worker.terminate();
    assert!(worker.ended(std::time::Duration::from_secs(25)).await.success(), "{}", worker.log());
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_is_changed_by_commands_that_say_what_they_did() {
    let site = Site::open().await;
    assert!(done(&site, &["model", "list"]).contains("assay model register"));
    let (one, other) = (registered(&site, 1), registered(&site, 2));
    let again = done(&site, &["model", "register", "made-1"]);
    assert!(again.contains(&one.version) && again.contains("store"), "{again}");
    let (code, _, said) = run(&site, &["model", "promote", "nothing"]);
    assert!(code == Some(2) && said.contains("assay model list"), "{said}");
    let (code, _, said) = run(&site, &["model", "promote", &one.version, "--expect", &other.version]);
    assert!(code == Some(1) && said.contains("the active model is none now"), "{said}");
    assert!(done(&site, &["model", "history"]).contains("nothing was promoted"));
    let promoted = done(&site, &["model", "promote", &one.version, "--expect", "none", "--reason", "the first"]);
    assert!(promoted.contains("no worker follows the registry"), "{promoted}");
    let history: Value = serde_json::from_str(&done(&site, &["model", "history", "--json"])).unwrap();
    let first = &history["promotions"][0];
    assert_eq!(
        (&first["version"], &first["reason"], &first["kind"]),
        (&json!(one.version), &json!("the first"), &json!("promotion"))
    );
    assert!(done(&site, &["model", "history"]).contains("the first"));
    std::fs::write(site.folder().join("metrics.json"), "{\"auc\": 0.5}").unwrap();
    let third = made(&site.folder().join("made-3"), 3);
    let register =
        ["model", "register", "made-3", "--parent", &one.version, "--metrics", "metrics.json", "--actor", "ann"];
    done(&site, &register);
    let shown = done(&site, &["model", "show", &third.version]);
    for word in ["resnet18-nodown", &one.version, "{\"auc\":0.5}", "ann"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert!(done(&site, &["model", "show", "made-3"]).contains(&third.version), "a folder is shown as before");
    let list = listed(&site);
    let versions: Vec<_> = list["models"].as_array().unwrap().iter().map(|model| model["version"].clone()).collect();
    assert_eq!(versions, [&third, &other, &one].map(|model| json!(model.version)));
    assert_eq!((&list["models"][0]["parent"], &list["models"][2]["active"]), (&json!(one.version), &json!(true)));
    let table = done(&site, &["model", "list"]);
    assert!(table.contains(&format!("* {}", one.version)) && table.contains("is active"), "{table}");
    // What was registered is not what lies there now.
    std::fs::write(site.folder().join("store").join(&other.version).join("manifest.json"), "{}").unwrap();
    let (code, _, said) = run(&site, &["model", "promote", &other.version]);
    assert!(code == Some(1) && said.contains("manifest.json says something else"), "{said}");
    site.close().await;
}
