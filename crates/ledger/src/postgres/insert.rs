//! Inserting outcomes: the key and its row, of a verdict or of a failure, by one statement.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::remainder::remainder;
use crate::gone::binding;
use database::query;
use domain::{Failure, Outcome, OutcomeId, SubmissionKey, Verdict};

/// One row for each outcome, in columns. What only verdicts or only failures have is NULL for the others.
///
/// A row whose key is taken, by whatever kind of outcome, is left out at `won`, and so everywhere. Where another
/// transaction is about to take the key, `ON CONFLICT` waits for its end.
const BEFORE: &str = "
WITH given AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::uuid[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::real[], $14::real[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::boolean[], $20::uuid[], $21::uuid[], $22::timestamptz[]
    ) AS given (
        tenant, submission_id, generation, kind, outcome_id, bucket, object_key, purpose,
        at, document, word, image_sha256, synthetic, logit, generator,
        model_version, model_sha256, stage, retryable, reused_from, image_binding, recorded_at
    )
), won AS (
    INSERT INTO outcomes (recorded_at, generation, outcome_id, image_binding, kind, tenant, submission_id)
    SELECT coalesce(recorded_at, now()), generation, outcome_id, image_binding, kind, tenant, submission_id FROM given ";

/// A key that was taken before there were partitions, and is not moved yet, is taken; and so is every key of what was erased.
const UNLESS_TAKEN: &str = "
    WHERE NOT EXISTS (
        SELECT FROM earlier AS e
        WHERE (e.tenant, e.submission_id, e.generation) = (given.tenant, given.submission_id, given.generation)
    ) AND NOT EXISTS (
        SELECT FROM erased WHERE mark = sha256(
            (SELECT salt FROM erasure_salt) || convert_to(given.tenant, 'UTF8') || '\\x00'::bytea
            || convert_to(given.submission_id, 'UTF8'))
    ) ";

const AFTER: &str = "
    ON CONFLICT DO NOTHING
    RETURNING tenant, submission_id, generation, kind, recorded_at AS recorded
), verdict AS (
    INSERT INTO verdicts (
        recorded_at, decided_at, generation, verdict_id, reused_from, synthetic, logit, image_sha256, model_sha256,
        tenant, submission_id, decision, generator, model_version, bucket, object_key, purpose, remainder
    )
    SELECT
        recorded, at, generation, outcome_id, reused_from, synthetic, logit, decode(image_sha256, 'hex'),
        decode(model_sha256, 'hex'), tenant, submission_id, word, generator, model_version, bucket, object_key, purpose,
        document::json
    FROM given JOIN won USING (tenant, submission_id, generation, kind) WHERE kind = 0
), failure AS (
    INSERT INTO failures (
        recorded_at, failed_at, generation, failure_id, retryable, tenant, submission_id, code, stage, bucket,
        object_key, purpose, document
    )
    SELECT
        recorded, at, generation, outcome_id, retryable, tenant, submission_id, word, stage, bucket, object_key,
        purpose, document::json
    FROM given JOIN won USING (tenant, submission_id, generation, kind) WHERE kind = 1
)
SELECT tenant, submission_id, generation FROM won";

/// What `outcomes.kind` says.
pub(super) const VERDICT: i16 = 0;
pub(super) const FAILURE: i16 = 1;

/// Inserts outcomes with distinct keys; returns the keys that were free.
pub(super) async fn insert(
    connection: &mut PgConnection,
    outcomes: &[&Outcome],
) -> Result<HashSet<SubmissionKey>, sqlx::Error> {
    let rows = outcomes.iter().map(|outcome| (*outcome, None)).collect::<Vec<_>>();
    let inserted = run(connection, UNLESS_TAKEN, &rows).await?;
    inserted.iter().map(key).collect()
}

/// Inserts outcomes that were recorded before, at their times, unless it is done already.
pub(super) async fn insert_earlier(
    connection: &mut PgConnection,
    outcomes: &[(Outcome, OffsetDateTime)],
) -> Result<(), sqlx::Error> {
    let rows = outcomes.iter().map(|(outcome, at)| (outcome, Some(*at))).collect::<Vec<_>>();
    run(connection, "", &rows).await.map(drop)
}

async fn run(
    connection: &mut PgConnection,
    condition: &str,
    outcomes: &[(&Outcome, Option<OffsetDateTime>)],
) -> Result<Vec<PgRow>, sqlx::Error> {
    let entries: Vec<Entry> = outcomes
        .iter()
        .map(|(outcome, recorded_at)| entry(outcome, *recorded_at))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    query(AssertSqlSafe(format!("{BEFORE}{condition}{AFTER}")))
        .bind(column(&entries, |entry| entry.tenant))
        .bind(column(&entries, |entry| entry.submission_id))
        .bind(column(&entries, |entry| i64::from(entry.generation)))
        .bind(column(&entries, |entry| if entry.verdict.is_some() { VERDICT } else { FAILURE }))
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
        .bind(column(&entries, |entry| entry.binding))
        .bind(column(&entries, |entry| entry.recorded_at))
        .fetch_all(connection)
        .await
}

/// An outcome as a row; `verdict` and `failure` hold what only one of the kinds has.
struct Entry<'a> {
    tenant: &'a str,
    submission_id: &'a str,
    generation: u32,
    id: OutcomeId,
    bucket: &'a str,
    object_key: &'a str,
    binding: Uuid,
    purpose: &'static str,
    at: OffsetDateTime,
    /// `None`: now.
    recorded_at: Option<OffsetDateTime>,
    /// Of a verdict what no column has.
    document: String,
    /// The decision or the code.
    word: &'static str,
    verdict: Option<&'a Verdict>,
    failure: Option<&'a Failure>,
}

fn entry(outcome: &Outcome, recorded_at: Option<OffsetDateTime>) -> Result<Entry<'_>, serde_json::Error> {
    let (id, word) = (outcome.id(), outcome.word());
    Ok(match outcome {
        Outcome::Verdict(verdict) => Entry {
            tenant: &verdict.tenant,
            submission_id: &verdict.submission_id,
            generation: verdict.generation,
            bucket: &verdict.image.bucket,
            object_key: &verdict.image.key,
            binding: binding(&verdict.image.bucket, &verdict.image.key),
            purpose: verdict.purpose.as_str(),
            at: verdict.decided_at,
            document: remainder(verdict)?,
            verdict: Some(verdict),
            failure: None,
            recorded_at,
            id,
            word,
        },
        Outcome::Failure(failure) => Entry {
            tenant: &failure.tenant,
            submission_id: &failure.submission_id,
            generation: failure.generation,
            bucket: &failure.image.bucket,
            object_key: &failure.image.key,
            binding: binding(&failure.image.bucket, &failure.image.key),
            purpose: failure.purpose.as_str(),
            at: failure.at,
            document: serde_json::to_string(failure)?,
            verdict: None,
            failure: Some(failure),
            recorded_at,
            id,
            word,
        },
    })
}

pub(super) fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn key(row: &PgRow) -> Result<SubmissionKey, sqlx::Error> {
    let generation: i64 = row.try_get("generation")?;
    let generation = u32::try_from(generation).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SubmissionKey { tenant: row.try_get("tenant")?, submission_id: row.try_get("submission_id")?, generation })
}
