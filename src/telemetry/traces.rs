//! Traces by OpenTelemetry's messaging conventions: one span for each image from intake to acknowledgement, with its
//! stages below it, and one for each batch on the device, linked to those of its images.
//!
//! The context comes with the message (`traceparent`) and goes on with its outcome. Spans are `tracing`'s: without an
//! [`exporter`](super::exporter) they are disabled, and making one costs what a log line below the level costs.

use std::borrow::Cow;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use domain::{Context, FailureCode, Outcome, Request, TraceContext};

/// The target of all spans here. They are for the exporter alone: no log line shows them, whatever `log.level` says.
pub const TARGET: &str = "assay::trace";

/// The work on one request that came by `queue`, a child of what its sender was doing.
pub fn process(queue: &str, request: &Request) -> Span {
    let (key, context, image) = (&request.key, &request.context, &request.image);
    let span = info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = field::Empty,
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        messaging.system = "rabbitmq",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = queue,
        messaging.message.id = context.message_id,
        messaging.message.conversation_id = context.correlation_id,
        assay.tenant = key.tenant,
        assay.submission_id = key.submission_id,
        assay.generation = key.generation,
        assay.purpose = request.purpose.as_str(),
        assay.attempt = context.attempt,
        assay.redelivered = context.redelivered,
        assay.image = field::Empty,
        assay.outcome = field::Empty,
        assay.code = field::Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", format!("process {queue}"));
        span.record("assay.image", format!("s3://{}/{}", image.bucket, image.key));
        let parent = TraceContextPropagator::new().extract(&Carrier(context.trace.clone()));
        // Fails only for a span that has begun, and this one is new.
        let _ = span.set_parent(parent);
    }
    span
}

/// A stage of the work on one image: fetch, decode, wait, record.
pub fn stage(name: &'static str, of: &Span) -> Span {
    info_span!(
        target: TARGET, parent: of, "stage",
        otel.name = name, otel.status_code = field::Empty, error.type = field::Empty
    )
}

/// The publication of an outcome.
pub fn publish(exchange: &str, outcome: &Outcome, of: &Span) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: of,
        "publish",
        otel.name = field::Empty,
        otel.kind = "producer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = field::Empty,
        messaging.rabbitmq.destination.routing_key = field::Empty,
        messaging.message.id = field::Empty,
        messaging.message.conversation_id = field::Empty,
    );
    if !span.is_disabled() {
        let routing_key = outcome.routing_key();
        span.record("otel.name", format!("publish {exchange}"));
        span.record("messaging.destination.name", format!("{exchange}:{routing_key}"));
        span.record("messaging.rabbitmq.destination.routing_key", routing_key);
        span.record("messaging.message.id", outcome.id().to_string());
        span.record("messaging.message.conversation_id", outcome.key().submission_id);
    }
    span
}

/// A batch on the device: it belongs to no one trace, so it is linked to those of its images, and they to it.
pub fn batch<'a>(device: &str, reason: &str, images: impl ExactSizeIterator<Item = &'a Span> + Clone) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "infer",
        messaging.system = "rabbitmq",
        messaging.batch.message_count = images.len(),
        assay.device = device,
        assay.batch.reason = reason,
    );
    if !span.is_disabled() {
        let of = |span: &Span| span.context().span().span_context().clone();
        // The sampler decides by the links, so they come before anything asks for the span's own context.
        images.clone().for_each(|image| span.add_link(of(image)));
        let own = of(&span);
        images.for_each(|image| image.add_link(own.clone()));
    }
    span
}

/// Marks a span as failed.
pub fn set_failed(span: &Span, code: FailureCode) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", code.as_str());
}

/// Says how the work on a request ended (`verdict`, `failure`, `retry`, `dead`, `released`), and its decision or code.
pub fn set_outcome(span: &Span, outcome: &'static str, code: &'static str) {
    span.record("assay.outcome", outcome);
    span.record("assay.code", code);
}

/// The context to publish an outcome with: that of the request, but as a child of the span that publishes it.
pub fn context_of<'a>(context: &'a Context, span: &Span) -> Cow<'a, Context> {
    if span.is_disabled() {
        return Cow::Borrowed(context);
    }
    let mut carrier = Carrier(TraceContext::default());
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    Cow::Owned(Context { trace: carrier.0, ..context.clone() })
}

struct Carrier(TraceContext);

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0.traceparent.as_deref(),
            "tracestate" => self.0.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.0.traceparent = Some(value),
            "tracestate" if !value.is_empty() => self.0.tracestate = Some(value),
            _ => {}
        }
    }
}
