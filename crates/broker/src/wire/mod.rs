//! What messages hold: the three forms of a request, and an outcome. Pure; it knows nothing of AMQP.
//!
//! The forms are told apart by content: `submission_id` makes a native request, `specversion` a CloudEvent
//! around one, `Records` an S3 event notification.

mod body;
mod error;
mod events;
mod fields;
pub mod headers;
pub(crate) mod message;
mod native;
mod rejection;
mod s3_event;
mod sent_at;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::port::Publication;
use domain::{Appeal, Context, Correction, Failure, Outcome, Request, ReviewDecision, TraceContext, Verdict};
pub use error::WireError;
pub use events::event;
use fields::Fields;
pub use message::{MAX_BODY, Message, Properties};
pub use native::{RequestDocument, tenant_of};
pub use rejection::{rejection, rejection_message};

/// What was read in a message.
#[derive(Debug, Default)]
pub struct Reading {
    /// One, or one for each new object of an S3 event notification. None at all for an event that asks for nothing.
    pub requests: Vec<Request>,
    /// Why records of an S3 event notification can't be read, whose other records can.
    pub refused: Vec<WireError>,
    /// Headers that were cut or left out.
    pub headers_dropped: u64,
}

impl Reading {
    /// Why a part of the message can't be read, if there is such a part, in one line.
    pub fn refusal(&self) -> Option<String> {
        let (first, others) = self.refused.split_first()?;
        let more = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
        Some(format!("{first}{more}; the other records were read"))
    }
}

/// Reads the requests in a message, all of them or none.
///
/// `tenants` says to whom a bucket belongs where the message does not.
pub fn read(
    message: &Message,
    redelivered: bool,
    tenants: &BTreeMap<String, String>,
) -> Result<Vec<Request>, WireError> {
    let mut reading = read_each(message, redelivered, tenants)?;
    match reading.refused.pop() {
        Some(error) => Err(error),
        None => Ok(reading.requests),
    }
}

/// Reads the requests in a message. An error where nothing of it can be read.
pub fn read_each(
    message: &Message,
    redelivered: bool,
    tenants: &BTreeMap<String, String>,
) -> Result<Reading, WireError> {
    let text = body::text(message)?;
    let (context, headers_dropped) = context(&message.properties, redelivered);
    let read = |text: &[u8]| read_document(body::parse(text)?, tenants, &context);
    let mut reading = read(&text).or_else(|error| {
        // A lone surrogate in what only comes back with the outcome is replaced; in a name it would name something else.
        let with = |instead| body::without_lone_surrogates(&text, instead).and_then(|text| read(&text).ok());
        match (with(b"\\ufffd"), with(b"\\ufffc")) {
            (Some(one), Some(other)) if differ_in_metadata_only(&one, &other) => Ok(one),
            _ => Err(error),
        }
    })?;
    reading.headers_dropped += headers_dropped;
    Ok(reading)
}

fn differ_in_metadata_only(one: &Reading, other: &Reading) -> bool {
    let bare = |reading: &Reading| -> Vec<Request> {
        reading.requests.iter().map(|request| Request { metadata: Map::new(), ..request.clone() }).collect()
    };
    one.refused.is_empty() && other.refused.is_empty() && bare(one) == bare(other)
}

fn read_document(document: Value, tenants: &BTreeMap<String, String>, context: &Context) -> Result<Reading, WireError> {
    let document = unwrapped(document)?;
    let Value::Object(map) = &document else { return Err(WireError::UnknownForm) };
    let fields = Fields::root(map);
    let whole = |requests| Reading { requests, ..Reading::default() };
    if fields.has("submission_id") {
        Ok(whole(vec![native::read(&fields, tenants, context.clone())?]))
    } else if fields.has("specversion") {
        let (request, headers_dropped) = native::read_cloud_event(&fields, tenants, context.clone())?;
        Ok(Reading { headers_dropped, ..whole(vec![request]) })
    } else if fields.has("Records") {
        let (requests, refused) = s3_event::read(&fields, tenants, context)?;
        Ok(Reading { refused, ..whole(requests) })
    } else if s3_event::is_event_bridge(&fields) {
        s3_event::read_event_bridge(&fields, tenants, context.clone()).map(whole)
    } else if s3_event::is_test(&fields) {
        Ok(Reading::default())
    } else if fields.has("image") {
        Err(WireError::field("submission_id", "is missing"))
    } else {
        Err(WireError::UnknownForm)
    }
}

/// Reads a correction, a message of the queue of labels.
pub fn read_correction(message: &Message) -> Result<Correction, WireError> {
    Correction::of_document(&object(message)?).map_err(|error| WireError::at("", &error))
}

/// What an appeal says.
pub fn read_appeal(message: &Message) -> Result<Appeal, WireError> {
    Appeal::of_document(&object(message)?).map_err(|error| WireError::at("", &error))
}

/// What people decided of a verdict.
pub fn read_decision(message: &Message) -> Result<ReviewDecision, WireError> {
    serde_json::from_value(Value::Object(object(message)?)).map_err(WireError::NotJson)
}

/// A decision, as the console sends it.
pub fn decision(decision: &ReviewDecision) -> Message {
    Message {
        body: serde_json::to_vec(decision).expect("a decision holds nothing that JSON can't"),
        properties: Properties {
            content_type: Some("application/json".into()),
            kind: Some(ReviewDecision::SCHEMA.into()),
            message_id: Some(decision.decision_id.to_string()),
            correlation_id: Some(decision.submission_id.clone()),
            timestamp: u64::try_from(decision.decided_at.unix_timestamp()).ok(),
            ..Properties::default()
        },
    }
}

fn object(message: &Message) -> Result<Map<String, Value>, WireError> {
    match body::parse(&body::text(message)?)? {
        Value::Object(document) => Ok(document),
        _ => Err(WireError::NotAnObject),
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

/// The context that the properties give, and how many of the headers were cut or left out.
fn context(properties: &Properties, redelivered: bool) -> (Context, u64) {
    let header = |name| properties.headers.get(name).cloned();
    let milliseconds = header(headers::TIMESTAMP_MS).and_then(|text| text.parse::<i64>().ok());
    let milliseconds = milliseconds.and_then(|number| sent_at::of_unix(i128::from(number) * 1_000_000));
    let seconds = || properties.timestamp.and_then(|number| sent_at::of_unix(i128::from(number) * 1_000_000_000));
    let (trace, dropped) = TraceContext::bounded(header(headers::TRACEPARENT), header(headers::TRACESTATE));
    let context = Context {
        attempt: attempt(properties),
        redelivered,
        enqueued_at: milliseconds.or_else(seconds),
        message_id: properties.message_id.clone(),
        correlation_id: properties.correlation_id.clone(),
        reply_to: properties.reply_to.clone(),
        trace,
    };
    (context, dropped)
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
            content_encoding: None,
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
mod strange_tests;
#[cfg(test)]
mod tests;
