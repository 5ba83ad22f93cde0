//! A dead letter as it is shown, and the filter by which some are chosen.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::commands::End;
use broker::wire::headers;
use broker::{DeadLetter, InputQueue};

/// Most ids that an error names.
const MAX_NAMED: usize = 5;
/// Digits of an id in an error about several.
const MAX_ID: usize = 16;

/// What is shown of a dead letter.
pub(super) struct LetterView {
    /// The first eight digits of `digest`.
    pub id: String,
    /// Of its body and the time at which it was dead-lettered, hexadecimal: ids may be written as long as they must be.
    pub digest: String,
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
        let digest = hex::encode(digest);
        LetterView {
            id: digest[..8].into(),
            digest,
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

/// Letters that were asked for by the beginnings of their ids: each must be that of one letter.
#[derive(Debug)]
pub(super) struct Named {
    /// What was asked for, and the digests that begin so.
    asked: Vec<(String, BTreeSet<String>)>,
}

impl Named {
    pub(super) fn new(ids: &[String]) -> Named {
        Named { asked: ids.iter().map(|id| (id.to_ascii_lowercase(), BTreeSet::new())).collect() }
    }

    /// Takes note of a letter, and says whether it is one that was asked for.
    pub(super) fn see(&mut self, letter: &LetterView) -> bool {
        let mut named = false;
        for (_, digests) in self.asked.iter_mut().filter(|(id, _)| letter.digest.starts_with(id.as_str())) {
            digests.insert(letter.digest.clone());
            named = true;
        }
        named
    }

    /// Once all letters were seen: whether each id is that of one letter.
    pub(super) fn check(&self) -> Result<(), End> {
        for (id, digests) in &self.asked {
            match digests.len() {
                0 => {
                    let none = format!("no dead letter has the id {id:?}; `assay dead list` shows them");
                    return Err(End::work(none));
                }
                1 => {}
                many => {
                    let some: Vec<_> = digests.iter().take(MAX_NAMED).map(|digest| &digest[..MAX_ID]).collect();
                    let some = some.join(", ");
                    return Err(End::usage(format!(
                        "{id:?} is the beginning of {many} ids ({some}): nothing was done; write more digits of the one that is meant"
                    )));
                }
            }
        }
        Ok(())
    }
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

    fn view(digest: &str) -> LetterView {
        LetterView {
            id: digest[..8].into(),
            digest: format!("{digest:0<64}"),
            reason: String::new(),
            at: None,
            queue: None,
            origin: None,
            submission: None,
            headers: BTreeMap::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn an_id_that_begins_several_is_refused_and_more_digits_tell_them_apart() {
        let letters = [view("3f9c21aa01"), view("3f9c21aa02"), view("77777777")];
        let named = |ids: &[&str]| {
            let mut named = Named::new(&ids.iter().map(|id| (*id).to_string()).collect::<Vec<_>>());
            let seen: Vec<_> = letters.iter().map(|letter| named.see(letter)).collect();
            (seen, named.check().map_err(|end| (end.code(), end.message().unwrap_or_default().to_string())))
        };
        assert_eq!(named(&["7"]), (vec![false, false, true], Ok(())));
        assert_eq!(named(&["3F9C21AA02", "7777"]), (vec![false, true, true], Ok(())));
        let (code, said) = named(&["3f9c21aa"]).1.unwrap_err();
        assert!(code == 2 && said.contains("3f9c21aa01") && said.contains("3f9c21aa02"), "{said}");
        assert_eq!(named(&["77", ""]).1.unwrap_err().0, 2, "nothing is the beginning of all");
        assert_eq!(named(&["77", "ffff"]).1.unwrap_err().0, 1);
    }

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
