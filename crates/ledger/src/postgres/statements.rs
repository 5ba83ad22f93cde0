//! The statements of the ledger: as few round trips as there can be, whatever the number of rows.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Content, Found};
use database::{query, query_scalar};
use domain::{Failure, ImageRef, ModelRef, Outcome, OutcomeId, SubmissionKey, Verdict};

/// One row for each outcome, in columns. What only verdicts or only failures have is NULL for the others.
///
/// A row whose key is taken, by whatever kind of outcome, is left out at `won`, and so everywhere. Where another
/// transaction is about to take the key, `ON CONFLICT` waits for its end.
const INSERT: &str = "
WITH given AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::bigint[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::real[], $14::real[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::boolean[], $20::uuid[]
    ) AS given (
        tenant, submission_id, generation, kind, outcome_id, bucket, object_key, purpose,
        at, document, word, image_sha256, synthetic, logit, generator,
        model_version, model_sha256, stage, retryable, reused_from
    )
), won AS (
    INSERT INTO outcomes (tenant, submission_id, generation, kind, outcome_id)
    SELECT tenant, submission_id, generation, kind, outcome_id FROM given
    ON CONFLICT DO NOTHING
    RETURNING tenant, submission_id, generation, kind
), verdict AS (
    INSERT INTO verdicts (
        tenant, submission_id, generation, verdict_id, decision, synthetic, logit, generator,
        model_version, model_sha256, bucket, object_key, image_sha256, purpose, decided_at, document, reused_from
    )
    SELECT
        tenant, submission_id, generation, outcome_id, word, synthetic, logit, generator,
        model_version, model_sha256, bucket, object_key, image_sha256, purpose, at, document::json, reused_from
    FROM given JOIN won USING (tenant, submission_id, generation, kind) WHERE kind = 'verdict'
), failure AS (
    INSERT INTO failures (
        tenant, submission_id, generation, failure_id, code, stage, retryable, bucket, object_key, purpose,
        failed_at, document
    )
    SELECT
        tenant, submission_id, generation, outcome_id, word, stage, retryable, bucket, object_key, purpose,
        at, document::json
    FROM given JOIN won USING (tenant, submission_id, generation, kind) WHERE kind = 'failure'
)
SELECT tenant, submission_id, generation FROM won";

/// LIMIT keeps the planner to one index look-up for each key, also when it believes the tables to be small.
const FIND: &str = "
SELECT verdict.document::text AS verdict, failure.document::text AS failure, earlier.outcome_id AS predecessor
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY
    AS asked (tenant, submission_id, generation, place)
LEFT JOIN LATERAL (
    SELECT document FROM verdicts v
    WHERE (v.tenant, v.submission_id, v.generation) = (asked.tenant, asked.submission_id, asked.generation)
    LIMIT 1
) AS verdict ON true
LEFT JOIN LATERAL (
    SELECT document FROM failures f
    WHERE (f.tenant, f.submission_id, f.generation) = (asked.tenant, asked.submission_id, asked.generation)
    LIMIT 1
) AS failure ON true
LEFT JOIN LATERAL (
    SELECT outcome_id FROM outcomes o
    WHERE (o.tenant, o.submission_id) = (asked.tenant, asked.submission_id) AND o.generation < asked.generation
    ORDER BY o.generation DESC
    LIMIT 1
) AS earlier ON true
ORDER BY asked.place";

const SCORED: &str = "
SELECT earlier.document::text AS verdict
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant, image_sha256, place)
LEFT JOIN LATERAL (
    SELECT document FROM verdicts v
    WHERE v.image_sha256 = asked.image_sha256 AND v.reused_from IS NULL
        AND v.tenant = asked.tenant AND v.model_sha256 = $3 AND v.model_version = $4
    LIMIT 1
) AS earlier ON true
ORDER BY asked.place";

const OUTCOME: &str = "
SELECT verdict.document::text AS verdict, failure.document::text AS failure
FROM outcomes
LEFT JOIN verdicts AS verdict USING (tenant, submission_id, generation)
LEFT JOIN failures AS failure USING (tenant, submission_id, generation)
WHERE outcome_id = $1
LIMIT 1";

/// The index finds the key; versions and etags are compared by the caller.
const LATEST: &str = "
SELECT document::text AS verdict FROM verdicts
WHERE object_key = $1 AND bucket = $2 AND tenant = $3
ORDER BY decided_at DESC
LIMIT 100";

/// The tables that lack the right to add and to read.
const FORBIDDEN: &str = "
SELECT name FROM unnest(ARRAY['outcomes', 'verdicts', 'failures']) AS name
WHERE NOT (has_table_privilege(name, 'INSERT') AND has_table_privilege(name, 'SELECT')) ORDER BY name";

