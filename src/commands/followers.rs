//! Which workers there are to follow a promotion, and which model each serves, by their last reports.

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::workers::{LastReport, SILENT_AFTER};

/// Those that said nothing for this long are not shown.
pub(super) const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

pub(super) fn is_at_work(last: &LastReport) -> bool {
    last.age <= SILENT_AFTER
}

/// A line for those who follow the registry, and one for each other kind that there is.
pub(super) fn in_words(workers: &[LastReport]) -> Vec<String> {
    let kinds = [
        (Some(true), "following the registry"),
        (Some(false), "with a fixed model"),
        (None, "of an earlier version, which does not say whether it follows the registry"),
    ];
    let line = |(follows, what): (Option<bool>, &str)| {
        let mut models: BTreeMap<&str, usize> = BTreeMap::new();
        for last in workers.iter().filter(|last| is_at_work(last) && last.report.follows_registry == follows) {
            *models.entry(last.report.model_version.as_str()).or_default() += 1;
        }
        let count: usize = models.values().sum();
        if count == 0 {
            return (follows == Some(true))
                .then(|| "no worker follows the registry (detector.model = \"registry\")".into());
        }
        let models: Vec<_> = models.iter().map(|(version, count)| format!("{version} ({count})")).collect();
        let workers = if count == 1 { "worker" } else { "workers" };
        Some(format!("{count} {workers} {what}: {}", models.join(", ")))
    };
    kinds.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use ledger::workers::WorkerReport;

    fn last(model: &str, follows_registry: Option<bool>, age: u64) -> LastReport {
        let report = WorkerReport {
            name: "a/1".into(),
            version: "1".into(),
            device: "cpu".into(),
            model_version: model.into(),
            model_sha256: "b".repeat(64),
            follows_registry,
            state: "ready".into(),
            in_flight: 0,
            oldest_in_flight_s: 0.0,
            queue_wait_s: None,
            started_at: OffsetDateTime::UNIX_EPOCH,
        };
        LastReport { report, age: Duration::from_secs(age) }
    }

    #[test]
    fn followers_are_counted_by_the_model_that_they_serve() {
        let workers = [
            last("2", Some(true), 1),
            last("1", Some(true), 2),
            last("2", Some(true), 3),
            last("2", Some(true), 300),
            last("own", Some(false), 1),
            last("old", None, 1),
        ];
        let expected = [
            "3 workers following the registry: 1 (1), 2 (2)",
            "1 worker with a fixed model: own (1)",
            "1 worker of an earlier version, which does not say whether it follows the registry: old (1)",
        ];
        assert_eq!(in_words(&workers), expected);
        let none = in_words(&workers[4..5]);
        assert!(none[0].starts_with("no worker follows the registry"), "{none:?}");
    }
}
