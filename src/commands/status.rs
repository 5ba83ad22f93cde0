//! `assay status`: workers, models and queues at a glance.

use std::collections::BTreeMap;

use clap::Parser;
use serde_json::json;

use super::End;
use super::followers::{self, FORGOTTEN, is_at_work};
use super::print::say;
use super::table::fit;
use crate::config::Config;
use broker::rabbit;
use broker::rabbit::Survey;
use broker::topology::{Depth, Kept, Topology};
use database::Database;
use ledger::workers::postgres::Postgres;
use ledger::workers::{LastReport, Workers};

/// Which workers there are, what they do and which model they use, and what waits in the queues.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay status
  watch -n 5 assay status
  assay status --all                   empty queues too
  assay status --json | jq '.queues[] | select(.ready > 1000)'

A worker that stops is gone from here; one that is killed is shown as silent for a quarter of an hour.")]
pub(super) struct Args {
    /// One JSON document, with every queue.
    #[arg(long)]
    json: bool,
    /// List empty queues that nobody consumes too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let workers = Postgres::on(&Database::connect(&config.database).await?).last_reports(FORGOTTEN).await?;
    let Survey { depths, remarks } = rabbit::survey(&config.broker).await?;
    let topology = Topology::new(&config.broker);
    if args.json {
        say!("{}", document(&depths, &workers, topology.kept()));
    } else {
        let mut lines = lines(&depths, &workers, args.all);
        lines.extend(results(&topology, &depths));
        lines.extend(remarks.into_iter().map(|remark| format!("\n{remark}")));
        say!("{}", lines.join("\n"));
    }
    Ok(())
}

/// What becomes of outcomes that nobody reads.
fn results(topology: &Topology, depths: &[Depth]) -> Option<String> {
    let (kept, queue) = (topology.kept()?, topology.results());
    let found = depths.iter().find(|depth| depth.queue == queue)?;
    let days = kept.age_s as f64 / 86_400.0;
    let bound = match kept {
        Kept { messages: 0, age_s: 0 } => "without a bound".to_string(),
        Kept { messages, age_s: 0 } => format!("of at most {messages}"),
        Kept { messages: 0, .. } => format!("kept for {days:.1} days"),
        Kept { messages, .. } => format!("of at most {messages}, kept for {days:.1} days"),
    };
    let full = kept.messages > 0 && u64::from(found.ready) >= kept.messages;
    let state = match (full, found.ready, found.consumers) {
        (true, ..) => "; FULL: the oldest are dropped as others come",
        (false, 1.., 0) => "; nobody reads them: set broker.results_queue = false if nobody is meant to",
        _ => "",
    };
    Some(format!("\n{queue}: {} outcomes {bound}{state}", found.ready))
}

/// How long the messages that were taken last had waited: the age of the queue's oldest, within a moment.
fn longest_wait(workers: &[LastReport]) -> Option<f32> {
    let waits = workers.iter().filter(|last| is_at_work(last)).filter_map(|last| last.report.queue_wait_s);
    waits.max_by(f32::total_cmp)
}

/// Model versions, and how many workers use each.
fn models(workers: &[LastReport]) -> BTreeMap<(&str, &str), usize> {
    let mut models = BTreeMap::new();
    for LastReport { report, .. } in workers.iter().filter(|last| is_at_work(last)) {
        *models.entry((report.model_version.as_str(), report.model_sha256.as_str())).or_default() += 1;
    }
    models
}

fn lines(depths: &[Depth], workers: &[LastReport], all: bool) -> Vec<String> {
    let mut lines = worker_lines(workers);
    lines.push(String::new());
    lines.extend(queue_lines(depths, all));
    if let Some(wait) = longest_wait(workers) {
        lines.push(format!("the live message taken last had waited {wait:.1} s in its queue"));
    }
    let dead = depths.iter().find(|depth| depth.queue.ends_with(".dead")).map_or(0, |depth| depth.ready);
    if dead > 0 {
        lines.push(format!("\n{dead} dead letters: `assay dead list` shows them"));
    }
    lines
}

fn worker_lines(workers: &[LastReport]) -> Vec<String> {
    if workers.is_empty() {
        return vec!["no workers: start one with `assay worker`".into()];
    }
    let mut lines =
        vec![format!("{:<34} {:<10} {:<24} {:>9} {:>9}  state", "worker", "device", "model", "in flight", "oldest")];
    for last in workers {
        let report = &last.report;
        let silent = format!("silent for {} s", last.age.as_secs());
        let state = if is_at_work(last) { &report.state } else { &silent };
        lines.push(format!(
            "{:<34} {:<10} {:<24} {:>9} {:>7.1} s  {state}",
            fit(&report.name, 34),
            report.device,
            fit(&report.model_version, 24),
            report.in_flight,
            report.oldest_in_flight_s
        ));
    }
    lines.extend(followers::in_words(workers));
    let models = models(workers);
    if models.len() > 1 {
        lines.push("more than one model is at work:".into());
        lines.extend(
            models.iter().map(|((version, sha256), count)| format!("  {version} ({sha256:.12}…) on {count} workers")),
        );
    }
    lines
}

