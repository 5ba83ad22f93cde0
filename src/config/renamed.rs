//! Keys that have another name now: refused with the new one.

use std::collections::HashMap;

use super::variable::variable;

/// Keys that had another name: before and now.
pub(super) const RENAMED: &[(&str, &str)] = &[
    ("ledger.url", "database.url"),
    ("ledger.schema", "database.schema"),
    ("ledger.connections", "database.connections"),
    ("ledger.timeout_s", "database.timeout_s"),
    ("ledger.patience_s", "worker.outage_wait_s"),
    ("worker.patience_s", "worker.outage_wait_s"),
];

/// A key that has another name now, as it stands in a file or in the environment.
#[derive(Debug)]
pub struct Renamed {
    before: String,
    now: String,
}

/// Keys of a file that have another name now.
pub(super) fn keys(file: &toml::Table) -> Vec<Renamed> {
    let stands = |key: &str| {
        let (section, name) = key.split_once('.').unwrap_or_default();
        file.get(section).and_then(toml::Value::as_table).is_some_and(|section| section.contains_key(name))
    };
    let renamed = RENAMED.iter().filter(|(before, _)| stands(before));
    renamed.map(|(before, now)| Renamed { before: before.to_string(), now: now.to_string() }).collect()
}

/// Variables of the environment that have another name now.
pub(super) fn variables(variables: &HashMap<String, String>) -> Vec<Renamed> {
    // As the layers read them: letters may be small.
    let stands = |before: &str| variables.keys().find(|name| name.eq_ignore_ascii_case(&variable(before)));
    let renamed = RENAMED.iter().filter_map(|(before, now)| Some((stands(before)?, now)));
    renamed.map(|(before, now)| Renamed { before: before.clone(), now: variable(now) }).collect()
}

pub(super) fn words(keys: &[Renamed]) -> String {
    keys.iter().map(|Renamed { before, now }| format!("{before} is {now} now")).collect::<Vec<_>>().join(", ")
}
