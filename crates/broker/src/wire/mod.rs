//! What messages hold: the three forms of a request, and an outcome. Pure; it knows nothing of AMQP.
//!
//! The forms are told apart by content: `submission_id` makes a native request, `specversion` a CloudEvent
//! around one, `Records` an S3 event notification.

mod error;
mod fields;
pub mod headers;
pub(crate) mod message;
mod native;
mod s3_event;

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use crate::port::Publication;
use domain::{Context, Correction, Failure, Outcome, Request, TraceContext, Verdict};
pub use error::WireError;
use fields::Fields;
pub use message::{MAX_BODY, Message, Properties};
pub use native::{RequestDocument, tenant_of};

/// Reads the requests in a message: one, or one for each new object of an S3 event notification.
/// None at all is possible, for an event that asks for nothing.
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
    let document: Value = serde_json::from_slice(&message.body).map_err(WireError::NotJson)?;
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

/// Reads a correction, a message of the queue of labels.
pub fn read_correction(message: &Message) -> Result<Correction, WireError> {
    if message.body.len() > MAX_BODY {
        return Err(WireError::TooLong(message.body.len()));
    }
    match serde_json::from_slice(&message.body) {
        Ok(Value::Object(document)) => Correction::of_document(&document).map_err(|error| WireError::at("", &error)),
        Ok(_) => Err(WireError::NotAnObject),
        Err(error) => Err(WireError::NotJson(error)),
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

/// The copy for the request's `reply_to`: under the correlation id that the request gave, if it gave one.
pub fn reply(publication: Publication<'_>) -> Message {
    let mut message = outcome(publication);
    if let Some(asked) = &publication.context.correlation_id {
        message.properties.correlation_id = Some(asked.clone());
    }
    message
}

fn trace_headers(trace: &TraceContext, headers: &mut BTreeMap<String, String>) {
    let both = [(headers::TRACEPARENT, &trace.traceparent), (headers::TRACESTATE, &trace.tracestate)];
    for (name, value) in both {
        if let Some(value) = value {
            headers.insert(name.into(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
