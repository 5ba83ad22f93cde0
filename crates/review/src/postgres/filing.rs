//! Taking appeals.

use serde_json::json;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};
use uuid::Uuid;

use super::store::{Postgres, ask};
use crate::caller::Caller;
use crate::roles::{Action, Denied};
use crate::source::Source;
use crate::views::{AppealRefused, Filed, ItemId, ItemKind, NewAppeal};
use database::{query, query_scalar};
use domain::OutcomeId;

const VERDICT: &str = "SELECT o.tenant, o.submission_id, o.recorded_at,
    EXISTS (
        SELECT FROM outcomes AS later
        WHERE later.tenant = o.tenant AND later.submission_id = o.submission_id AND later.generation > o.generation AND later.kind = 0
    ) AS overtaken,
    EXISTS (
        SELECT FROM erased, erasure_salt
        WHERE mark = sha256(salt || convert_to(o.tenant, 'UTF8') || '\\x00'::bytea || convert_to(o.submission_id, 'UTF8'))
    ) AS erased
FROM outcomes AS o WHERE o.outcome_id = $1 AND o.kind = 0 AND ($2::text IS NULL OR o.tenant = $2)";

const ITEM: &str = "INSERT INTO review_items
    (item_id, outcome_id, appeal_id, kind, source, priority, scrutiny, tenant, submission_id, generation, decision, synthetic,
     model_version, image_sha256, bucket, object_key, decided_at, recorded_at)
SELECT $1, v.verdict_id, $2, 'appeal', 'appeal', $3, 'double', v.tenant, v.submission_id, v.generation, v.decision, v.synthetic,
    v.model_version, v.image_sha256, v.bucket, v.object_key, v.decided_at, v.recorded_at
FROM verdicts AS v WHERE v.recorded_at = $4 AND v.verdict_id = $5";

const BARS: &str = "INSERT INTO review_bars (item_id, person, why)
SELECT DISTINCT $1::uuid, r.person, 'reviewed' FROM reviews AS r JOIN review_items AS i USING (item_id)
WHERE i.tenant = $2 AND i.submission_id = $3 AND i.item_id <> $1
    AND NOT EXISTS (SELECT FROM review_marks AS m WHERE m.vote_id = r.vote_id AND m.mark = 'undone')
ON CONFLICT DO NOTHING";

const CLOSE: &str = "UPDATE review_items AS i SET state = 'closed', closed_why = 'appealed', closed_at = now(), holder = NULL,
    lease = NULL, lease_until = NULL, assigned_to = NULL, is_held = false
WHERE i.tenant = $1 AND i.submission_id = $2 AND i.kind = 'review' AND i.state = 'open' AND i.pending IS NULL
    AND NOT EXISTS (SELECT FROM reviews AS r JOIN review_marks AS m USING (vote_id) WHERE r.item_id = i.item_id AND m.mark = 'counted')";

impl Postgres {
    /// Takes an appeal against a verdict in force. Whoever has reviewed the submission does not decide on it.
    pub async fn file_appeal(&self, new: &NewAppeal) -> Result<Filed, AppealRefused> {
        new.validate()?;
        ask!(self, connection => file(&mut connection, new, None))?
    }

    /// The same on behalf of whoever uploaded it, by somebody of the console who then does not decide on it.
    pub async fn file_appeal_by(&self, caller: &Caller, new: &NewAppeal) -> Result<Filed, AppealRefused> {
        new.validate()?;
        ask!(self, connection => file(&mut connection, new, Some(caller)))?
    }
}

