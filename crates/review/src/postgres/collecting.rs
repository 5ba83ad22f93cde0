//! Verdicts become items; items that nobody looks at are counted as that.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::row::decision;
use super::store::{Postgres, ask};
use crate::audit::{AuditShares, Drawn};
use crate::draw::Salt;
use crate::item::{DoubleShare, Scrutiny};
use crate::settings::ReviewSettings;
use crate::source::Source;
use crate::views::{Collected, ItemId, ItemKind};
use database::{DatabaseError, query, query_scalar};
use domain::{Decision, OutcomeId};

/// Verdicts a statement.
const SLICE: i64 = 10_000;
/// What was recorded so long before the last look is looked at again: a transaction shows its rows later than it dates them.
const OVERLAP: Duration = Duration::seconds(60);

/// PostgreSQL finds nothing in JSON with an escaped NUL, so such a document is read here.
const VERDICTS: &str = "SELECT v.verdict_id, v.recorded_at, v.tenant, v.submission_id, v.generation, v.decision,
    r.readable, CASE WHEN r.readable THEN NULL ELSE v.remainder::text END AS remainder,
    CASE WHEN r.readable THEN v.remainder->'policy'->>'action' END AS action,
    CASE WHEN r.readable THEN v.remainder->>'decided_by' END AS decided_by
FROM verdicts_in_force AS v, LATERAL (SELECT coalesce(strpos(v.remainder::text, '\\u0000') = 0, true) AS readable) AS r
WHERE v.recorded_at >= $1 AND (v.recorded_at, v.verdict_id) > ($1, $2)
ORDER BY v.recorded_at, v.verdict_id LIMIT $3";

const INSERT: &str = "INSERT INTO review_items
    (item_id, outcome_id, kind, source, priority, scrutiny, audit_stratum, audit_inclusion, audit_rank, arrived_at,
     tenant, submission_id, generation, decision, synthetic, model_version, image_sha256, bucket, object_key, decided_at, recorded_at)
SELECT g.item_id, v.verdict_id, 'review', g.source, g.priority, g.scrutiny, g.stratum, g.inclusion, g.rank, v.recorded_at,
    v.tenant, v.submission_id, v.generation, v.decision, v.synthetic, v.model_version, v.image_sha256, v.bucket, v.object_key,
    v.decided_at, v.recorded_at
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::float8[], $9::float8[])
    AS g (item_id, verdict_id, recorded_at, source, priority, scrutiny, stratum, inclusion, rank)
JOIN verdicts AS v ON v.recorded_at = g.recorded_at AND v.verdict_id = g.verdict_id
WHERE NOT EXISTS (SELECT FROM erased, erasure_salt
    WHERE mark = sha256(salt || convert_to(v.tenant, 'UTF8') || '\\x00'::bytea || convert_to(v.submission_id, 'UTF8')))
ON CONFLICT DO NOTHING";

const SUPERSEDE: &str = "UPDATE review_items AS i SET state = 'closed', closed_why = 'superseded', closed_at = now()
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS g (tenant, submission_id, generation)
WHERE i.tenant = g.tenant AND i.submission_id = g.submission_id AND i.generation < g.generation
    AND i.state = 'open' AND i.begun_at IS NULL AND i.kind = 'review'";

const EXPIRE: &str = "UPDATE review_items SET state = 'closed', closed_why = 'not_reviewed', closed_at = now()
WHERE item_id IN (
    SELECT item_id FROM review_items
    WHERE state = 'open' AND kind = 'review' AND begun_at IS NULL AND assigned_to IS NULL
        AND arrived_at < now() - make_interval(days => $1)
    LIMIT 10000 FOR UPDATE SKIP LOCKED
)";

