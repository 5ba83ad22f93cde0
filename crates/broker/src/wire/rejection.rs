//! What a sender is told of a message that was not taken: from what can still be read of it.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use super::message::{Message, Properties};
use super::native::tenant_of;
use super::{body, headers};
use domain::request::{MAX_SUBMISSION_ID, validate_tenant};
use domain::{Rejection, RejectionCode};

/// Longest reason in a rejection, in bytes.
const MAX_REASON: usize = 512;
/// The `type` of a message of ours begins so.
const OURS: &str = "assay.";

/// The answer to a message that was not taken. None to one of our own: a rejection that came back as a request would be
/// answered for ever.
pub fn rejection(
    message: &Message,
    code: RejectionCode,
    reason: &str,
    queue: &str,
    tenants: &BTreeMap<String, String>,
    at: OffsetDateTime,
) -> Option<Rejection> {
    if message.properties.kind.as_deref().is_some_and(|kind| kind.starts_with(OURS)) {
        return None;
    }
    let document = body::text(message).ok().and_then(|text| body::parse(&text).ok()).unwrap_or_default();
    let message_id = message.properties.message_id.clone();
    Some(Rejection {
        schema: Rejection::SCHEMA.into(),
        rejection_id: Rejection::id_of(message_id.as_deref(), &message.body),
        code,
        reason: headers::truncated(reason, MAX_REASON),
        queue: queue.into(),
        tenant: tenant(&document, tenants),
        submission_id: submission(&document),
        message_id,
        at,
    })
}

/// A rejection as it is published, and as the copy for `reply_to`: under the correlation id that the request gave, or its
/// submission id.
pub fn rejection_message(rejection: &Rejection, rejected: &Properties) -> Message {
    Message {
        body: serde_json::to_vec(rejection).expect("a rejection holds nothing that JSON can't"),
        properties: Properties {
            content_type: Some("application/json".into()),
            kind: Some(Rejection::SCHEMA.into()),
            message_id: Some(rejection.rejection_id.to_string()),
            correlation_id: rejected.correlation_id.clone().or_else(|| rejection.submission_id.clone()),
            timestamp: u64::try_from(rejection.at.unix_timestamp()).ok(),
            ..Properties::default()
        },
    }
}

/// The request in a document: the document itself, or the data of a CloudEvent.
fn request(document: &Value) -> &Value {
    document.get("data").filter(|_| document.get("specversion").is_some()).unwrap_or(document)
}

fn tenant(document: &Value, tenants: &BTreeMap<String, String>) -> Option<String> {
    let request = request(document);
    if let Some(named) = request.get("tenant").filter(|named| !named.is_null()) {
        return named.as_str().filter(|named| validate_tenant(named).is_ok()).map(str::to_string);
    }
    let bucket = [request.pointer("/image/bucket"), document.pointer("/Records/0/s3/bucket/name")];
    let bucket = bucket.into_iter().flatten().find_map(Value::as_str)?;
    Some(tenant_of(bucket, tenants))
}

fn submission(document: &Value) -> Option<String> {
    let id = request(document).get("submission_id")?.as_str()?;
    (1..=MAX_SUBMISSION_ID).contains(&id.len()).then(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(body: &str) -> Rejection {
        let message = Message { body: body.into(), ..Message::default() };
        let tenants = BTreeMap::from([("uploads".to_string(), "acme".to_string())]);
        let (code, at) = (RejectionCode::Unreadable, OffsetDateTime::UNIX_EPOCH);
        rejection(&message, code, "why", "assay.images", &tenants, at).unwrap()
    }

    #[test]
    fn of_what_cant_be_read_as_much_is_told_as_can() {
        let told = |body: &str| {
            let rejection = rejected(body);
            (rejection.routing_key(), rejection.submission_id)
        };
        let id = |id: &str| Some(id.to_string());
        assert_eq!(told("{half"), ("rejected.unknown".into(), None));
        assert_eq!(told(r#"{"submission_id": "a", "tenant": "globex"}"#), ("rejected.globex".into(), id("a")));
        assert_eq!(told(r#"{"submission_id": "a", "tenant": "a.b"}"#), ("rejected.unknown".into(), id("a")));
        assert_eq!(told(r#"{"submission_id": 7, "image": {"bucket": "uploads"}}"#), ("rejected.acme".into(), None));
        let event = r#"{"specversion": "1.0", "data": {"submission_id": "b", "tenant": "globex"}}"#;
        assert_eq!(told(event), ("rejected.globex".into(), id("b")));
        let event = r#"{"Records": [{"s3": {"bucket": {"name": "uploads"}}}]}"#;
        assert_eq!(told(event), ("rejected.acme".into(), None));
        let long = format!(r#"{{"submission_id": "{}", "tenant": "globex"}}"#, "x".repeat(257));
        assert_eq!(told(&long), ("rejected.globex".into(), None));
    }

    #[test]
    fn a_rejection_is_bounded_and_none_answers_another() {
        let message = Message { body: vec![b'x'; 1 << 20], ..Message::default() };
        let make = |message: &Message| {
            let at = OffsetDateTime::UNIX_EPOCH;
            rejection(message, RejectionCode::Conflict, &"ü".repeat(4000), "q", &BTreeMap::new(), at)
        };
        let first = make(&message).unwrap();
        let answer = rejection_message(&first, &message.properties);
        assert!(answer.body.len() < 2048, "{}", answer.body.len());
        assert_eq!(make(&answer), None);
    }

    #[test]
    fn an_answer_carries_the_correlation_id_that_was_given() {
        let rejection = rejected(r#"{"submission_id": "a"}"#);
        let given = Properties { correlation_id: Some("c".into()), ..Properties::default() };
        let id = |rejected: &Properties| rejection_message(&rejection, rejected).properties.correlation_id;
        assert_eq!(id(&given).as_deref(), Some("c"));
        assert_eq!(id(&Properties::default()).as_deref(), Some("a"));
    }

    #[test]
    fn a_wrong_value_is_shown_by_its_beginning() {
        let body = format!(
            r#"{{"submission_id": "a", "image": {{"bucket": "u", "key": "k"}}, "purpose": "{}"}}"#,
            "p".repeat(9000)
        );
        let message = Message { body: body.into_bytes(), ..Message::default() };
        let error = crate::wire::read(&message, false, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.len() < 200 && error.contains("ppp\"…"), "{error}");
    }
}