/// Queues with messages, and those that workers consume; the others as one number, unless all are asked for.
fn queue_lines(depths: &[Depth], all: bool) -> Vec<String> {
    let (shown, empty): (Vec<&Depth>, Vec<&Depth>) =
        depths.iter().partition(|depth| all || depth.ready > 0 || depth.consumers > 0);
    let row = |depth: &&Depth| format!("{:<34} {:>9} {:>10}", fit(&depth.queue, 34), depth.ready, depth.consumers);
    let mut lines = vec![format!("{:<34} {:>9} {:>10}", "queue", "ready", "consumers")];
    lines.extend(shown.iter().map(row));
    if !empty.is_empty() {
        lines.push(format!("empty queues without consumers: {} (--all lists them)", empty.len()));
    }
    lines
}

fn document(depths: &[Depth], workers: &[LastReport], kept: Option<Kept>) -> serde_json::Value {
    let queues =
        depths.iter().map(|depth| json!({"queue": depth.queue, "ready": depth.ready, "consumers": depth.consumers}));
    let shown = workers.iter().map(|last| {
        let report = &last.report;
        json!({
            "name": report.name, "version": report.version, "device": report.device, "state": report.state,
            "at_work": is_at_work(last), "seen_s_ago": last.age.as_secs_f32(), "in_flight": report.in_flight,
            "oldest_in_flight_s": report.oldest_in_flight_s, "queue_wait_s": report.queue_wait_s,
            "follows_registry": report.follows_registry,
            "model": {"version": report.model_version, "sha256": report.model_sha256},
        })
    });
    let models = models(workers);
    let models =
        models.iter().map(|((version, sha256), count)| json!({"version": version, "sha256": sha256, "workers": count}));
    json!({
        "queues": queues.collect::<Vec<_>>(), "queue_wait_s": longest_wait(workers), "workers": shown.collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
        "results": kept.map(|kept| json!({"max_messages": kept.messages, "max_age_s": kept.age_s})),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::*;
    use ledger::workers::WorkerReport;

    fn last(name: &str, age: u64, wait: f32) -> LastReport {
        let report = WorkerReport {
            name: name.into(),
            version: "1".into(),
            device: "cpu".into(),
            model_version: "2026.11.1".into(),
            model_sha256: "b".repeat(64),
            follows_registry: Some(true),
            state: "ready".into(),
            in_flight: 3,
            oldest_in_flight_s: 0.5,
            queue_wait_s: Some(wait),
            started_at: OffsetDateTime::UNIX_EPOCH,
        };
        LastReport { report, age: Duration::from_secs(age) }
    }

    #[test]
    fn silent_workers_are_shown_but_not_counted() {
        let workers = [last("a/1", 2, 1.5), last("b/1", 300, 99.0)];
        let depth = |queue: &str, ready, consumers| Depth { queue: queue.into(), ready, consumers };
        let depths = [depth("assay.dead", 2, 0), depth("assay.images", 0, 1), depth("assay.labels", 0, 0)];
        assert_eq!(longest_wait(&workers), Some(1.5));
        assert_eq!(models(&workers).values().sum::<usize>(), 1);
        let text = lines(&depths, &workers, false).join("\n");
        assert!(text.contains("silent for 300 s") && text.contains("2 dead letters"), "{text}");
        assert!(text.contains("assay.images ") && !text.contains("assay.labels"), "{text}");
        assert!(text.contains("empty queues without consumers: 1 (--all"), "{text}");
        assert!(text.find("worker ").unwrap() < text.find("queue ").unwrap(), "workers come first: {text}");
        assert!(lines(&depths, &workers, true).join("\n").contains("assay.labels"));
        assert_eq!(document(&depths, &workers, None)["workers"][1]["at_work"], false);
    }

    #[test]
    fn the_results_that_nobody_reads_are_told_of_with_their_bound() {
        let settings = |change: fn(&mut broker::Settings)| {
            let mut settings = Config::load(None).unwrap().broker;
            change(&mut settings);
            Topology::new(&settings)
        };
        let told = |topology: &Topology, ready, consumers| {
            results(topology, &[Depth { queue: topology.results(), ready, consumers }])
        };
        let small = settings(|settings| settings.results_max_messages = 10);
        assert!(told(&small, 10, 1).unwrap().contains("10 outcomes of at most 10, kept for 7.0 days; FULL"));
        assert!(told(&small, 3, 0).unwrap().contains("broker.results_queue = false"));
        assert!(told(&small, 3, 1).unwrap().ends_with("kept for 7.0 days"));
        let endless = settings(|settings| (settings.results_max_messages, settings.results_max_age_s) = (0, 0));
        assert!(told(&endless, 3, 1).unwrap().ends_with("without a bound"));
        assert_eq!(told(&settings(|settings| settings.results_queue = false), 3, 0), None);
    }
}
