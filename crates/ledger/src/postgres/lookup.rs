//! Looking outcomes up: the register of keys first, then the one partition that it names.
//!
//! The two that every message asks are prepared once: planning them costs as much as answering. The others are planned each time, by
//! the sizes that the tables have then.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::insert::{VERDICT, column};
use super::remainder::{COLUMNS, verdict};
use crate::gone::{Expired, Gone};
use crate::{Content, Found};
use database::{query, query_scalar};
use domain::{ImageRef, ModelRef, Outcome, OutcomeId, Predecessors, Previous, SubmissionKey, Verdict};

/// LIMIT keeps the planner to one index look-up for each key.
const REGISTERED: &str = "
SELECT
    known.kind, known.outcome_id, known.recorded_at, known.image_binding,
    old.verdict::text AS verdict, old.failure::text AS failure, mark.erased_at
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY
    AS asked (tenant, submission_id, generation, place)
LEFT JOIN LATERAL (
    SELECT kind, outcome_id, recorded_at, image_binding FROM outcomes AS o
    WHERE (o.tenant, o.submission_id, o.generation) = (asked.tenant, asked.submission_id, asked.generation)
    LIMIT 1
) AS known ON true
LEFT JOIN LATERAL (
    SELECT verdict, failure FROM earlier AS e
    WHERE (e.tenant, e.submission_id, e.generation) = (asked.tenant, asked.submission_id, asked.generation)
    LIMIT 1
) AS old ON known.outcome_id IS NULL
LEFT JOIN LATERAL (
    SELECT erased_at FROM erased
    WHERE mark = sha256(
        (SELECT salt FROM erasure_salt) || convert_to(asked.tenant, 'UTF8') || '\\x00'::bytea
        || convert_to(asked.submission_id, 'UTF8'))
    LIMIT 1
) AS mark ON known.outcome_id IS NULL
ORDER BY asked.place";

/// Of each key the latest earlier generation, and the latest that is a verdict. Asked only for keys that can have one.
const PREDECESSORS: &str = "
SELECT
    CASE WHEN old.generation > moved.generation THEN old.outcome_id ELSE coalesce(moved.outcome_id, old.outcome_id) END
        AS latest,
    judged.outcome_id AS verdict_id, judged.recorded_at, judged.generation, before.generation AS earlier_generation,
    before.verdict::text AS verdict
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY
    AS asked (tenant, submission_id, generation, place)
LEFT JOIN LATERAL (
    SELECT outcome_id, generation FROM outcomes AS o
    WHERE (o.tenant, o.submission_id) = (asked.tenant, asked.submission_id) AND o.generation < asked.generation
    ORDER BY o.generation DESC
    LIMIT 1
) AS moved ON true
LEFT JOIN LATERAL (
    SELECT outcome_id, generation, recorded_at FROM outcomes AS o
    WHERE (o.tenant, o.submission_id) = (asked.tenant, asked.submission_id) AND o.generation < asked.generation
        AND o.kind = 0
    ORDER BY o.generation DESC
    LIMIT 1
) AS judged ON true
LEFT JOIN LATERAL (
    SELECT outcome_id, generation FROM earlier AS e
    WHERE (e.tenant, e.submission_id) = (asked.tenant, asked.submission_id) AND e.generation < asked.generation
    ORDER BY e.generation DESC
    LIMIT 1
) AS old ON true
LEFT JOIN LATERAL (
    SELECT verdict, generation FROM earlier AS e
    WHERE (e.tenant, e.submission_id) = (asked.tenant, asked.submission_id) AND e.generation < asked.generation
        AND e.verdict IS NOT NULL
    ORDER BY e.generation DESC
    LIMIT 1
) AS before ON true
ORDER BY asked.place";

/// Of verdicts what stays when their documents are removed.
/// (PostgreSQL finds nothing in a document with an escaped NUL.)
const PREVIOUS: &str = "
SELECT verdict_id, decision, synthetic, model_version,
    CASE WHEN strpos(remainder::text, '\\u0000') = 0 THEN remainder->'policy'->>'action' END AS action
FROM verdicts
WHERE recorded_at = ANY($1::timestamptz[]) AND verdict_id = ANY($2::uuid[])";

