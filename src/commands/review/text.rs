//! Items and numbers, for people.

use time::OffsetDateTime;

use crate::commands::print::say;
use crate::commands::table::harmless;
use review::numbers::Estimate;
use review::{ListedItem, Numbers};

pub(super) fn items(items: &[ListedItem]) {
    if items.is_empty() {
        say!("nothing; a running `assay console` collects, or `assay review collect`");
        return;
    }
    say!("{:<36}  {:<10} {:<14} {:>7}  submission", "item", "source", "tenant", "age");
    for item in items {
        let submission = harmless(&item.submission_id);
        let source = item.source.as_str();
        say!("{:<36}  {source:<10} {:<14} {:>7}  {submission}", item.id.0, item.tenant, age(item.arrived_at));
    }
}

fn age(since: OffsetDateTime) -> String {
    let seconds = (OffsetDateTime::now_utc() - since).whole_seconds().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

pub(super) fn numbers(numbers: &Numbers) {
    let flow = &numbers.flow;
    say!("waiting {}, reviewed {}, not reviewed {}", flow.waiting, flow.reviewed, flow.not_reviewed);
    if numbers.audit.is_empty() {
        say!("no verdict of the audit sample in this time (review.audit_share)");
    } else {
        say!("");
        say!("{:<16} {:<8} {:>8}  {:<24} {:<24}", "model", "week", "answered", "precision", "misses");
    }
    for week in &numbers.audit {
        let answered: u64 = week.strata.iter().map(|stratum| stratum.answered()).sum();
        let (precision, misses) = (estimate(&week.precision), estimate(&week.misses));
        let name = harmless(&week.model_version);
        say!("{name:<16} {:<8} {answered:>8}  {precision:<24} {misses:<24}", week.week.to_string());
    }
    let Some(reviewers) = &numbers.reviewers else { return };
    say!("");
    say!("{:<14} {:>6}  {:<24} {:>6}", "reviewer", "votes", "right on golden items", "kappa");
    for reviewer in reviewers {
        let accuracy = reviewer.accuracy.as_ref().map_or("–".into(), |accuracy| estimate(&accuracy.golden));
        let kappa = reviewer.kappa.map_or("–".into(), |kappa| format!("{kappa:.2}"));
        say!("{:<14} {:>6}  {accuracy:<24} {kappa:>6}", reviewer.name, reviewer.votes);
    }
}

fn estimate(estimate: &Estimate) -> String {
    match (estimate.value, estimate.interval) {
        (Some(value), Some([low, high])) => format!("{value:.3} ({low:.3} to {high:.3})"),
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => "too few".into(),
    }
}
