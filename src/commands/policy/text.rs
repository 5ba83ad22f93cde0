//! Trials and policies for people.

use crate::commands::table::harmless;
use crate::moment::moment;
use moderation::{Activation, Precision, Stored, TrialReport};

/// What a policy would have done.
pub(super) fn lines(report: &TrialReport) -> Vec<String> {
    let mut lines = vec![
        format!("policy {}, tried on {}: {} verdicts", report.version, report.selection, report.verdicts),
        String::new(),
        format!("{:<8} {:>10} {:>8}   of those labelled", "action", "verdicts", "share"),
    ];
    for count in &report.actions {
        let precision = report.precision.iter().find(|precision| precision.action == count.action);
        lines.push(format!(
            "{:<8} {:>10} {:>8}   {}",
            count.action.as_str(),
            count.verdicts,
            share(count.verdicts, report.verdicts),
            precision.map_or(String::new(), labelled)
        ));
    }
    lines.push(String::new());
    lines.push(format!("{:<3} {:<32} {:<8} {:>10}", "", "rule", "action", "verdicts"));
    for rule in &report.rules {
        let row = format!("{:<3} {:<32} {:<8} {:>10}", rule.number, rule.rule, rule.action.as_str(), rule.verdicts);
        lines.push(row);
    }
    lines.push(format!("{:<3} {:<32} {:<8} {:>10}", "", "(no rule)", "none", report.no_rule));
    lines.push(String::new());
    lines.push(match report.changes.is_empty() {
        true => "nothing changes".into(),
        false => format!("what changes from what followed so far ({} stay as they are):", report.unchanged),
    });
    for change in &report.changes {
        let examples: Vec<String> = change
            .examples
            .iter()
            .map(|one| harmless(&format!("{}/{}", one.tenant, one.submission_id)).to_string())
            .collect();
        lines.push(format!(
            "  {} → {}: {}, for example {}",
            change.from.as_str(),
            change.to.as_str(),
            change.verdicts,
            examples.join(", ")
        ));
    }
    lines.push(String::new());
    lines.push(format!("trial {}", report.digest));
    lines.push(format!(
        "`assay policy activate {} --trial {} --reason TEXT` puts it in force, once it is put",
        report.version,
        &report.digest[..12]
    ));
    lines
}

fn share(part: u64, all: u64) -> String {
    if all == 0 { "-".into() } else { format!("{:.1} %", 100.0 * part as f64 / all as f64) }
}

fn labelled(precision: &Precision) -> String {
    match (precision.precision, precision.interval) {
        (Some(found), Some([low, high])) => format!(
            "{} of {} synthetic: {:.1} % ({:.1} to {:.1} %)",
            precision.synthetic,
            precision.labelled,
            100.0 * found,
            100.0 * low,
            100.0 * high
        ),
        _ => "none".into(),
    }
}

/// Which there are, and which was in force when.
pub(super) fn of_all(stored: &[Stored], activations: &[Activation]) -> Vec<String> {
    let in_force = activations.first().and_then(|last| last.policy.as_ref());
    if stored.is_empty() {
        return vec![
            "there are no policies, so nothing follows from verdicts; `assay policy put FILE` stores one".into(),
        ];
    }
    let mut lines = vec![format!("{:<14} {:<21} {:<24} state", "policy", "put", "by")];
    for one in stored {
        let state = if in_force == Some(&one.digest) { "in force" } else { "" };
        let line = format!("{:<14} {:<21} {:<24} {state}", one.version(), moment(one.put_at), harmless(&one.actor));
        lines.push(line.trim_end().into());
    }
    if !activations.is_empty() {
        lines.push(String::new());
        lines.push("in force, the latest first:".into());
    }
    for one in activations {
        let policy = one.policy.as_deref().map_or("none", |digest| &digest[..12]);
        lines.push(format!(
            "  {}  {policy:<12}  by {}: {}",
            moment(one.activated_at),
            harmless(&one.actor),
            harmless(&one.reason)
        ));
    }
    lines
}