async fn file(
    connection: &mut PgConnection,
    new: &NewAppeal,
    filer: Option<&Caller>,
) -> Result<Result<Filed, AppealRefused>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let verdict = query(AssertSqlSafe(VERDICT)).persistent(false).bind(new.outcome.0).bind(new.tenant.as_deref());
    let Some(verdict) = verdict.fetch_optional(&mut *transaction).await? else {
        return Ok(Err(AppealRefused::Unknown(new.outcome)));
    };
    if let Some(filer) = filer
        && let Err(refused) = may(&mut transaction, filer, new.outcome, verdict.try_get("tenant")?).await?
    {
        return Ok(Err(refused));
    }
    if verdict.try_get("erased")? {
        return Ok(Err(AppealRefused::Erased));
    }
    let appeal = Uuid::new_v5(&new.outcome.0, b"assay.appeal");
    if let Some(known) = filed(&mut transaction, new, appeal).await? {
        return Ok(known);
    }
    if verdict.try_get("overtaken")? {
        return Ok(Err(AppealRefused::NotInForce(new.outcome)));
    }
    // Whoever votes on the submission now is waited for, or sees the appeal.
    let (tenant, submission): (String, String) = (verdict.try_get("tenant")?, verdict.try_get("submission_id")?);
    let lock = "SELECT FROM review_items WHERE tenant = $1 AND submission_id = $2 ORDER BY item_id FOR UPDATE";
    query(lock).bind(&tenant).bind(&submission).fetch_all(&mut *transaction).await?;
    let evidence = new.evidence.as_ref().map(|evidence| json!(evidence).to_string());
    let insert = "INSERT INTO appeals (appeal_id, outcome_id, tenant, submission_id, text, evidence, via, filed_by)
        VALUES ($1, $2, $3, $4, $5, $6::json, $7, $8) ON CONFLICT DO NOTHING";
    let insert = query(insert).bind(appeal).bind(new.outcome.0).bind(&tenant).bind(&submission).bind(&new.text);
    let insert = insert.bind(evidence).bind(new.via.as_str()).bind(new.filed_by.as_deref());
    if insert.execute(&mut *transaction).await?.rows_affected() == 0 {
        // Somebody else filed one at the same moment.
        let known = filed(&mut transaction, new, appeal).await?;
        return Ok(known.unwrap_or(Err(AppealRefused::AppealedBefore)));
    }
    let made = make(&mut transaction, new, appeal, &verdict, (&tenant, &submission)).await?;
    if !made {
        return Ok(Err(AppealRefused::Unknown(new.outcome)));
    }
    if let Some(filer) = filer {
        let bar = "INSERT INTO review_bars (item_id, person, why) VALUES ($1, $2, 'reviewed') ON CONFLICT DO NOTHING";
        let bar = query(bar).bind(ItemId::of(new.outcome, ItemKind::Appeal).0).bind(&filer.person);
        bar.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Ok(Filed { appeal, known: false }))
}

/// Whether somebody may file it; a verdict of a tenant that is not theirs is as if it were not there.
async fn may(
    connection: &mut PgConnection,
    filer: &Caller,
    outcome: OutcomeId,
    tenant: &str,
) -> Result<Result<(), AppealRefused>, sqlx::Error> {
    let role = query_scalar("SELECT role_in($1, $2)").bind(filer.access).bind(tenant);
    let role: Option<i16> = role.fetch_one(connection).await?;
    let (action, needed) = (Action::FileAppeal, Action::FileAppeal.needs());
    Ok(match role.and_then(super::row::role) {
        None => Err(AppealRefused::Unknown(outcome)),
        Some(role) if role < needed => Err(Denied::Role { action, needed, role }.into()),
        Some(_) => Ok(()),
    })
}

/// What was filed against this verdict before.
async fn filed(
    connection: &mut PgConnection,
    new: &NewAppeal,
    appeal: Uuid,
) -> Result<Option<Result<Filed, AppealRefused>>, sqlx::Error> {
    let asked = query("SELECT text FROM appeals WHERE outcome_id = $1").bind(new.outcome.0);
    let Some(row) = asked.fetch_optional(connection).await? else { return Ok(None) };
    let is_same = row.try_get::<&str, _>("text")? == new.text;
    Ok(Some(if is_same { Ok(Filed { appeal, known: true }) } else { Err(AppealRefused::AppealedBefore) }))
}

/// `false`: the verdict is gone meanwhile.
async fn make(
    connection: &mut PgConnection,
    new: &NewAppeal,
    appeal: Uuid,
    verdict: &PgRow,
    (tenant, submission): (&str, &str),
) -> Result<bool, sqlx::Error> {
    let item = ItemId::of(new.outcome, ItemKind::Appeal);
    let recorded_at: time::OffsetDateTime = verdict.try_get("recorded_at")?;
    let insert = query(ITEM).bind(item.0).bind(appeal).bind(Source::Appeal.priority());
    let made = insert.bind(recorded_at).bind(new.outcome.0).execute(&mut *connection).await?;
    if made.rows_affected() == 0 {
        return Ok(false);
    }
    query(BARS).bind(item.0).bind(tenant).bind(submission).execute(&mut *connection).await?;
    query(CLOSE).bind(tenant).bind(submission).execute(&mut *connection).await?;
    Ok(true)
}