/// Inserts outcomes with distinct keys; returns the keys that were free.
pub(super) async fn insert(
    connection: &mut PgConnection,
    outcomes: &[&Outcome],
) -> Result<HashSet<SubmissionKey>, sqlx::Error> {
    let entries: Vec<Entry> = outcomes
        .iter()
        .map(|outcome| entry(outcome))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    let inserted = query(INSERT)
        .bind(column(&entries, |entry| entry.tenant))
        .bind(column(&entries, |entry| entry.submission_id))
        .bind(column(&entries, |entry| i64::from(entry.generation)))
        .bind(column(&entries, |entry| entry.kind))
        .bind(column(&entries, |entry| entry.id.0))
        .bind(column(&entries, |entry| entry.bucket))
        .bind(column(&entries, |entry| entry.object_key))
        .bind(column(&entries, |entry| entry.purpose))
        .bind(column(&entries, |entry| entry.at))
        .bind(column(&entries, |entry| entry.document.as_str()))
        .bind(column(&entries, |entry| entry.word))
        .bind(column(&entries, |entry| entry.verdict.map(|verdict| verdict.image.sha256.as_str())))
        .bind(column(&entries, |entry| entry.verdict.map(|verdict| verdict.score.synthetic)))
        .bind(column(&entries, |entry| entry.verdict.map(|verdict| verdict.score.logit)))
        .bind(column(&entries, |entry| entry.verdict?.generator.as_ref().map(|generator| generator.label.as_str())))
        .bind(column(&entries, |entry| entry.verdict.map(|verdict| verdict.model.version.as_str())))
        .bind(column(&entries, |entry| entry.verdict.map(|verdict| verdict.model.sha256.as_str())))
        .bind(column(&entries, |entry| entry.failure.map(|failure| failure.stage.as_str())))
        .bind(column(&entries, |entry| entry.failure.map(|failure| failure.retryable)))
        .bind(column(&entries, |entry| entry.verdict?.reused_from.map(|earlier| earlier.0)))
        .fetch_all(connection)
        .await?;
    inserted.iter().map(key).collect()
}

/// One answer for each key, in order.
pub(super) async fn find(connection: &mut PgConnection, keys: &[SubmissionKey]) -> Result<Vec<Found>, sqlx::Error> {
    let rows = query(FIND)
        .bind(column(keys, |key| key.tenant.as_str()))
        .bind(column(keys, |key| key.submission_id.as_str()))
        .bind(column(keys, |key| i64::from(key.generation)))
        .fetch_all(connection)
        .await?;
    rows.iter().map(found).collect()
}

/// One answer for each content, in order.
pub(super) async fn scored(
    connection: &mut PgConnection,
    contents: &[Content],
    model: &ModelRef,
) -> Result<Vec<Option<Verdict>>, sqlx::Error> {
    let rows = query(SCORED)
        .bind(column(contents, |content| content.tenant.as_str()))
        .bind(column(contents, |content| content.sha256.as_str()))
        .bind(&model.sha256)
        .bind(&model.version)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| document(row, "verdict")).collect()
}

pub(super) async fn forbidden(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar(FORBIDDEN).fetch_all(connection).await
}

/// An outcome as a row; `verdict` and `failure` hold what only one of the kinds has.
struct Entry<'a> {
    tenant: &'a str,
    submission_id: &'a str,
    generation: u32,
    kind: &'static str,
    id: OutcomeId,
    bucket: &'a str,
    object_key: &'a str,
    purpose: &'static str,
    at: OffsetDateTime,
    document: String,
    /// The decision or the code.
    word: &'static str,
    verdict: Option<&'a Verdict>,
    failure: Option<&'a Failure>,
}

fn entry(outcome: &Outcome) -> Result<Entry<'_>, serde_json::Error> {
    let (kind, id, word, document) = (outcome.kind(), outcome.id(), outcome.word(), serde_json::to_string(outcome)?);
    Ok(match outcome {
        Outcome::Verdict(verdict) => Entry {
            tenant: &verdict.tenant,
            submission_id: &verdict.submission_id,
            generation: verdict.generation,
            bucket: &verdict.image.bucket,
            object_key: &verdict.image.key,
            purpose: verdict.purpose.as_str(),
            at: verdict.decided_at,
            verdict: Some(verdict),
            failure: None,
            kind,
            id,
            word,
            document,
        },
        Outcome::Failure(failure) => Entry {
            tenant: &failure.tenant,
            submission_id: &failure.submission_id,
            generation: failure.generation,
            bucket: &failure.image.bucket,
            object_key: &failure.image.key,
            purpose: failure.purpose.as_str(),
            at: failure.at,
            verdict: None,
            failure: Some(failure),
            kind,
            id,
            word,
            document,
        },
    })
}

pub(super) async fn outcome(connection: &mut PgConnection, id: OutcomeId) -> Result<Option<Outcome>, sqlx::Error> {
    let row = query(OUTCOME).bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map_or(Ok(None), standing)
}

pub(super) async fn latest(
    connection: &mut PgConnection,
    tenant: &str,
    image: &ImageRef,
) -> Result<Option<Verdict>, sqlx::Error> {
    let rows = query(LATEST).bind(&image.key).bind(&image.bucket).bind(tenant).fetch_all(connection).await?;
    for row in &rows {
        let verdict: Option<Verdict> = document(row, "verdict")?;
        if let Some(verdict) = verdict.filter(|verdict| verdict.image.reference().agrees_with(image)) {
            return Ok(Some(verdict));
        }
    }
    Ok(None)
}

fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn key(row: &PgRow) -> Result<SubmissionKey, sqlx::Error> {
    let generation: i64 = row.try_get("generation")?;
    let generation = u32::try_from(generation).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SubmissionKey { tenant: row.try_get("tenant")?, submission_id: row.try_get("submission_id")?, generation })
}

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    let predecessor: Option<Uuid> = row.try_get("predecessor")?;
    Ok(Found { standing: standing(row)?, predecessor: predecessor.map(OutcomeId) })
}

fn standing(row: &PgRow) -> Result<Option<Outcome>, sqlx::Error> {
    let verdict = document(row, "verdict")?.map(|verdict| Outcome::Verdict(Box::new(verdict)));
    let failure = document(row, "failure")?.map(|failure| Outcome::Failure(Box::new(failure)));
    Ok(verdict.or(failure))
}

fn document<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(|error| sqlx::Error::Decode(error.into()))
}
