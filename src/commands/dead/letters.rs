//! A dead letter as people see it, and which of them they mean.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::commands::End;
use broker::rabbit::Letter;
use broker::wire::headers;

/// What a person wants to know of a dead letter.
pub(super) struct Dead {
    /// Eight digits that follow from what it is and when it died.
    pub id: String,
    pub reason: String,
    /// RFC 3339.
    pub at: Option<String>,
    /// The queue that it came from.
    pub queue: Option<String>,
    pub submission: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Dead {
    pub fn of(letter: &Letter) -> Dead {
        let (body, marks) = (&letter.message.body, &letter.message.properties.headers);
        // What the broker moved itself has marks of its own, and no reason but that it was delivered too often.
        let header = |ours: &str, brokers: &str| marks.get(ours).or_else(|| marks.get(brokers)).cloned();
        let reason = header(headers::REASON, "x-first-death-reason").map_or_else(
            || "none given".into(),
            |reason| match reason.as_str() {
                "delivery_limit" => {
                    "delivered more often than broker.delivery_limit allows: it may kill its worker".into()
                }
                _ => reason,
            },
        );
        let at = marks.get(headers::AT).cloned();
        let mut shown = marks.clone();
        // Counts how often people have looked, too.
        shown.remove(headers::DELIVERY_COUNT);
        let digest = Sha256::new().chain_update(body).chain_update(at.as_deref().unwrap_or_default()).finalize();
        Dead {
            id: hex::encode(&digest[..4]),
            reason,
            at,
            queue: header(headers::QUEUE, "x-first-death-queue"),
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

/// Which letters are meant; all of them unless told.
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
    pub fn is_empty(&self) -> bool {
        self.reason.is_none() && self.queue.is_none() && self.submission.is_none()
    }

    pub fn takes(&self, dead: &Dead) -> bool {
        self.reason.as_ref().is_none_or(|text| dead.reason.contains(text))
            && self.queue.as_ref().is_none_or(|queue| dead.queue.as_ref() == Some(queue))
            && self.submission.as_ref().is_none_or(|id| dead.submission.as_ref() == Some(id))
    }
}

/// A line of the answer. Whoever stops reading has heard enough.
pub(super) fn printed(line: &str) -> Result<(), End> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(End::work(error)),
        _ => Ok(()),
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