const FAILURES: &str = "
SELECT failure_id, document::text AS document FROM failures
WHERE recorded_at = ANY($1::timestamptz[]) AND failure_id = ANY($2::uuid[])";

const OF_ID: &str = "
SELECT kind, outcome_id, recorded_at, image_binding, NULL AS verdict, NULL AS failure, NULL::timestamptz AS erased_at
FROM outcomes WHERE outcome_id = $1
UNION ALL
SELECT NULL, outcome_id, recorded_at, NULL, verdict::text, failure::text, NULL FROM earlier WHERE outcome_id = $1
LIMIT 1";

/// The tables that lack the right to add and to read.
const FORBIDDEN: &str = "
SELECT name FROM unnest(ARRAY['outcomes', 'verdicts', 'failures']) AS name
WHERE NOT (has_table_privilege(name, 'INSERT') AND has_table_privilege(name, 'SELECT'))
UNION ALL
SELECT name FROM unnest(ARRAY['earlier', 'erased', 'erasure_salt']) AS name WHERE NOT has_table_privilege(name, 'SELECT')
ORDER BY name";

/// One answer for each key, in order.
pub(super) async fn find(connection: &mut PgConnection, keys: &[SubmissionKey]) -> Result<Vec<Found>, sqlx::Error> {
    let rows = asked(connection, REGISTERED, &keys.iter().collect::<Vec<_>>()).await?;
    let standing = standing(connection, &rows).await?;
    let mut found: Vec<Found> = standing
        .into_iter()
        .map(|standing| match standing {
            Some(Standing::Kept(outcome)) => Found { standing: Some(outcome), ..Found::default() },
            Some(Standing::Gone(gone)) => Found { gone: Some(gone), ..Found::default() },
            None => Found::default(),
        })
        .collect();
    let later: Vec<usize> = (0..keys.len()).filter(|index| keys[*index].generation > 0).collect();
    if !later.is_empty() {
        let keys: Vec<&SubmissionKey> = later.iter().map(|index| &keys[*index]).collect();
        let rows = asked(connection, PREDECESSORS, &keys).await?;
        for (index, predecessors) in later.into_iter().zip(predecessors(connection, &rows).await?) {
            found[index].predecessors = predecessors;
        }
    }
    Ok(found)
}

async fn asked(
    connection: &mut PgConnection,
    question: &'static str,
    keys: &[&SubmissionKey],
) -> Result<Vec<PgRow>, sqlx::Error> {
    query(question)
        .bind(column(keys, |key| key.tenant.as_str()))
        .bind(column(keys, |key| key.submission_id.as_str()))
        .bind(column(keys, |key| i64::from(key.generation)))
        .fetch_all(connection)
        .await
}

/// What rows of [`PREDECESSORS`] stand for, in order.
async fn predecessors(connection: &mut PgConnection, rows: &[PgRow]) -> Result<Vec<Predecessors>, sqlx::Error> {
    let mut judged: Vec<Option<(OffsetDateTime, Uuid)>> = Vec::with_capacity(rows.len());
    for row in rows {
        judged.push(match row.try_get("verdict_id")? {
            Some(id) => Some((row.try_get("recorded_at")?, id)),
            None => None,
        });
    }
    let (times, ids): (Vec<OffsetDateTime>, Vec<Uuid>) = judged.iter().flatten().copied().unzip();
    let mut kept = HashMap::new();
    if !ids.is_empty() {
        let rows = query(PREVIOUS).persistent(false).bind(times).bind(ids);
        for row in rows.fetch_all(&mut *connection).await? {
            let previous = previous(&row)?;
            kept.insert(previous.outcome_id, previous);
        }
    }
    let one = |(row, judged): (&PgRow, Option<(OffsetDateTime, Uuid)>)| {
        let latest: Option<Uuid> = row.try_get("latest")?;
        let registered = judged.and_then(|(_, id)| kept.get(&OutcomeId(id)).cloned());
        let is_later = row.try_get::<Option<i64>, _>("earlier_generation")? > row.try_get("generation")?;
        let earlier: Option<Verdict> = if is_later { document(row, "verdict")? } else { None };
        let verdict = earlier.as_ref().map(Previous::of).or(registered);
        Ok(Predecessors { latest: latest.map(OutcomeId), verdict })
    };
    rows.iter().zip(judged).map(one).collect()
}

