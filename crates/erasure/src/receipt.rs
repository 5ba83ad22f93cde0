//! What came of an erasure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// The document `assay.erasure.v1`: what was found, deleted and kept, and why. It is printed, and kept in the database; it names
/// nothing of what was erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    #[schemars(extend("const" = Receipt::SCHEMA))]
    pub schema: String,
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub erasure_id: Uuid,
    pub tenant: String,
    /// By what it was selected: `submission`, `sha256`, `metadata`, or `tenant` for everything.
    pub selected_by: String,
    /// Who asked for it.
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub finished_at: OffsetDateTime,
    pub deleted: Counts,
    pub kept: Vec<Kept>,
    /// Versions of registered models that have learnt from one of the images.
    pub models: Vec<String>,
    pub not_reached: Vec<NotReached>,
}

/// How many of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// With all their generations.
    pub submissions: u64,
    pub verdicts: u64,
    pub failures: u64,
    pub labels: u64,
    /// Cached images of the retrain job on the machine where it was run.
    pub cached_images: u64,
}

/// What stays, though it has to do with what was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    pub what: String,
    pub count: u64,
    pub why: String,
}

/// Where there may be more, which this command can't see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotReached {
    #[serde(rename = "where")]
    pub place: String,
    pub what_to_do: String,
}

impl Receipt {
    pub const SCHEMA: &'static str = "assay.erasure.v1";

    /// What stays of so much that was deleted.
    pub(crate) fn kept(submissions: u64, labels_kept: u64, models: &[String]) -> Vec<Kept> {
        let kept = |what: &str, count: u64, why: &str| Kept { what: what.into(), count, why: why.into() };
        let all = [
            kept(
                "marks",
                submissions,
                "a salted digest of each key, so that a message that comes again is not judged again",
            ),
            kept("labels", labels_kept, "another tenant has the same image"),
            kept(
                "models",
                models.len() as u64,
                "weights can't unlearn one image, and their training's snapshot lists its digest; train the next one without it, and \
                 retire these",
            ),
        ];
        all.into_iter().filter(|kept| kept.count > 0).collect()
    }

    /// Where there may be more in any case.
    pub(crate) fn beyond_reach(prefix: &str) -> Vec<NotReached> {
        let place = |place: &str, what_to_do: &str| NotReached { place: place.into(), what_to_do: what_to_do.into() };
        vec![
            place("the object store", "the image itself is the platform's: delete the object and its versions"),
            place(
                &format!("queues of the broker ({prefix}.*)"),
                "what waits there passes by itself: a request comes to the failure `erased`; dead letters stay until \
                 `assay dead` replays or purges them",
            ),
            place("consumers", "they were sent `erased.<tenant>`, and delete what they have stored"),
            place(
                "logs and traces",
                "a log line names submission and object key; they go when their own retention ends",
            ),
            place("backups of the database", "after restoring one, run this command again"),
            place("exports of partitions that were dropped (retention.export)", "delete its rows there"),
            place(
                &format!("corrections in the queue {prefix}.labels"),
                "one that names the image becomes a label again: run `assay labels drain`, and then this command once more",
            ),
            place(
                "machines that run `assay retrain`",
                "a run under way may fetch the image once more, and the next one deletes what is no longer labelled; runs/*/snapshot.json of \
                 earlier ones, on this machine too, list digests and places",
            ),
            place(
                "what `[retention]` has removed before",
                "without its verdict the image of a submission is not known: give its digest by --sha256 if you have it",
            ),
            place(
                "verdicts of the same tenant that used these scores again",
                "they name the id of the verdict that they reused, which follows from the submission's id",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_only_where_something_is() {
        let kept = Receipt::kept(2, 0, &[]);
        assert_eq!(kept.iter().map(|kept| (kept.what.as_str(), kept.count)).collect::<Vec<_>>(), [("marks", 2)]);
        assert_eq!(Receipt::kept(0, 3, &["a".into()]).len(), 2);
        assert!(Receipt::kept(0, 0, &[]).is_empty());
    }
}
