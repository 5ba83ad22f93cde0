//! The commands for those who run the service: status, and dead letters.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::time::Duration;

use broker::RequestQueue;
use engine::Scripted;
use serde_json::Value;

use crate::support::images;
use crate::support::rabbit::Bystander;
use crate::support::rig::{DEADLINE, Rig, decoders, plan};
use crate::support::site::{Site, Worker, request};

fn run(site: &Site, arguments: &[&str]) -> Output {
    site.command().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn listed(site: &Site, filter: &[&str]) -> Vec<Value> {
    let lines = stdout(&run(site, &[&["dead", "list", "--json"], filter].concat()));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ends it in an orderly way: killed, it might have copied a dead letter and not yet acknowledged the original.
async fn drained(mut worker: Worker) {
    worker.terminate();
    assert!(worker.ended(DEADLINE).await.success(), "{}", worker.log());
}

async fn until_dead(site: &Site, letters: usize) {
    let wait = async {
        while site.depth("dead").await < letters {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not {letters} dead letters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_and_replayed() {
    let site = Site::open().await;
    let (a, b) = (site.put("a.bmp", images::bmp(256, 80)).await, site.put("b.bmp", images::bmp(256, 90)).await);
    let worker = site.worker(&[]).await;
    site.submit([request("taken", &a)]).await;
    site.until_recorded(1).await;
    // The same submission with another image, and what can't be read.
    site.submit([request("taken", &b)]).await;
    site.submit_raw([b"{half a message".to_vec(), b"no message".to_vec()]).await;
    until_dead(&site, 3).await;

    let all = listed(&site, &[]);
    assert_eq!(all.len(), 3);
    assert_eq!(listed(&site, &[]), all, "looking changes nothing, not even the order");
    let ids: BTreeSet<_> = all.iter().map(|dead| dead["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    let conflicts = listed(&site, &["--submission", "taken"]);
    assert_eq!(conflicts.len(), 1);
    assert!(conflicts[0]["reason"].as_str().unwrap().contains("already has a verdict"), "{}", conflicts[0]);
    assert_eq!(conflicts[0]["body"], request("taken", &b));
    let unreadable = listed(&site, &["--reason", "no JSON"]);
    assert_eq!(unreadable.len(), 2);
    let table = stdout(&run(&site, &["dead", "list"]));
    assert!(table.contains("3 shown of 3") && table.contains("taken"), "{table}");
    // The two came at once: which is dead-lettered first is nobody's promise.
    let half = unreadable.iter().find(|dead| dead["body"] == "{half a message").expect("it is listed with its body");
    let id = half["id"].as_str().unwrap();
    let shown = stdout(&run(&site, &["dead", "show", id]));
    assert!(shown.contains("{half a message") && shown.contains("x-assay-queue"), "{shown}");
    assert_eq!(run(&site, &["dead", "show", "ffffffffff"]).status.code(), Some(1));

    // Replaying asks which; a dry run changes nothing; the conflict is resolved by deleting the first outcome.
    assert_eq!(run(&site, &["dead", "replay"]).status.code(), Some(2));
    assert!(stdout(&run(&site, &["dead", "replay", "--all", "--dry-run"])).contains("3 would be replayed"));
    assert_eq!(site.depth("dead").await, 3);
    drained(worker).await;
    site.query(&format!("TRUNCATE {0}.outcomes, {0}.verdicts, {0}.failures", site.name)).await;
    let done = stdout(&run(&site, &["dead", "replay", "--submission", "taken", "--rate", "50", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&done).unwrap()["replayed"], 1);
    let worker = site.worker(&[]).await;
    site.until_recorded(1).await;
    let rows = site.query(&format!("SELECT object_key FROM {}.verdicts", site.name)).await;
    assert_eq!(sqlx::Row::get::<String, _>(&rows[0], "object_key"), b);
    assert_eq!(site.depth("dead").await, 2, "the others stay");
    // What can't be read is dead-lettered again, once, and keeps its body.
    assert!(stdout(&run(&site, &["dead", "replay", id])).contains("1 replayed"));
    until_dead(&site, 2).await;
    let bodies: BTreeSet<_> = listed(&site, &[]).iter().map(|dead| dead["body"].to_string()).collect();
    assert_eq!(bodies, BTreeSet::from(["\"{half a message\"".to_string(), "\"no message\"".to_string()]));
    // As many as are read on several channels: each is on its queue once, and no longer among the dead letters.
    site.submit_raw((0..80).map(|number| format!("{{unreadable {number}").into_bytes())).await;
    until_dead(&site, 82).await;
    drained(worker).await;
    assert!(stdout(&run(&site, &["dead", "replay", "--all"])).contains("82 replayed"));
    assert_eq!((site.depth("dead").await, site.depth("images").await), (0, 82));
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_unknown_origin_is_replayed_only_to_a_named_queue() {
    let site = Site::open().await;
    let beside = Bystander::new(site.broker.clone()).await;
    let dead = beside.topology.dead();
    let headers = |queue| [("x-assay-queue", queue), ("x-assay-reason", "test")];
    let bulk = beside.topology.request_queue(RequestQueue::Bulk);
    beside.put(&dead, b"bulk", &headers(bulk.as_str())).await;
    beside.put(&dead, b"foreign", &headers("another.images")).await;
    beside.put(&dead, b"unmarked", &[]).await;
    let output = run(&site, &["dead", "replay", "--all"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("2 not replayed") && said.contains("--to images, --to bulk or --to labels"), "{said}");
    assert_eq!((site.depth("dead").await, site.depth("images.bulk").await), (2, 1));
    let foreign = ["dead", "replay", "--queue", "another.images"];
    assert_eq!(run(&site, &foreign).status.code(), Some(1));
    assert!(stdout(&run(&site, &[&foreign[..], &["--to", "images"]].concat())).contains("1 replayed"));
    assert!(stdout(&run(&site, &["dead", "replay", "--all", "--to", "labels"])).contains("1 replayed"));
    assert_eq!(site.depth("dead").await, 0);
    assert_eq!((site.depth("images").await, site.depth("labels").await), (1, 1));
    beside.close().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_queues_and_workers() {
    let site = Site::open().await;
    let nobody = stdout(&run(&site, &["status", "--all"]));
    assert!(nobody.contains("no workers") && nobody.contains(".images.bulk"), "{nobody}");
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit([request("one", &key)]).await;
    let worker = site.worker(&[]).await;
    site.until_recorded(1).await;
    let status = || serde_json::from_str::<Value>(&stdout(&run(&site, &["status", "--json"]))).unwrap();
    let seen = async { while status()["workers"].as_array().unwrap().is_empty() {} };
    tokio::time::timeout(DEADLINE, seen).await.expect("it is seen");
    let now = status();
    assert_eq!(now["workers"][0]["state"], "ready", "{now}");
    assert_eq!(now["models"][0]["version"], "scripted", "{now}");
    assert!(now["queues"].as_array().unwrap().iter().any(|queue| queue["consumers"].as_u64() > Some(0)), "{now}");
    drained(worker).await;
    let end = status();
    assert_eq!(end["workers"].as_array().unwrap().len(), 0, "a worker that stopped is gone: {end}");
    assert_eq!(end["models"].as_array().unwrap().len(), 0);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_nothing_while_messages_wait_is_not_alive() {
    let mut plan = plan();
    plan.worker.stuck_after_s = 0;
    let rig = Rig::start_with(Scripted::new(), plan, decoders());
    rig.broker.stall();
    rig.submit("unheard", "a");
    let found_out = async {
        while rig.condition.alive().is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, found_out).await.expect("it is found out");
    assert!(rig.condition.alive().unwrap_err().contains("none was taken"), "{:?}", rig.condition.alive());
    assert_eq!(rig.condition.ready(), Ok(()), "nothing else would have told");
    assert_eq!(rig.broker.waiting(RequestQueue::Live), 1);
}