impl Postgres {
    /// Makes items of the verdicts that came since the last time. Where several processes do so, one does at a time.
    pub async fn collect(&self) -> Result<Collected, DatabaseError> {
        let rules = self.rules().await?;
        let (mut sum, mut from) = (Collected::default(), None);
        loop {
            let slice = ask!(self, connection => slice(&mut connection, &self.settings, &rules, from))?;
            let Some(slice) = slice else { return Ok(sum) };
            sum.verdicts += slice.collected.verdicts;
            sum.items += slice.collected.items;
            sum.superseded += slice.collected.superseded;
            if slice.last.is_none() {
                return Ok(sum);
            }
            from = slice.last;
        }
    }

    /// Closes what nobody has begun in time: it is counted as not reviewed. Never an appeal.
    pub async fn expire(&self) -> Result<u64, DatabaseError> {
        let days = i32::try_from(self.settings.wait_days).unwrap_or(i32::MAX);
        let mut sum = 0;
        loop {
            let expire = query(EXPIRE).bind(days);
            let closed = ask!(self, connection => expire.execute(&mut *connection))?.rows_affected();
            sum += closed;
            if closed < 10_000 {
                return Ok(sum);
            }
        }
    }

    async fn rules(&self) -> Result<Rules, DatabaseError> {
        let asked = query_scalar("SELECT salt FROM review_salt");
        let salt: Vec<u8> = ask!(self, connection => asked.fetch_one(&mut *connection))?;
        let wrong = |error: &dyn std::fmt::Display| DatabaseError::failed(error.to_string());
        Ok(Rules {
            salt: Salt::new(salt).map_err(|error| wrong(&error))?,
            shares: self.settings.audit_shares().map_err(|error| wrong(&error))?,
            double: self.settings.double().map_err(|error| wrong(&error))?,
        })
    }
}

/// By what items are made.
struct Rules {
    salt: Salt,
    shares: AuditShares,
    double: DoubleShare,
}

/// In the order in which verdicts are looked at.
type Place = (OffsetDateTime, Uuid);

struct Slice {
    collected: Collected,
    /// Where the next one begins; none: this was the last one.
    last: Option<Place>,
}

/// `None`: another process is at it.
async fn slice(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    rules: &Rules,
    from: Option<Place>,
) -> Result<Option<Slice>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let alone = "SELECT pg_try_advisory_xact_lock(hashtextextended('assay.review.collect.' || current_schema(), 0))";
    if !query_scalar::<bool>(alone).fetch_one(&mut *transaction).await? {
        return Ok(None);
    }
    let row = query("SELECT now() AS now, (SELECT through FROM review_progress WHERE what = 'verdicts') AS through");
    let row = row.fetch_one(&mut *transaction).await?;
    let now: OffsetDateTime = row.try_get("now")?;
    let through: Option<OffsetDateTime> = row.try_get("through")?;
    let begin = through.map_or(now - Duration::days(settings.wait_days.into()), |through| through - OVERLAP);
    let (since, after) = from.unwrap_or((begin, Uuid::nil()));
    let verdicts = query(AssertSqlSafe(VERDICTS)).persistent(false).bind(since).bind(after).bind(SLICE);
    let verdicts = verdicts.fetch_all(&mut *transaction).await?;
    let verdicts: Vec<Found> = verdicts.iter().map(found).collect::<Result<_, _>>()?;
    let superseded = supersede(&mut transaction, &verdicts).await?;
    let items: Vec<Made<'_>> = verdicts.iter().filter_map(|found| rules.item(settings, found)).collect();
    let items = insert(&mut transaction, &items).await?;
    let last = verdicts.last().filter(|_| verdicts.len() as i64 == SLICE).map(|last| (last.recorded_at, last.id));
    let reached = last.map_or(now, |(recorded_at, _)| recorded_at);
    let progress = "INSERT INTO review_progress (what, through) VALUES ('verdicts', $1)
        ON CONFLICT (what) DO UPDATE SET through = greatest(review_progress.through, excluded.through)";
    query(progress).bind(reached).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let collected = Collected { verdicts: verdicts.len() as u64, items, superseded };
    Ok(Some(Slice { collected, last }))
}

