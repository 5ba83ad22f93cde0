//! What messages hold: the three forms of a request, and an outcome. Pure; it knows nothing of AMQP.
//!
//! The forms are told apart by content: `submission_id` makes a native request, `specversion` a CloudEvent
//! around one, `Records` an S3 event notification.

mod fields;
mod native;
mod s3_event;

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Publication;
use domain::{Context, Correction, Failure, Outcome, Request, RequestError, TraceContext, Verdict};
use fields::Fields;
pub use native::RequestDocument;

/// Longest body that is read, in bytes. A thousand S3 records fit.
pub const MAX_BODY: usize = 1 << 20;
/// Most records of one S3 event notification.
pub const MAX_RECORDS: usize = 1000;
/// Longest reason that is written into a header, in bytes: headers must fit into one frame.
const MAX_REASON: usize = 2048;

/// Headers that Assay reads or adds.
pub mod headers {
    /// The number of the attempt, from 1; each step of the retry ladder adds one.
    pub const ATTEMPT: &str = "x-assay-attempt";
    /// Why a message is in the dead letters or on the ladder.
    pub const REASON: &str = "x-assay-reason";
    /// The queue that a dead message came from.
    pub const QUEUE: &str = "x-assay-queue";
    /// When it was put among the dead, RFC 3339.
    pub const AT: &str = "x-assay-at";
    /// How often a quorum queue has handed a message out before; the broker adds it.
    pub const DELIVERY_COUNT: &str = "x-delivery-count";
    pub const TRACEPARENT: &str = "traceparent";
    pub const TRACESTATE: &str = "tracestate";
    /// Milliseconds since 1970; finer than the seconds of the `timestamp` property.
    pub const TIMESTAMP_MS: &str = "timestamp_in_ms";
}

/// A message without its broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub body: Vec<u8>,
    pub properties: Properties,
}

/// Those properties of a message that mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub content_type: Option<String>,
    /// The `type` property: the schema of the body.
    pub kind: Option<String>,
    pub message_id: Option<String>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// Headers that are text or numbers, as text.
    pub headers: BTreeMap<String, String>,
}

/// Why a message can't be read. It will be no better next time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message is {0} bytes long; at most {MAX_BODY} are read")]
    TooLong(usize),
    #[error("the message is no JSON: {0}")]
    NotJson(String),
    #[error(
        "the message is none of the three forms: a request has `submission_id` and `image`, an S3 event \
         notification has `Records`, a CloudEvent has `specversion` and `data`"
    )]
    UnknownForm,
    #[error("`{field}` {problem}")]
    Field { field: String, problem: String },
}

impl WireError {
    fn field(field: impl Into<String>, problem: impl Into<String>) -> WireError {
        WireError::Field { field: field.into(), problem: problem.into() }
    }

    /// `error` in a part of the message that lies at `path`.
    fn at(path: &str, error: &RequestError) -> WireError {
        let field = if path.is_empty() { error.field.to_string() } else { format!("{path}.{}", error.field) };
        WireError::Field { field, problem: error.problem.clone() }
    }
}

/// Reads the requests in a message: one, or one for each new object of an S3 event notification.
/// None at all is an answer too: an event that asks for nothing.
///
/// `tenants` says to whom a bucket belongs where the message does not.
pub fn read(
    message: &Message,
    redelivered: bool,
    tenants: &BTreeMap<String, String>,
) -> Result<Vec<Request>, WireError> {
    if message.body.len() > MAX_BODY {
        return Err(WireError::TooLong(message.body.len()));
    }
    let document: Value =
        serde_json::from_slice(&message.body).map_err(|error| WireError::NotJson(error.to_string()))?;
    let document = unwrapped(document)?;
    let Value::Object(map) = &document else { return Err(WireError::UnknownForm) };
    let fields = Fields::root(map);
    let context = context(&message.properties, redelivered);
    if fields.has("submission_id") {
        Ok(vec![native::read(&fields, tenants, context)?])
    } else if fields.has("specversion") {
        Ok(vec![native::read_cloud_event(&fields, tenants, context)?])
    } else if fields.has("Records") {
        s3_event::read(&fields, tenants, &context)
    } else if s3_event::is_event_bridge(&fields) {
        s3_event::read_event_bridge(&fields, tenants, context)
    } else if s3_event::is_test(&fields) {
        Ok(Vec::new())
    } else if fields.has("image") {
        Err(WireError::field("submission_id", "is missing"))
    } else {
        Err(WireError::UnknownForm)
    }
}

/// Reads what somebody says an image is: a message of the queue of labels.
pub fn read_correction(message: &Message) -> Result<Correction, WireError> {
    if message.body.len() > MAX_BODY {
        return Err(WireError::TooLong(message.body.len()));
    }
    match serde_json::from_slice(&message.body) {
        Ok(Value::Object(document)) => Correction::of_document(&document).map_err(|error| WireError::at("", &error)),
        Ok(_) => Err(WireError::NotJson("it is no object".into())),
        Err(error) => Err(WireError::NotJson(error.to_string())),
    }
}

/// What is in the envelope that Amazon's SNS puts around a message, unless raw delivery is on.
fn unwrapped(document: Value) -> Result<Value, WireError> {
    match (document.get("Type").and_then(Value::as_str), document.get("Message").and_then(Value::as_str)) {
        (Some("Notification"), Some(inner)) => {
            serde_json::from_str(inner).map_err(|error| WireError::field("Message", format!("holds no JSON: {error}")))
        }
        _ => Ok(document),
    }
}

