//! Items of which the answer is known.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::store::{Fault, Postgres, attempt};
use crate::caller::Caller;
use crate::draw::Salt;
use crate::lease::ClaimRefused;
use crate::refused::Refused;
use crate::roles::Role;
use crate::views::ItemId;
use database::{DatabaseError, query, query_scalar};
use domain::{LabelledOrigin, OutcomeId};

/// They come by chance and never in their turn.
const PRIORITY: i16 = 900;

const INSERT: &str = "INSERT INTO review_items
    (item_id, outcome_id, kind, source, priority, scrutiny, tenant, submission_id, generation, decision, synthetic, model_version,
     image_sha256, bucket, object_key, decided_at, recorded_at)
SELECT $1, v.verdict_id, 'golden', 'golden', $2, $3, v.tenant, v.submission_id, v.generation, v.decision, v.synthetic, v.model_version,
    v.image_sha256, v.bucket, v.object_key, v.decided_at, v.recorded_at
FROM outcomes AS o JOIN verdicts AS v ON v.recorded_at = o.recorded_at AND v.verdict_id = o.outcome_id
WHERE o.outcome_id = $4 AND o.kind = 0
ON CONFLICT DO NOTHING";

impl Postgres {
    /// Has everybody look at a verdict's image once, to be measured, by a lead. What it is, is said once.
    pub async fn golden(&self, caller: &Caller, outcome: OutcomeId, origin: LabelledOrigin) -> Result<ItemId, Refused> {
        attempt!(self, connection => golden(&mut connection, caller, outcome, origin))
    }
}

async fn golden(
    connection: &mut PgConnection,
    caller: &Caller,
    outcome: OutcomeId,
    origin: LabelledOrigin,
) -> Result<ItemId, Fault> {
    let mut transaction = connection.begin().await?;
    let role = query_scalar("SELECT role_in($1, tenant) FROM outcomes WHERE outcome_id = $2 AND kind = 0");
    let role: Option<i16> = role.bind(caller.access).bind(outcome.0).fetch_optional(&mut *transaction).await?;
    let role = role.and_then(super::row::role).ok_or(Refused::NotFound)?;
    if !role.leads() {
        return Err(ClaimRefused::Role { needed: Role::Lead, role }.into());
    }
    let salt: Vec<u8> = query_scalar("SELECT salt FROM review_salt").fetch_one(&mut *transaction).await?;
    let salt = Salt::new(salt).map_err(|error| DatabaseError::failed(error.to_string()))?;
    let item = ItemId(salt.golden_id(outcome));
    let scrutiny = match origin {
        LabelledOrigin::Real => "golden_real",
        LabelledOrigin::Synthetic => "golden_synthetic",
    };
    query(INSERT).bind(item.0).bind(PRIORITY).bind(scrutiny).bind(outcome.0).execute(&mut *transaction).await?;
    let known = query_scalar("SELECT scrutiny FROM review_items WHERE item_id = $1").bind(item.0);
    let known: Option<String> = known.fetch_optional(&mut *transaction).await?;
    if known.as_deref() != Some(scrutiny) {
        return Err(Refused::NotInForce.into());
    }
    // Whoever has said the answer is not measured by it.
    let bar = "INSERT INTO review_bars (item_id, person, why) VALUES ($1, $2, 'reviewed') ON CONFLICT DO NOTHING";
    query(bar).bind(item.0).bind(&caller.person).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(item)
}
