//! People decide, with the real servers and nothing but the rights of docs/least-rights.md: from the queue of the console to the verdict of the
//! next generation.

use std::time::Duration;

use serde_json::Value;
use sqlx::Row as _;

use crate::support::images;
use crate::support::rights::Rights;

#[tokio::test(flavor = "multi_thread")]
async fn what_people_decide_is_the_next_generations_verdict_once() {
    let rights = Rights::grant().await;
    let site = &rights.site;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut worker = site.worker(&settings).await;
    site.submit([crate::support::site::request("one", &key)]).await;
    site.until_recorded(1).await;

    let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let (collected, _) = rights.run("console", ["review", "collect", "--json"]);
    assert_eq!(read(&collected)["collected"]["items"], 1, "{collected}");
    let (again, _) = rights.run("console", ["review", "collect", "--json"]);
    assert_eq!(read(&again)["collected"]["items"], 0, "the same verdict is one item: {again}");
    let (list, _) = rights.run("console", ["review", "list", "--json"]);
    let list = read(&list);
    assert_eq!((&list["items"][0]["submission_id"], &list["items"][0]["source"]), (&"one".into(), &"blind".into()));
    assert_eq!(list["items"][0]["decision"], Value::Null, "what is blind is not told: {list}");
    let item = list["items"][0]["id"].as_str().unwrap();
    let before = site.query(&format!("SELECT decision FROM {}.verdicts", site.name)).await;
    let answer = match before[0].get::<&str, _>("decision") {
        "real" => "synthetic",
        _ => "real",
    };
    rights.run("console", ["review", "label", item, answer, "--ground", "known-source", "--comment", "seen elsewhere"]);
    let (counted, _) = rights.run("console", ["review", "collect", "--json"]);
    let counted = read(&counted);
    assert_eq!((&counted["counted"]["resolved"], &counted["counted"]["labels"]), (&1.into(), &1.into()), "{counted}");
    assert_eq!(counted["sent"], 1);
    site.until_recorded(2).await;

    let (shown, _) = rights.run("viewer", ["verdict", "one", "--json"]);
    let shown = read(&shown);
    let [first, second] = [&shown["outcomes"][0], &shown["outcomes"][1]];
    assert_eq!((&second["generation"], &second["decision"]), (&1.into(), &answer.into()), "{shown}");
    assert_eq!((&first["decided_by"], &second["decided_by"]), (&"model".into(), &"review".into()));
    assert_eq!((&second["previous"]["outcome_id"], &second["score"]), (&first["verdict_id"], &first["score"]));
    assert_eq!(second["review"]["grounds"][0], "known_source");
    assert!(second["review"]["reviewers"][0].as_str().unwrap().starts_with("r-"), "no name goes outward: {shown}");
    let label = &shown["labels"][0];
    assert_eq!((&label["origin"], &label["drawn_as"]), (&answer.into(), &"audit".into()), "{shown}");

    worker.terminate();
    assert!(worker.ended(Duration::from_secs(25)).await.success(), "{}", worker.log());
    assert_eq!((site.depth("decisions").await, site.depth("dead").await), (0, 0));
    rights.revoke().await;
}
