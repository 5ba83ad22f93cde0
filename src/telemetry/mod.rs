//! Logs, metrics and traces: what the operator sees.

pub mod exporter;
pub mod metrics;
pub mod traces;

use std::io::IsTerminal;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

pub use exporter::Exporter;
pub use metrics::Metrics;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Auto,
    Human,
    Json,
}

/// `[log]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub format: Format,
    pub level: String,
}

#[derive(Debug, thiserror::Error)]
#[error("log.level {level:?} is no level and no filter: {detail}; try \"info\" or \"info,assay::broker=debug\"")]
pub struct FilterError {
    level: String,
    detail: String,
}

/// The packages of the workspace: what logs for the reader of the log.
const OURS: [&str; 13] = [
    "assay", "artefact", "broker", "database", "decoder", "engine", "imaging", "labels", "learn", "ledger", "objects",
    "registry", "tls",
];

/// Starts logging to standard error, and hands the spans of [`traces`] to the exporter, if there is one. Call once. Without
/// `libraries`, a level is that of our own packages alone: who asked a command wants its answer.
pub fn start(settings: &Settings, exporter: Option<&Exporter>, libraries: bool) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(directives(&settings.level, libraries))
        .map_err(|error| FilterError { level: settings.level.clone(), detail: error.to_string() })?;
    let json = match settings.format {
        Format::Json => true,
        Format::Human => false,
        Format::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let for_people = filter_fn(|metadata| !contains_secrets(metadata) && metadata.target() != traces::TARGET);
    let filter = filter.and(for_people.with_max_level_hint(LevelFilter::TRACE));
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
    if json {
        layers.push(lines.json().flatten_event(true).with_filter(filter).boxed());
    } else {
        let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_target(false);
        layers.push(lines.with_filter(filter).boxed());
    }
    layers.extend(exporter.map(|exporter| exporter.layer().boxed()));
    // A second start (in tests) keeps the first.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(())
}

fn directives(level: &str, libraries: bool) -> String {
    let is_level = level.parse::<LevelFilter>().is_ok();
    if libraries || !is_level {
        // lapin logs as errors what `broker` handles, or asked for. `log.level` can turn it on by its name.
        return format!("lapin=off,{level}");
    }
    let ours = OURS.map(|package| format!("{package}={level}"));
    format!("off,{}", ours.join(","))
}

/// Whether a library writes secrets there. It is then never logged, whatever the filter asks for: lapin's frames, one of
/// which is the login.
fn contains_secrets(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::TRACE && metadata.target().starts_with("lapin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_logs_of_libraries_only_what_is_asked_for_by_name() {
        assert_eq!(directives("info", true), "lapin=off,info");
        assert_eq!(directives("trace,lapin=trace", false), "lapin=off,trace,lapin=trace");
        let quiet = directives("info", false);
        assert!(quiet.starts_with("off,assay=info,") && EnvFilter::try_new(&quiet).is_ok(), "{quiet}");
        assert_eq!(directives("assay::worker", false), "lapin=off,assay::worker");
    }
}
