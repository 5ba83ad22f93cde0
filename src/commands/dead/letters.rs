//! A dead letter as it is shown, and the filter by which some are chosen.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;
use sha2::{Digest, Sha256};

use broker::wire::headers;
use broker::{DeadLetter, InputQueue};

/// What is shown of a dead letter.
pub(super) struct LetterView {
    /// Eight hexadecimal digits of a digest of its body and the time at which it was dead-lettered.
    pub id: String,
    pub reason: String,
    /// RFC 3339.
    pub at: Option<String>,
    /// The name of the queue that it came from.
    pub queue: Option<String>,
    /// The same where it is a queue that it can be replayed to.
    pub origin: Option<InputQueue>,
    pub submission: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl LetterView {
    pub(super) fn of(letter: &DeadLetter) -> LetterView {
        let (body, all) = (&letter.message.body, &letter.message.properties.headers);
        // What the broker dead-lettered has headers of its own, and no reason but that it was delivered too often.
        let reason = all.get(headers::REASON).or_else(|| all.get("x-first-death-reason")).map_or_else(
            || "none given".into(),
            |reason| match reason.as_str() {
                "delivery_limit" => {
                    "delivered more often than broker.delivery_limit allows: it may kill its worker".into()
                }
                _ => reason.clone(),
            },
        );
        let at = all.get(headers::AT).cloned();
        let mut shown = all.clone();
        // Counts how often people have looked, too.
        shown.remove(headers::DELIVERY_COUNT);
        let digest = Sha256::new().chain_update(body).chain_update(at.as_deref().unwrap_or_default()).finalize();
        LetterView {
            id: hex::encode(&digest[..4]),
            reason,
            at,
            queue: headers::origin_queue(all).map(str::to_string),
            origin: letter.origin,
            submission: submission(body),
            headers: shown,
            body: body.clone(),
        }
    }
}

/// The submission that a message is about, as far as it can be read.
fn submission(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let native = document.get("submission_id").or_else(|| document.get("data")?.get("submission_id"));
    let object = || {
        let s3 = document.get("Records")?.get(0)?.get("s3")?;
        Some(format!("s3://{}/{}", s3.get("bucket")?.get("name")?.as_str()?, s3.get("object")?.get("key")?.as_str()?))
    };
    native.and_then(Value::as_str).map(str::to_string).or_else(object)
}

/// Which letters are chosen; without options, all.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only those whose reason contains this.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those that came from this queue.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only those of this submission.
    #[arg(long, value_name = "ID")]
    submission: Option<String>,
}

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        self.reason.is_none() && self.queue.is_none() && self.submission.is_none()
    }

    pub(super) fn matches(&self, letter: &LetterView) -> bool {
        self.reason.as_ref().is_none_or(|text| letter.reason.contains(text))
            && self.queue.as_ref().is_none_or(|queue| letter.queue.as_ref() == Some(queue))
            && self.submission.as_ref().is_none_or(|id| letter.submission.as_ref() == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_submission_of_each_form_is_found() {
        let found = |body: &str| submission(body.as_bytes());
        assert_eq!(found(r#"{"submission_id": "a"}"#).as_deref(), Some("a"));
        assert_eq!(found(r#"{"specversion": "1.0", "data": {"submission_id": "b"}}"#).as_deref(), Some("b"));
        let event = r#"{"Records": [{"s3": {"bucket": {"name": "u"}, "object": {"key": "k"}}}]}"#;
        assert_eq!(found(event).as_deref(), Some("s3://u/k"));
        assert_eq!(found("{half"), None);
        assert_eq!(found(r#"{"submission_id": 7}"#), None);
    }
}