/// To whom an image belongs that names no tenant.
pub fn tenant_of(bucket: &str, tenants: &BTreeMap<String, String>) -> String {
    tenants.get(bucket).map_or("default", String::as_str).to_string()
}

/// The number of the attempt that a message stands for, from 1.
pub fn attempt(properties: &Properties) -> u32 {
    properties.headers.get(headers::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

fn context(properties: &Properties, redelivered: bool) -> Context {
    let header = |name| properties.headers.get(name).cloned();
    let milliseconds = header(headers::TIMESTAMP_MS).and_then(|text| text.parse::<i64>().ok());
    let nanoseconds = match (milliseconds, properties.timestamp) {
        (Some(milliseconds), _) => Some(i128::from(milliseconds) * 1_000_000),
        (None, Some(seconds)) => Some(i128::from(seconds) * 1_000_000_000),
        (None, None) => None,
    };
    Context {
        attempt: attempt(properties),
        redelivered,
        enqueued_at: nanoseconds.and_then(|time| OffsetDateTime::from_unix_timestamp_nanos(time).ok()),
        message_id: properties.message_id.clone(),
        correlation_id: properties.correlation_id.clone(),
        reply_to: properties.reply_to.clone(),
        trace: TraceContext { traceparent: header(headers::TRACEPARENT), tracestate: header(headers::TRACESTATE) },
    }
}

/// A request as a native message: what `assay enqueue` sends.
pub fn request(request: &Request, now: OffsetDateTime) -> Message {
    let mut message = Message {
        body: native::write(request),
        properties: Properties {
            content_type: Some("application/json".into()),
            message_id: request.context.message_id.clone(),
            correlation_id: Some(request.key.submission_id.clone()),
            reply_to: request.context.reply_to.clone(),
            timestamp: u64::try_from(now.unix_timestamp()).ok(),
            ..Properties::default()
        },
    };
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    message.properties.headers.insert(headers::TIMESTAMP_MS.into(), milliseconds.to_string());
    trace_headers(&request.context.trace, &mut message.properties.headers);
    message
}

/// A submission id for an object that came without one: the same for the same bytes, as far as version and etag
/// tell (empty where they are not known).
pub fn submission_id_of(bucket: &str, key: &str, version_id: &str, etag: &str) -> String {
    s3_event::submission_id(bucket, key, version_id, etag, "")
}

/// An outcome as it is published: the same bytes and ids however often it is.
pub fn outcome(publication: Publication<'_>) -> Message {
    let Publication { outcome, context } = publication;
    let (kind, at) = match outcome {
        Outcome::Verdict(verdict) => (Verdict::SCHEMA, verdict.decided_at),
        Outcome::Failure(failure) => (Failure::SCHEMA, failure.at),
    };
    let mut headers = BTreeMap::new();
    trace_headers(&context.trace, &mut headers);
    Message {
        body: serde_json::to_vec(outcome).expect("an outcome holds nothing that JSON can't"),
        properties: Properties {
            content_type: Some("application/json".into()),
            kind: Some(kind.into()),
            message_id: Some(outcome.id().to_string()),
            correlation_id: Some(outcome.key().submission_id),
            reply_to: None,
            timestamp: u64::try_from(at.unix_timestamp()).ok(),
            headers,
        },
    }
}

/// The copy for whoever asked for an answer: under the id that they gave, if they gave one.
pub fn answer(publication: Publication<'_>) -> Message {
    let mut message = outcome(publication);
    if let Some(asked) = &publication.context.correlation_id {
        message.properties.correlation_id = Some(asked.clone());
    }
    message
}

/// The headers that a message gets on its way to the dead letters.
pub fn marks_of_death(reason: &str, queue: &str, now: OffsetDateTime) -> [(&'static str, String); 3] {
    let at = now.format(&Rfc3339).unwrap_or_else(|_| now.unix_timestamp().to_string());
    [(headers::REASON, clip(reason)), (headers::QUEUE, queue.to_string()), (headers::AT, at)]
}

/// Whether a header tells of a death, or of the attempts before it: ours, or the broker's own.
pub fn is_mark_of_death(header: &str) -> bool {
    let ours = [headers::REASON, headers::QUEUE, headers::AT, headers::ATTEMPT, headers::DELIVERY_COUNT];
    ours.contains(&header) || ["x-death", "x-first-death-", "x-last-death-"].iter().any(|mark| header.starts_with(mark))
}

/// The headers that a message gets on the retry ladder, after its attempt number `attempt`.
pub fn marks_of_delay(reason: &str, attempt: u32) -> [(&'static str, String); 2] {
    [(headers::ATTEMPT, attempt.saturating_add(1).to_string()), (headers::REASON, clip(reason))]
}

fn trace_headers(trace: &TraceContext, headers: &mut BTreeMap<String, String>) {
    let both = [(headers::TRACEPARENT, &trace.traceparent), (headers::TRACESTATE, &trace.tracestate)];
    for (name, value) in both {
        if let Some(value) = value {
            headers.insert(name.into(), value.clone());
        }
    }
}

fn clip(reason: &str) -> String {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_string()
}

#[cfg(test)]
mod tests;
