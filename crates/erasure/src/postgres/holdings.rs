//! What there is of some submissions, and where.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::selection::{Selection, What};
use database::{query, query_scalar};
use domain::{Erased, ErasedSubmission, OutcomeId};

const KEYS: &str = "
SELECT submission_id, kind, outcome_id, recorded_at FROM outcomes WHERE tenant = $1 AND submission_id = ANY($2)
ORDER BY submission_id, generation";

const VERDICTS: &str = "
SELECT encode(image_sha256, 'hex') AS sha256, bucket, object_key FROM verdicts
WHERE recorded_at = ANY($1::timestamptz[]) AND verdict_id = ANY($2::uuid[])";

/// PostgreSQL finds nothing in JSON with an escaped NUL.
const FAILURES: &str = "
SELECT
    CASE WHEN strpos(document::text, '\\u0000') = 0 THEN lower(document->'image'->>'sha256') END AS sha256, bucket, object_key
FROM failures
WHERE recorded_at = ANY($1::timestamptz[]) AND failure_id = ANY($2::uuid[])";

/// A tenant's first verdict on an image is never one that reuses another.
const HELD_BY_OTHERS: &str = "
SELECT DISTINCT encode(image_sha256, 'hex') FROM verdicts
WHERE image_sha256 IN (SELECT decode(sha256, 'hex') FROM unnest($1::text[]) AS sha256) AND reused_from IS NULL AND tenant <> $2";

/// Images of the labels that people gave by naming one of these outcomes.
const LABELLED: &str = "SELECT DISTINCT sha256 FROM labels WHERE verdict_id = ANY($1::uuid[])";

/// What is there of some submissions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Holdings {
    /// Those that were asked for; of some there may be nothing but an item of a campaign.
    pub(super) asked: Vec<String>,
    pub submissions: Vec<ErasedSubmission>,
    pub(super) verdicts: Rows,
    pub(super) failures: Rows,
    /// Of the images, lower-case hexadecimal: those that no other tenant has, and those that one has.
    pub own_contents: Vec<String>,
    pub(super) shared_contents: Vec<String>,
    pub(super) locations: Vec<String>,
}

/// Rows of one table: where they are, and which they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) times: Vec<OffsetDateTime>,
    pub(super) ids: Vec<Uuid>,
}

impl Holdings {
    pub(super) fn outcome_ids(&self) -> Vec<Uuid> {
        [self.verdicts.ids.as_slice(), self.failures.ids.as_slice()].concat()
    }

    pub(crate) fn contents(&self) -> impl Iterator<Item = &str> {
        self.own_contents.iter().chain(&self.shared_contents).map(String::as_str)
    }

    pub(crate) fn event(&self, id: Uuid, tenant: &str, at: OffsetDateTime) -> Erased {
        Erased::new(id, tenant, self.submissions.clone(), at)
    }
}

pub(super) async fn holdings(
    connection: &mut PgConnection,
    selection: &Selection,
    submissions: &[String],
) -> Result<Holdings, sqlx::Error> {
    let mut held = Holdings { asked: submissions.to_vec(), ..Holdings::default() };
    let keys =
        query(KEYS).persistent(false).bind(&selection.tenant).bind(submissions).fetch_all(&mut *connection).await?;
    for row in &keys {
        let (submission_id, outcome_id): (String, Uuid) = (row.try_get("submission_id")?, row.try_get("outcome_id")?);
        let is_verdict = row.try_get::<i16, _>("kind")? == 0;
        let rows = if is_verdict { &mut held.verdicts } else { &mut held.failures };
        rows.times.push(row.try_get("recorded_at")?);
        rows.ids.push(outcome_id);
        match held.submissions.last_mut() {
            Some(last) if last.submission_id == submission_id => last.outcome_ids.push(OutcomeId(outcome_id)),
            _ => held.submissions.push(ErasedSubmission { submission_id, outcome_ids: vec![OutcomeId(outcome_id)] }),
        }
    }
    let mut contents = BTreeSet::new();
    if let What::Sha256(digest) = &selection.what {
        contents.insert(digest.clone());
    }
    let labelled = query_scalar::<String>(LABELLED).persistent(false).bind(held.outcome_ids());
    contents.extend(labelled.fetch_all(&mut *connection).await?);
    for (statement, rows) in [(VERDICTS, &held.verdicts), (FAILURES, &held.failures)] {
        let asked = query(statement).persistent(false).bind(&rows.times).bind(&rows.ids);
        for row in asked.fetch_all(&mut *connection).await? {
            // What a request said may be none.
            let digest = row.try_get::<Option<String>, _>("sha256")?;
            contents.extend(digest.filter(|digest| hex::decode(digest).is_ok_and(|bytes| bytes.len() == 32)));
            let (bucket, key): (&str, &str) = (row.try_get("bucket")?, row.try_get("object_key")?);
            held.locations.push(format!("s3://{bucket}/{key}"));
        }
    }
    let asked = contents.iter().cloned().collect::<Vec<_>>();
    let others = query_scalar::<String>(HELD_BY_OTHERS).persistent(false).bind(asked).bind(&selection.tenant);
    let others: BTreeSet<String> = others.fetch_all(connection).await?.into_iter().collect();
    (held.shared_contents, held.own_contents) = contents.into_iter().partition(|content| others.contains(content));
    Ok(held)
}
