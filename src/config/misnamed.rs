//! Variables of the environment that look like settings and are none: nothing reads them, and nobody would be told.

use super::DEFAULTS;
use super::variable::variable;

/// Variables that begin like ours and are read, here or by the tools and clients of this repository.
const OTHERS: [&str; 8] = [
    "ASSAY_CONFIG",
    "ASSAY_HOME",
    "ASSAY_WINOGRAD",
    "ASSAY_PREFIX",
    "ASSAY_BINARY",
    "ASSAY_LOCAL_DIR",
    "ASSAY_CONFORMANCE",
    "ASSAY_DENY_CPP_WARNINGS",
];
/// What Kubernetes tells a pod of a service that is called assay, or assay-…, ends so.
const OF_SERVICES: [&str; 3] = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
/// Or has this in it.
const OF_PORTS: [&str; 2] = ["_SERVICE_PORT_", "_PORT_"];

/// What to say of these variables' names, a sentence for each that is a mistake.
pub(super) fn remarks(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut remarks: Vec<String> = names.filter_map(|name| remark(&name)).collect();
    remarks.sort();
    remarks
}

fn remark(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix("ASSAY_").filter(|rest| !rest.starts_with('_'))?;
    if OTHERS.contains(&upper.as_str()) {
        return None;
    }
    if let Some(meant) = keys().find(|key| key.to_uppercase().replace('.', "_") == rest.replace("__", "_")) {
        return Some(format!("{name} is not read: write {}, with two underscores each", variable(&meant)));
    }
    if OF_SERVICES.iter().any(|end| upper.ends_with(end)) || OF_PORTS.iter().any(|part| upper.contains(part)) {
        return None;
    }
    Some(format!("{name} is not read: settings are called ASSAY__SECTION__KEY (`assay doctor --defaults` lists them)"))
}

/// Every key, as `section.key`.
fn keys() -> impl Iterator<Item = String> {
    let sections = toml::from_str::<toml::Table>(DEFAULTS).unwrap_or_default();
    sections.into_iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().cloned().unwrap_or_default();
        keys.into_iter().map(move |(key, _)| format!("{section}.{key}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(names: &[&str]) -> Vec<String> {
        remarks(names.iter().map(|name| (*name).to_string()))
    }

    #[test]
    fn one_underscore_is_told_of_with_the_name_that_was_meant() {
        let said = said(&["ASSAY_BROKER_URL", "ASSAY_OBJECTS__MAX_BYTES", "assay_database_url", "ASSAY_BROKR_URL"]);
        let parts = ["ASSAY__BROKER__URL", "ASSAY__SECTION__KEY", "ASSAY__OBJECTS__MAX_BYTES", "ASSAY__DATABASE__URL"];
        for part in parts {
            assert!(said.iter().any(|remark| remark.contains(part)), "{part}: {said:?}");
        }
        assert_eq!(said.len(), 4);
    }

    #[test]
    fn what_others_set_is_no_mistake() {
        let names = [
            "ASSAY__BROKER__URL",
            "ASSAY_CONFIG",
            "ASSAY_HOME",
            "ASSAYER",
            "PATH",
            "ASSAY_PREFIX",
            // Kubernetes, of a service "assay-worker".
            "ASSAY_WORKER_SERVICE_HOST",
            "ASSAY_WORKER_SERVICE_PORT",
            "ASSAY_WORKER_SERVICE_PORT_ADMIN",
            "ASSAY_WORKER_PORT",
            "ASSAY_WORKER_PORT_9464_TCP",
            "ASSAY_WORKER_PORT_9464_TCP_ADDR",
        ];
        assert_eq!(said(&names), Vec::<String>::new());
    }
}
