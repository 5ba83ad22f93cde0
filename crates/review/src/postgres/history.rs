//! All that is known of a submission.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};
use time::OffsetDateTime;

use super::appeals;
use super::looking::items_of;
use super::row::{generation, kind};
use super::sighting::{is_open, seen};
use super::store::{Postgres, ask};
use crate::caller::Caller;
use crate::views::{AppealRow, Generation, History, ItemId, ItemKind, LabelRow, PolicyRow, ReviewRow};
use database::{DatabaseError, query};
use domain::OutcomeId;

const ERASED_AT: &str = "SELECT erased_at FROM erased, erasure_salt
WHERE may($1, 1::smallint, $2) AND mark = sha256(salt || convert_to($2, 'UTF8') || '\\x00'::bytea || convert_to($3, 'UTF8'))";

/// A document with an escaped NUL, in which PostgreSQL finds nothing, is read here.
const GENERATIONS: &str = "SELECT o.generation, o.outcome_id, v.decision, f.code, v.synthetic, v.model_version,
    v.remainder::text AS remainder, coalesce(v.decided_at, f.failed_at, o.recorded_at) AS at
FROM outcomes AS o
LEFT JOIN verdicts AS v ON o.kind = 0 AND v.recorded_at = o.recorded_at AND v.verdict_id = o.outcome_id
LEFT JOIN failures AS f ON o.kind = 1 AND f.recorded_at = o.recorded_at AND f.failure_id = o.outcome_id
WHERE o.tenant = $2 AND o.submission_id = $3 AND may($1, 1::smallint, o.tenant) ORDER BY o.generation DESC LIMIT 1000";

/// Of the same bytes elsewhere, another tenant's labels are not told.
const LABELS: &str =
    "SELECT l.origin, l.generator, l.grounds, l.drawn_as, l.trains, l.actor, l.said_at, l.reason FROM labels AS l
WHERE may($1, 1::smallint, $2) AND EXISTS (
    SELECT FROM outcomes AS o JOIN verdicts AS v ON v.recorded_at = o.recorded_at AND v.verdict_id = o.outcome_id
    WHERE o.tenant = $2 AND o.submission_id = $3 AND o.kind = 0 AND l.sha256 = encode(v.image_sha256, 'hex')
        AND (l.verdict_id = v.verdict_id OR l.location = 's3://' || v.bucket || '/' || v.object_key)
) AND l.sha256 = ANY(
    SELECT encode(v.image_sha256, 'hex') FROM outcomes AS o
    JOIN verdicts AS v ON v.recorded_at = o.recorded_at AND v.verdict_id = o.outcome_id
    WHERE o.tenant = $2 AND o.submission_id = $3 AND o.kind = 0
) ORDER BY l.id DESC LIMIT 1000";

/// A vote that can still be undone is seen by nobody else.
const REVIEWS: &str =
    "SELECT r.vote_id, r.item_id, i.kind, r.answer, r.ground, r.generator, r.pseudonym, r.cast_at, r.blind, r.comment,
    coalesce(m.mark, 'pending') AS state
FROM reviews AS r JOIN review_items AS i USING (item_id) LEFT JOIN review_marks AS m USING (vote_id)
WHERE i.tenant = $2 AND i.submission_id = $3 AND i.kind <> 'golden' AND may($1, 1::smallint, i.tenant)
    AND (m.mark IS NOT NULL OR r.person = $4) ORDER BY r.number";

impl Postgres {
    /// `None`: nothing is known of it, or it is not this person's. Where a blind review is open to them, what it hides is left out.
    pub async fn history(
        &self,
        caller: &Caller,
        tenant: &str,
        submission: &str,
    ) -> Result<Option<History>, DatabaseError> {
        ask!(self, connection => history(&mut connection, caller, tenant, submission))
    }

    /// The votes on a submission; none where a blind review of it is open to this person.
    pub async fn reviews_of(
        &self,
        caller: &Caller,
        tenant: &str,
        submission: &str,
    ) -> Result<Vec<ReviewRow>, DatabaseError> {
        ask!(self, connection => async {
            let mut transaction = connection.begin().await?;
            if is_open(&mut transaction, caller, tenant, submission).await? {
                return Ok(Vec::new());
            }
            seen(&mut transaction, caller, &[tenant], &[submission]).await?;
            let reviews = reviews(&mut transaction, caller, tenant, submission).await?;
            transaction.commit().await?;
            Ok(reviews)
        })
    }
}

