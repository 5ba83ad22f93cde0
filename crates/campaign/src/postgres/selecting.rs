//! What a selection chooses, in SQL.

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Row};

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::Cost;
use crate::report::{Changes, Group};
use crate::selection::Selection;
use database::{query, query_scalar};
use domain::{Decision, LabelledOrigin, Policy};

/// Of the verdicts in force those that a selection chooses ($1 to $9) and that the model $10 has not judged, unless those are wanted
/// too ($11). Without its document a
/// verdict can't be judged again: nothing says which version of the object it was, nor what the platform gave with it. What people have
/// decided stands: no model takes it back.
const SELECTED: &str = "
FROM verdicts AS v
WHERE ($1::timestamptz IS NULL OR v.recorded_at >= $1) AND ($2::timestamptz IS NULL OR v.recorded_at < $2)
    AND ($3::text IS NULL OR v.tenant = $3) AND ($4::text IS NULL OR v.model_version = $4)
    AND ($5::text IS NULL OR v.decision = $5) AND ($6::real IS NULL OR v.synthetic >= $6)
    AND ($7::real IS NULL OR v.synthetic <= $7) AND ($8::text IS NULL OR v.generator = $8)
    AND ($9::text IS NULL OR EXISTS (
        SELECT FROM labels_in_force AS l WHERE l.sha256 = encode(v.image_sha256, 'hex') AND l.origin = $9
    ))
    AND (v.model_version <> $10 OR $11) AND v.remainder IS NOT NULL
    AND CASE WHEN strpos(v.remainder::text, '\\u0000') = 0 THEN coalesce(v.remainder->>'decided_by', 'model') <> 'review' ELSE true END
    AND NOT EXISTS (
        SELECT FROM outcomes AS later
        WHERE later.tenant = v.tenant AND later.submission_id = v.submission_id AND later.generation > v.generation
            AND later.kind = 0
    )";

/// PostgreSQL finds nothing in JSON with an escaped NUL.
const READABLE: &str = "strpos(v.remainder::text, '\\u0000') = 0";

/// What the workers have needed for an image lately, in seconds of a device.
const SECONDS: &str = "
SELECT avg((v.remainder->'timing_ms'->>'infer')::float8 / greatest((v.remainder->>'batch_size')::float8, 1)) / 1000
FROM (
    SELECT remainder FROM verdicts
    WHERE recorded_at > now() - interval '7 days' AND reused_from IS NULL AND remainder IS NOT NULL
    ORDER BY recorded_at DESC LIMIT 1000
) AS v WHERE strpos(v.remainder::text, '\\u0000') = 0";

/// What lies nearest a threshold comes first among what is called the same.
pub(super) fn items() -> String {
    format!(
        "INSERT INTO campaign_items
             (place, recorded_at, before, generation, campaign_id, verdict_id, tenant, submission_id, decision)
         SELECT row_number() OVER (ORDER BY chosen.decision <> 'synthetic', distance, recorded_at, verdict_id), recorded_at, generation,
             next, $12, verdict_id, tenant, submission_id, decision
         FROM (
             SELECT v.*,
                 CASE WHEN {READABLE} THEN least(
                     abs(v.synthetic - (v.remainder->'score'->>'threshold_low')::real),
                     abs(v.synthetic - (v.remainder->'score'->>'threshold_high')::real)
                 ) ELSE abs(v.synthetic - 0.5) END AS distance,
                 1 + (SELECT max(generation) FROM outcomes AS o
                      WHERE (o.tenant, o.submission_id) = (v.tenant, v.submission_id)) AS next
             {SELECTED}
         ) AS chosen
         WHERE NOT EXISTS (
             SELECT FROM campaign_items AS i WHERE i.result IS NULL
                 AND (i.tenant, i.submission_id, i.generation) = (chosen.tenant, chosen.submission_id, chosen.next)
         )
         ON CONFLICT (tenant, submission_id, generation) WHERE result IS NULL DO NOTHING"
    )
}

pub(super) fn selected<'q>(
    sql: &str,
    selection: &'q Selection,
    model: &'q str,
) -> Query<'q, sqlx::Postgres, PgArguments> {
    let asked = query(AssertSqlSafe(sql.to_string())).persistent(false).bind(selection.since).bind(selection.until);
    let asked = asked.bind(selection.tenant.as_deref()).bind(selection.model.as_deref());
    let asked = asked.bind(selection.decision.map(Decision::as_str)).bind(selection.min_score);
    let asked = asked.bind(selection.max_score).bind(selection.generator.as_deref());
    asked.bind(selection.label.map(LabelledOrigin::as_str)).bind(model).bind(selection.same_model)
}

pub(super) async fn cost(
    connection: &mut PgConnection,
    selection: &Selection,
    model: &str,
) -> Result<Cost, sqlx::Error> {
    let asked = format!(
        "SELECT v.decision, count(*) AS verdicts,
             sum(CASE WHEN {READABLE} THEN (v.remainder->'image'->>'bytes')::bigint ELSE 0 END)::bigint AS bytes,
             count(*) FILTER (WHERE EXISTS (
                 SELECT FROM campaign_items AS i JOIN campaigns USING (campaign_id)
                 WHERE (i.tenant, i.submission_id) = (v.tenant, v.submission_id) AND i.result IS NULL AND state <> 'finished'
             )) AS taken {SELECTED} GROUP BY v.decision ORDER BY v.decision"
    );
    let mut cost = Cost::default();
    for row in selected(&asked, selection, model).fetch_all(&mut *connection).await? {
        let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        cost.verdicts += count("verdicts")?;
        cost.bytes += count("bytes")?;
        cost.taken += count("taken")?;
        cost.by_decision.push((row.try_get("decision")?, count("verdicts")?));
    }
    cost.seconds = query_scalar(SECONDS).persistent(false).fetch_one(connection).await?;
    Ok(cost)
}

/// Of each tenant, decisions from what to what. Row by row, so that what decides is the code that decides for workers.
pub(super) async fn supposed(
    connection: &mut PgConnection,
    selection: &Selection,
    policy: &Policy,
) -> Result<Changes, sqlx::Error> {
    // Whatever the model, and whether or not it is at work: there is none of this name.
    let all = Selection { same_model: true, ..selection.clone() };
    let asked = format!("SELECT v.tenant, v.decision, v.synthetic, v.logit {SELECTED}");
    let mut counts = BTreeMap::<(String, String, &str), u64>::new();
    let mut rows = selected(&asked, &all, "").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let probability = match policy.calibration {
            Some(_) => policy.probability(row.try_get("logit")?),
            None => row.try_get("synthetic")?,
        };
        let after = policy.decide(probability).as_str();
        *counts.entry((row.try_get("tenant")?, row.try_get("decision")?, after)).or_default() += 1;
    }
    let group = |((name, before, after), items): ((String, String, &str), u64)| Group {
        name,
        before,
        after: Some(after.into()),
        items,
    };
    Ok(Changes(counts.into_iter().map(group).collect()))
}