/// A verdict, as far as it decides whether there is an item.
struct Found {
    id: Uuid,
    recorded_at: OffsetDateTime,
    tenant: String,
    submission_id: String,
    generation: i64,
    decision: Decision,
    /// The policy asks for a person.
    wants_review: bool,
    /// People decided it.
    by_review: bool,
}

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    let (mut action, mut decided_by): (Option<String>, Option<String>) =
        (row.try_get("action")?, row.try_get("decided_by")?);
    if let Some(text) = row.try_get::<Option<&str>, _>("remainder")? {
        let document: serde_json::Value =
            serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_string);
        (action, decided_by) = (text(&document["policy"]["action"]), text(&document["decided_by"]));
    }
    Ok(Found {
        id: row.try_get("verdict_id")?,
        recorded_at: row.try_get("recorded_at")?,
        tenant: row.try_get("tenant")?,
        submission_id: row.try_get("submission_id")?,
        generation: row.try_get("generation")?,
        decision: decision(row.try_get("decision")?)?,
        wants_review: action.as_deref() == Some("review"),
        by_review: decided_by.as_deref() == Some("review"),
    })
}

struct Made<'a> {
    found: &'a Found,
    source: Source,
    scrutiny: Scrutiny,
    drawn: Option<Drawn>,
}

impl Rules {
    /// Of several reasons to look the first counts.
    fn item<'a>(&self, settings: &ReviewSettings, found: &'a Found) -> Option<Made<'a>> {
        if found.by_review {
            return None;
        }
        let outcome = OutcomeId(found.id);
        let drawn = self.shares.draw(&self.salt, outcome, found.decision);
        let is_uncertain = found.decision == Decision::Uncertain && settings.uncertain;
        let source = match (found.wants_review, drawn, is_uncertain) {
            (true, ..) => Source::Policy,
            (_, Some(_), _) => Source::Audit,
            (_, _, true) => Source::Uncertain,
            _ => return None,
        };
        Some(Made { found, source, drawn, scrutiny: Scrutiny::of(source, outcome, self.double, &self.salt) })
    }
}

async fn supersede(connection: &mut PgConnection, verdicts: &[Found]) -> Result<u64, sqlx::Error> {
    // A first generation takes nothing's place.
    let later: Vec<&Found> = verdicts.iter().filter(|found| found.generation > 0).collect();
    if later.is_empty() {
        return Ok(0);
    }
    let done = query(SUPERSEDE)
        .persistent(false)
        .bind(later.iter().map(|found| found.tenant.as_str()).collect::<Vec<_>>())
        .bind(later.iter().map(|found| found.submission_id.as_str()).collect::<Vec<_>>())
        .bind(later.iter().map(|found| found.generation).collect::<Vec<_>>());
    done.execute(connection).await.map(|done| done.rows_affected())
}

async fn insert(connection: &mut PgConnection, items: &[Made<'_>]) -> Result<u64, sqlx::Error> {
    if items.is_empty() {
        return Ok(0);
    }
    fn column<'r, T>(items: &'r [Made<'_>], value: impl Fn(&'r Made<'_>) -> T) -> Vec<T> {
        items.iter().map(value).collect()
    }
    let id = |made: &Made<'_>| ItemId::of(OutcomeId(made.found.id), ItemKind::Review).0;
    let scrutiny = |made: &Made<'_>| if made.scrutiny == Scrutiny::Double { "double" } else { "single" };
    let done = query(AssertSqlSafe(INSERT))
        .persistent(false)
        .bind(column(items, id))
        .bind(column(items, |made| made.found.id))
        .bind(column(items, |made| made.found.recorded_at))
        .bind(column(items, |made| made.source.as_str()))
        .bind(column(items, |made| made.source.priority()))
        .bind(column(items, scrutiny))
        .bind(column(items, |made| made.drawn.map(|drawn| drawn.stratum.as_str())))
        .bind(column(items, |made| made.drawn.map(|drawn| drawn.inclusion)))
        .bind(column(items, |made| made.drawn.map(|drawn| drawn.rank)));
    done.execute(connection).await.map(|done| done.rows_affected())
}