async fn history(
    connection: &mut PgConnection,
    caller: &Caller,
    tenant: &str,
    submission: &str,
) -> Result<Option<History>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let of = |sql: &'static str| query(sql).persistent(false).bind(caller.access).bind(tenant).bind(submission);
    let erased = of(ERASED_AT).fetch_optional(&mut *transaction).await?;
    let erased_at: Option<OffsetDateTime> = erased.map(|row| row.try_get("erased_at")).transpose()?;
    let generations = of(GENERATIONS).fetch_all(&mut *transaction).await?;
    let items = items_of(&mut transaction, caller, tenant, submission).await?;
    if generations.is_empty() && items.is_empty() && erased_at.is_none() {
        return Ok(None);
    }
    let hidden = is_open(&mut transaction, caller, tenant, submission).await?;
    let mut history = History { erased_at, hidden, items, ..History::default() };
    history.generations = generations.iter().map(|row| one(row, hidden)).collect::<Result<_, _>>()?;
    history.appeals = appeals_of(&mut transaction, caller, tenant, submission).await?;
    if !hidden {
        seen(&mut transaction, caller, &[tenant], &[submission]).await?;
        let labels = of(LABELS).fetch_all(&mut *transaction).await?;
        history.labels = labels.iter().map(label).collect::<Result<_, _>>()?;
        history.reviews = reviews(&mut transaction, caller, tenant, submission).await?;
    }
    transaction.commit().await?;
    Ok(Some(history))
}

/// A generation; without what a blind review hides.
fn one(row: &PgRow, hidden: bool) -> Result<Generation, sqlx::Error> {
    let document = row.try_get::<Option<&str>, _>("remainder")?.map(serde_json::from_str::<serde_json::Value>);
    let document = document.transpose().map_err(|error| sqlx::Error::Decode(error.into()))?.unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_string);
    let by_review = document["decided_by"].as_str() == Some("review");
    let model: Option<String> = row.try_get("model_version")?;
    let policy =
        text(&document["policy"]["action"]).map(|action| PolicyRow { action, rule: text(&document["policy"]["rule"]) });
    let told = |value: Option<String>| value.filter(|_| !hidden);
    Ok(Generation {
        generation: generation(row.try_get("generation")?),
        outcome: OutcomeId(row.try_get("outcome_id")?),
        decision: told(row.try_get("decision")?),
        failure: told(row.try_get("code")?),
        synthetic: row.try_get::<Option<f32>, _>("synthetic")?.filter(|_| !hidden),
        by: if by_review { told(Some("review".into())) } else { model },
        policy: policy.filter(|_| !hidden),
        at: row.try_get("at")?,
    })
}

fn label(row: &PgRow) -> Result<LabelRow, sqlx::Error> {
    Ok(LabelRow {
        origin: row.try_get("origin")?,
        generator: row.try_get("generator")?,
        grounds: row.try_get::<Option<_>, _>("grounds")?.unwrap_or_default(),
        drawn_as: row.try_get("drawn_as")?,
        trains: row.try_get("trains")?,
        actor: row.try_get("actor")?,
        at: row.try_get("said_at")?,
        reason: row.try_get("reason")?,
    })
}

async fn reviews(
    connection: &mut PgConnection,
    caller: &Caller,
    tenant: &str,
    submission: &str,
) -> Result<Vec<ReviewRow>, sqlx::Error> {
    let asked = query(REVIEWS).persistent(false).bind(caller.access).bind(tenant).bind(submission);
    let rows = asked.bind(&caller.person).fetch_all(connection).await?;
    let review = |row: &PgRow| {
        Ok(ReviewRow {
            vote: row.try_get("vote_id")?,
            item: ItemId(row.try_get("item_id")?),
            is_appeal: kind(row.try_get("kind")?)? == ItemKind::Appeal,
            answer: row.try_get("answer")?,
            ground: row.try_get("ground")?,
            generator: row.try_get("generator")?,
            who: row.try_get("pseudonym")?,
            at: row.try_get("cast_at")?,
            blind: row.try_get("blind")?,
            state: row.try_get("state")?,
            comment: row.try_get("comment")?,
        })
    };
    rows.iter().map(review).collect()
}

async fn appeals_of(
    connection: &mut PgConnection,
    caller: &Caller,
    tenant: &str,
    submission: &str,
) -> Result<Vec<AppealRow>, sqlx::Error> {
    let asked = format!(
        "SELECT {} {} WHERE a.tenant = $3 AND a.submission_id = $4 AND may($1, 1::smallint, a.tenant) ORDER BY a.filed_at DESC",
        appeals::columns(),
        appeals::FROM
    );
    let asked = query(AssertSqlSafe(asked)).persistent(false).bind(caller.access).bind(&caller.person);
    let rows = asked.bind(tenant).bind(submission).fetch_all(connection).await?;
    rows.iter().map(appeals::listed).collect()
}
