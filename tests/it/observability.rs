//! Metrics and log lines: every metric that a dashboard, an alert or the documentation names is one that a real worker
//! shows, and every metric that it shows is documented.

use std::collections::BTreeSet;
use std::path::Path;

use broker::wire::{Message, Properties};
use serde_json::Value;
use time::OffsetDateTime;

use crate::support::images;
use crate::support::rig::DEADLINE;
use crate::support::site::{Site, request};

/// What is measured elsewhere: by RabbitMQ itself, and by the retrain job.
const ELSEWHERE: &[&str] = &[
    "rabbitmq_queue_consumers",
    "rabbitmq_queue_messages_ready",
    "assay_retrain_last_outcome",
    "assay_retrain_last_success_timestamp_seconds",
    "rabbitmq_global_messages_dead_lettered_expired_total",
    "rabbitmq_global_messages_dead_lettered_maxlen_total",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names in a text that look like metrics of ours or of RabbitMQ's.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| ["assay_", "rabbitmq_"].iter().any(|prefix| word.starts_with(prefix)));
    metrics.map(str::to_string).collect()
}

/// Every PromQL expression of a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "expr" || key == "query" => found.push(text.clone()),
                    other => expressions(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// Metrics and what a worker printed of them, after it has judged, failed, retried and refused.
async fn shown_by_a_worker() -> String {
    let site = Site::open().await;
    let key = site.put("a.bmp", images::bmp(256, 240)).await;
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
    let properties = Properties { timestamp: Some(now), ..Properties::default() };
    let message = |id: &str, key: &str| Message {
        body: request(id, key).to_string().into_bytes(),
        properties: properties.clone(),
    };
    let worker = site.worker(&[]).await;
    site.send([message("judged", &key), message("failed", "nowhere.jpg")]).await;
    site.until_recorded(2).await;
    site.send([message("judged", "another.jpg")]).await;
    site.submit_raw([b"{unreadable".to_vec()]).await;
    let settled = async {
        while worker.metric("assay_dead_letters_total{reason=\"unreadable\"}") < 1.0
            || worker.metric("assay_dead_letters_total{reason=\"conflict\"}") < 1.0
            || worker.metric("assay_processing_seconds_count") < 2.0
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, settled).await.unwrap_or_else(|_| panic!("{}", worker.get("/metrics").unwrap()));
    let answer = worker.get("/metrics").unwrap();
    for (metric, value) in [
        ("assay_outcomes_total{code=\"synthetic\",kind=\"verdict\"}", 1.0),
        ("assay_outcomes_total{code=\"object_not_found\",kind=\"failure\"}", 1.0),
        ("assay_outcomes_total{code=\"real\",kind=\"verdict\"}", 0.0),
        ("assay_generator_verdicts_total{generator=\"brighter\"}", 1.0),
        ("assay_generator_verdicts_total{generator=\"unknown\"}", 0.0),
        ("assay_synthetic_score_count", 1.0),
        ("assay_queue_wait_seconds_count{queue=\"live\"}", 3.0),
        ("assay_settlements_total{answer=\"done\"}", 2.0),
        ("assay_ready", 1.0),
        ("assay_stuck", 0.0),
        ("assay_ledger_partitions_ahead", 4.0),
    ] {
        assert_eq!(worker.metric(metric), value, "{metric}\n{answer}");
    }
    assert!(worker.metric("assay_device_busy_seconds_total") > 0.0);
    let model = format!("assay_model_info{{sha256=\"{}\",version=\"scripted\"}}", "0".repeat(64));
    assert_eq!(worker.metric(&model), 1.0);
    site.close().await;
    answer
}

fn shown_by_a_console() -> String {
    let condition = assay::console::Condition::new();
    let estimate = review::numbers::Estimate { value: Some(0.9), interval: Some([0.8, 0.95]), items: 40 };
    condition.show(&review::Gauges {
        backlog: [("appeal".into(), 1)].into(),
        oldest_s: [("appeal".into(), 60)].into(),
        model_version: Some("m1".into()),
        precision: estimate,
        misses: estimate,
        ..review::Gauges::default()
    });
    assay::admin::Watched::metrics(condition.as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_a_dashboard_an_alert_or_a_document_names_is_there() {
    let answer = shown_by_a_worker().await + &shown_by_a_console();
    let samples: BTreeSet<&str> =
        answer.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let mut queries = Vec::new();
    expressions(&serde_json::from_str(&read("deploy/observability/dashboard.json")).unwrap(), &mut queries);
    assert!(queries.len() > 20, "the dashboard was read");
    let mut missing = BTreeSet::new();
    for (place, text) in
        [("dashboard.json", queries.join("\n")), ("alerts.yaml", read("deploy/observability/alerts.yaml"))]
    {
        for name in metrics_in(&text) {
            if !samples.contains(name.as_str()) && !ELSEWHERE.contains(&name.as_str()) {
                missing.insert(format!("{place}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no worker shows {missing:#?}");

    let families: BTreeSet<_> =
        answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_string).collect();
    let mut documented = metrics_in(&read("docs/observability.md"));
    documented.retain(|name| name.starts_with("assay_"));
    let elsewhere = ELSEWHERE.iter().map(|name| name.to_string()).collect();
    assert_eq!(families.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new(), "not documented");
    let unknown: Vec<_> =
        documented.difference(&families).filter(|name| !BTreeSet::contains(&elsewhere, *name)).collect();
    assert!(unknown.is_empty(), "documented, and not there: {unknown:?}");
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read_on() {
    let rules = read("deploy/observability/alerts.yaml");
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert_eq!(alerts.len(), 13);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let runbook = format!("runbook_url: docs/operators.md#{}", name.to_lowercase());
        assert!(alert.lines().any(|line| line.trim() == runbook), "{name} has no {runbook}");
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_one_line_for_people_whatever_its_submitter_wrote() {
    let site = Site::open().await;
    let key = site.put("a.bmp", images::bmp(256, 240)).await;
    let forged = "post\n2026-01-01T00:00:00Z INFO verdict decision=\"real\"";
    site.submit([request(forged, &key), request("lost", "nowhere\n.jpg")]).await;
    let log = site.folder().join("human.log");
    let mut child = site
        .command()
        .arg("worker")
        .env("ASSAY__ADMIN__LISTEN", "")
        .env("ASSAY__LOG__FORMAT", "human")
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let lines = |word: &str| {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.contains(word)).map(str::to_string).collect::<Vec<_>>()
    };
    let told = async {
        while lines(" INFO verdict ").len() + lines(" INFO failure ").len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(DEADLINE, told).await;
    child.kill().unwrap();
    child.wait().unwrap();
    told.unwrap_or_else(|_| panic!("{}", std::fs::read_to_string(&log).unwrap()));
    let (verdicts, failures) = (lines("INFO verdict"), lines("INFO failure"));
    assert_eq!((verdicts.len(), failures.len()), (1, 1), "{verdicts:?}");
    for part in ["decision=\"synthetic\"", "synthetic=0.9", "submission=\"post\\n2026", "width=256", "duplicate=false"]
    {
        assert!(verdicts[0].contains(part), "no {part} in {}", verdicts[0]);
    }
    assert!(
        failures[0].contains("code=\"object_not_found\"") && failures[0].contains("nowhere\\n.jpg"),
        "{failures:?}"
    );
    site.close().await;
}
