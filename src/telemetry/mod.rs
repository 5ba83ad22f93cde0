//! Logs and metrics: what the operator sees.

pub mod metrics;

use std::io::IsTerminal;

use serde::Deserialize;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

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

/// Starts logging to standard error. Call once.
pub fn start(settings: &Settings) -> Result<(), FilterError> {
    // lapin reports as errors what the broker room waits out, or asked for; whoever wants to read it names it.
    let filter = EnvFilter::try_new(format!("lapin=off,{}", settings.level))
        .map_err(|error| FilterError { level: settings.level.clone(), detail: error.to_string() })?;
    let json = match settings.format {
        Format::Json => true,
        Format::Human => false,
        Format::Auto => !std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let harmless = filter_fn(|metadata| !says_secrets(metadata));
    // A second start (in tests) keeps the first.
    let _ = if json {
        registry.with(layer.json().flatten_event(true).with_filter(harmless)).try_init()
    } else {
        let layer = layer.with_ansi(std::io::stderr().is_terminal()).with_target(false);
        registry.with(layer.with_filter(harmless)).try_init()
    };
    Ok(())
}

/// What a library writes out with the secrets in it, and what is therefore never logged, whatever the filter asks for:
/// lapin's frames, of which one is the login.
fn says_secrets(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::TRACE && metadata.target().starts_with("lapin")
}
