//! Sending traces to a collector, by OTLP over HTTP.
//!
//! On a thread of its own, behind a queue that drops what does not fit: with a collector that is slow or away, traces are lost
//! and nothing else is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use super::traces;

/// For one request to the collector, its answer included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Linked from one batch; the SDK's 128 are fewer than a large batch.
const MOST_LINKS: u32 = 1024;
const SERVICE: &str = "assay";

/// `[traces]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// "" for no traces.
    pub endpoint: String,
    pub sample_ratio: f64,
}

impl Settings {
    /// What the types do not hold; the error names the key and the fix.
    pub fn validate(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(format!("traces.sample_ratio = {} must be from 0 to 1", self.sample_ratio));
        }
        let plain = |url: &Url| url.scheme() == "http" && url.host_str().is_some_and(|host| !host.is_empty());
        if self.endpoint.is_empty() || Url::parse(&self.endpoint).is_ok_and(|url| plain(&url)) {
            return Ok(());
        }
        Err("traces.endpoint must be an http:// address such as \"http://127.0.0.1:4318\", or \"\" for no traces; for \
             https:// run a collector beside the worker and let it send them on"
            .into())
    }
}

/// A running export of traces.
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// `None` where the settings ask for no traces.
    pub fn start(settings: &Settings) -> Result<Option<Exporter>, String> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let collector = Collector {
            client: HyperClient::with_default_connector(TIMEOUT, None),
            runtime: runtime.map_err(|error| format!("no thread for traces: {error}"))?,
            away: AtomicBool::new(false),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("traces.endpoint {:?} can't be used: {error}", settings.endpoint))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(SampleByLinks {
                otherwise: Sampler::TraceIdRatioBased(settings.sample_ratio),
            })))
            .with_max_links_per_span(MOST_LINKS)
            .with_resource(resource())
            .build();
        Ok(Some(Exporter { provider }))
    }

    /// A layer that takes the spans of [`traces`], and nothing else.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == traces::TARGET);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what is left, for at most `limit`.
    pub fn finish(self, limit: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

/// From `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, with a name and a version of our own where they give none.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let given = Resource::builder().with_attribute(version).build();
    let name = given.get(&Key::from_static_str("service.name"));
    match name {
        Some(name) if !name.as_str().starts_with("unknown_service") => given,
        _ => Resource::builder()
            .with_attributes(given.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
            .with_service_name(SERVICE)
            .build(),
    }
}

/// A span with links is recorded if one of the spans that it is linked to is; one without as `otherwise` says.
#[derive(Clone, Debug)]
struct SampleByLinks {
    otherwise: Sampler,
}

impl ShouldSample for SampleByLinks {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if links.is_empty() {
            return self.otherwise.should_sample(parent, trace, name, kind, attributes, links);
        }
        let wanted = links.iter().any(|link| link.span_context.is_sampled());
        let decision = if wanted { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

/// The way to the collector. The SDK's thread knows nothing of tokio, so the client brings a runtime of its own.
#[derive(Debug)]
struct Collector {
    client: HyperClient,
    runtime: Runtime,
    away: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Blocks, as it should: the thread has nothing else to do.
        let answer = self.runtime.block_on(self.client.send_bytes(request));
        let trouble = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match trouble {
            // One line for the first failure, one when it works again.
            Some(detail) if !self.away.swap(true, Ordering::Relaxed) => {
                tracing::warn!(detail, "the collector takes no traces: they are dropped until it does");
            }
            None if self.away.swap(false, Ordering::Relaxed) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str, sample_ratio: f64) -> Settings {
        Settings { endpoint: endpoint.into(), sample_ratio }
    }

    #[test]
    fn an_endpoint_is_plain_http_or_nothing() {
        for good in ["", "http://127.0.0.1:4318", "http://collector:4318/"] {
            assert_eq!(settings(good, 0.5).validate(), Ok(()), "{good}");
        }
        for bad in ["https://collector:4318", "127.0.0.1:4318", "collector", "http://"] {
            assert!(settings(bad, 0.5).validate().is_err(), "{bad}");
        }
        for ratio in [-0.1, 1.1, f64::NAN] {
            assert!(settings("", ratio).validate().is_err(), "{ratio}");
        }
    }

    #[test]
    fn without_an_endpoint_nothing_is_started() {
        assert!(Exporter::start(&settings("", 1.0)).unwrap().is_none());
    }
}