fn previous(row: &PgRow) -> Result<Previous, sqlx::Error> {
    let decision = Value::from(row.try_get::<&str, _>("decision")?);
    let action = row.try_get::<Option<&str>, _>("action")?.map(|action| serde_json::from_value(Value::from(action)));
    Ok(Previous {
        outcome_id: OutcomeId(row.try_get("verdict_id")?),
        decision: serde_json::from_value(decision).map_err(|error| sqlx::Error::Decode(error.into()))?,
        synthetic: row.try_get("synthetic")?,
        model_version: row.try_get("model_version")?,
        action: action.transpose().map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}

/// What a key that is taken stands for.
enum Standing {
    Kept(Outcome),
    Gone(Gone),
}

/// What rows of the register stand for, in order. The partitions are asked by time, so that none but those is looked into.
async fn standing(connection: &mut PgConnection, rows: &[PgRow]) -> Result<Vec<Option<Standing>>, sqlx::Error> {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        entries.push(Registered::of(row)?);
    }
    let of_kind = |kind: i16| {
        let of_kind = entries.iter().filter_map(|entry| match entry {
            Registered::Moved { kind: one, expired } if *one == kind => Some((expired.recorded_at, expired.id.0)),
            _ => None,
        });
        of_kind.unzip()
    };
    let (times, ids): (Vec<OffsetDateTime>, Vec<Uuid>) = of_kind(VERDICT);
    let mut outcomes = HashMap::new();
    if !ids.is_empty() {
        let asked = format!(
            "SELECT {COLUMNS} FROM verdicts WHERE recorded_at = ANY($1::timestamptz[]) AND verdict_id = ANY($2::uuid[])"
        );
        let rows = query(AssertSqlSafe(asked)).persistent(false).bind(times).bind(ids);
        for row in rows.fetch_all(&mut *connection).await? {
            let outcome = verdict(&row)?.map(|verdict| Outcome::Verdict(Box::new(verdict)));
            outcomes.extend(outcome.map(|outcome| (outcome.id(), outcome)));
        }
    }
    let (times, ids): (Vec<OffsetDateTime>, Vec<Uuid>) = of_kind(super::insert::FAILURE);
    if !ids.is_empty() {
        let rows = query(FAILURES).persistent(false).bind(times).bind(ids);
        for row in rows.fetch_all(&mut *connection).await? {
            let outcome = document(&row, "document")?.map(|failure| Outcome::Failure(Box::new(failure)));
            outcomes.extend(outcome.map(|outcome| (outcome.id(), outcome)));
        }
    }
    let standing = entries.into_iter().map(|entry| match entry {
        Registered::Free => None,
        Registered::Earlier(outcome) => Some(Standing::Kept(*outcome)),
        Registered::Erased { at } => Some(Standing::Gone(Gone::Erased { at })),
        Registered::Moved { expired, .. } => Some(match outcomes.get(&expired.id) {
            // The same key may have been asked about twice.
            Some(outcome) => Standing::Kept(outcome.clone()),
            None => Standing::Gone(Gone::Expired(expired)),
        }),
    });
    Ok(standing.collect())
}

/// What the register says of a key.
enum Registered {
    Free,
    /// From before there were partitions.
    Earlier(Box<Outcome>),
    Erased {
        at: OffsetDateTime,
    },
    Moved {
        kind: i16,
        expired: Expired,
    },
}

impl Registered {
    fn of(row: &PgRow) -> Result<Registered, sqlx::Error> {
        if let Some(kind) = row.try_get("kind")? {
            let id = OutcomeId(row.try_get("outcome_id")?);
            let (recorded_at, image_binding) = (row.try_get("recorded_at")?, row.try_get("image_binding")?);
            return Ok(Registered::Moved { kind, expired: Expired { id, recorded_at, image_binding } });
        }
        if let Some(outcome) = earlier(row)? {
            return Ok(Registered::Earlier(Box::new(outcome)));
        }
        Ok(row.try_get::<Option<_>, _>("erased_at")?.map_or(Registered::Free, |at| Registered::Erased { at }))
    }
}

/// The outcome of a row of the view `earlier`.
pub(super) fn earlier(row: &PgRow) -> Result<Option<Outcome>, sqlx::Error> {
    let verdict = document(row, "verdict")?.map(|verdict| Outcome::Verdict(Box::new(verdict)));
    let failure = document(row, "failure")?.map(|failure| Outcome::Failure(Box::new(failure)));
    Ok(verdict.or(failure))
}

/// One answer for each content, in order, from verdicts that were recorded after `since`.
pub(super) async fn scored(
    connection: &mut PgConnection,
    contents: &[Content],
    model: &ModelRef,
    since: OffsetDateTime,
) -> Result<Vec<Option<Verdict>>, sqlx::Error> {
    let asked = format!(
        "SELECT asked.place, same.* FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant, image_sha256, place)
         CROSS JOIN LATERAL (
             SELECT {COLUMNS} FROM verdicts AS v
             WHERE v.image_sha256 = decode(asked.image_sha256, 'hex') AND v.reused_from IS NULL AND v.recorded_at >= $5
                 AND v.tenant = asked.tenant AND v.model_sha256 = decode($3, 'hex') AND v.model_version = $4
                 AND v.remainder IS NOT NULL
             LIMIT 1
         ) AS same"
    );
    let rows = query(AssertSqlSafe(asked))
        .bind(column(contents, |content| content.tenant.as_str()))
        .bind(column(contents, |content| content.sha256.as_str()))
        .bind(&model.sha256)
        .bind(&model.version)
        .bind(since)
        .fetch_all(connection)
        .await?;
    let mut scored = vec![None; contents.len()];
    for row in &rows {
        let place: i64 = row.try_get("place")?;
        scored[usize::try_from(place - 1).expect("places begin at 1")] = verdict(row)?;
    }
    Ok(scored)
}

pub(super) async fn outcome(connection: &mut PgConnection, id: OutcomeId) -> Result<Option<Outcome>, sqlx::Error> {
    let rows = query(OF_ID).persistent(false).bind(id.0).fetch_all(&mut *connection).await?;
    let standing = standing(connection, &rows).await?.pop().flatten();
    Ok(standing.and_then(|standing| match standing {
        Standing::Kept(outcome) => Some(outcome),
        Standing::Gone(_) => None,
    }))
}

/// The index finds the key; versions and etags are compared by the caller.
pub(super) async fn latest(
    connection: &mut PgConnection,
    tenant: &str,
    image: &ImageRef,
) -> Result<Option<Verdict>, sqlx::Error> {
    let asked = format!(
        "SELECT {COLUMNS}, decided_at FROM verdicts
         WHERE object_key = $1 AND bucket = $2 AND tenant = $3 AND remainder IS NOT NULL
         ORDER BY decided_at DESC LIMIT 100"
    );
    let rows = of_image(connection, &asked, tenant, image).await?;
    let mut found = rows.iter().map(verdict).collect::<Result<Vec<_>, _>>()?;
    let asked = "SELECT verdict::text AS verdict FROM earlier
        WHERE object_key = $1 AND bucket = $2 AND tenant = $3 ORDER BY decided_at DESC LIMIT 100";
    for row in of_image(connection, asked, tenant, image).await? {
        found.push(document(&row, "verdict")?);
    }
    let agreeing = found.into_iter().flatten().filter(|verdict| verdict.image.reference().agrees_with(image));
    Ok(agreeing.max_by_key(|verdict| verdict.decided_at))
}

async fn of_image(
    connection: &mut PgConnection,
    asked: &str,
    tenant: &str,
    image: &ImageRef,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let asked = query(AssertSqlSafe(asked.to_string())).persistent(false);
    asked.bind(&image.key).bind(&image.bucket).bind(tenant).fetch_all(connection).await
}

pub(super) async fn forbidden(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar(FORBIDDEN).fetch_all(connection).await
}

fn document<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(|error| sqlx::Error::Decode(error.into()))
}
