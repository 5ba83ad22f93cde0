//! Taking items.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};
use time::Duration;
use uuid::Uuid;

use super::budget;
use super::row::{Dealings, IS_CAST, Row, counted, dealings, locked};
use super::store::{Fault, Postgres, answered, ask, attempt};
use crate::admission::{Sight, sight};
use crate::caller::Caller;
use crate::lease::Claims;
use crate::refused::Refused;
use crate::settings::ReviewSettings;
use crate::source::Source;
use crate::views::{Claim, ItemId, ItemKind, ItemState};
use database::{DatabaseError, query, query_scalar};

/// How many items somebody has on their screen and ahead of it. With five ahead, a few images that take long to fetch and decode keep
/// nobody waiting who answers at once.
pub(super) const MOST_CLAIMS: u32 = 6;
/// Others may change an item between the moment at which it is found and the one at which it is locked.
const TRIES: usize = 5;

/// One after the other: two requests of one person are two claims, and not more than there may be.
const ONE_AT_A_TIME: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('assay.review.person.' || current_schema() || $1, 0))";

const OWN: &str = "SELECT item_id FROM review_items
WHERE holder = $1 AND state = 'open' AND lease_until > clock_timestamp() AND NOT is_held AND pending IS NULL";

impl Postgres {
    /// The next item for this person: one of their own that was not shown yet, unless another one is wanted `ahead` of it; one that is
    /// assigned to them; then the first in the order of the queue that they may have.
    pub async fn next(&self, caller: &Caller, ahead: bool) -> Result<Option<Claim>, DatabaseError> {
        ask!(self, connection => next(&mut connection, &self.settings, caller, ahead))
    }

    /// This very item.
    pub async fn claim(&self, caller: &Caller, item: ItemId) -> Result<Claim, Refused> {
        attempt!(self, connection => claim(&mut connection, &self.settings, caller, item))
    }
}

async fn next(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    ahead: bool,
) -> Result<Option<Claim>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    query(ONE_AT_A_TIME).bind(&caller.person).execute(&mut *transaction).await?;
    let own = own(&mut transaction, caller).await?;
    let again = own.iter().find(|own| !own.shown).filter(|_| !ahead);
    let is_full = own.len() >= MOST_CLAIMS as usize;
    // Nobody is left without a page because they have opened several.
    let again = again.or_else(|| own.first().filter(|_| is_full && !ahead)).map(|own| own.item);
    if let Some(item) = again
        && let Ok(claim) = answered(taken(&mut transaction, settings, caller, item)).await?
    {
        transaction.commit().await?;
        return Ok(Some(claim));
    }
    if is_full {
        return Ok(None);
    }
    let blocked = budget::blocked(&mut transaction, settings).await?;
    let wants_golden = chance() < settings.golden_share;
    for _ in 0..TRIES {
        let mut found = None;
        for from in [wants_golden.then_some(Wanted::Golden), Some(Wanted::Assigned), Some(Wanted::Queue)] {
            let Some(from) = from.filter(|_| found.is_none()) else { continue };
            found = find(&mut transaction, caller, from, &blocked).await?;
        }
        let Some(item) = found else { break };
        if let Ok(claim) = answered(taken(&mut transaction, settings, caller, item)).await? {
            transaction.commit().await?;
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

async fn claim(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    item: ItemId,
) -> Result<Claim, Fault> {
    let mut transaction = connection.begin().await?;
    query(ONE_AT_A_TIME).bind(&caller.person).execute(&mut *transaction).await?;
    let own = own(&mut transaction, caller).await?;
    let is_own = own.iter().any(|own| own.item == item);
    let blocked = budget::blocked(&mut transaction, settings).await?;
    let row = locked(&mut transaction, caller, item).await?;
    if row.begun_at.is_none() && blocked.contains(&budget::place(&row.tenant, &row.source)) {
        return Err(Refused::Budget.into());
    }
    let claim = taken(&mut transaction, settings, caller, item).await?;
    if !is_own && own.len() >= MOST_CLAIMS as usize {
        return Err(Refused::TooMany(MOST_CLAIMS).into());
    }
    transaction.commit().await?;
    Ok(claim)
}

/// Takes an item by the rules, whatever brought it here.
async fn taken(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    item: ItemId,
) -> Result<Claim, Fault> {
    let row = locked(connection, caller, item).await?;
    let dealings = dealings(connection, item, &caller.person).await?;
    let person = row.person(caller)?;
    let mut claims = row.claims(&caller.person, dealings);
    claims.claim(&person, row.now, Duration::seconds(settings.lease_s.into()))?;
    if dealings.saw && sight(&row.item, &counted(connection, item).await?, person.role) == Sight::Blind {
        return Err(Refused::SawBefore.into());
    }
    let lease = keep(connection, &row, &claims, None).await?.ok_or(Refused::NotFound)?;
    Ok(Claim { item, lease, is_appeal: row.kind == ItemKind::Appeal })
}

/// Writes what the rules have made of an item; gives the lease. Whoever takes it from somebody else gets a new one.
pub(super) async fn keep(
    connection: &mut PgConnection,
    row: &Row,
    claims: &Claims,
    because: Option<&str>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let keep = "UPDATE review_items SET
            lease = CASE WHEN $2::text IS NULL THEN NULL WHEN holder = $2 THEN lease ELSE $4 END,
            shown_at = CASE WHEN holder = $2 THEN shown_at END,
            is_held = is_held AND coalesce(holder = $2, false),
            held_at = CASE WHEN holder = $2 THEN held_at END,
            held_comment = CASE WHEN holder = $2 THEN held_comment END,
            begun_at = coalesce(begun_at, CASE WHEN $2 IS NOT NULL THEN $5 END),
            holder = $2, lease_until = $3, assigned_to = $6, for_leads = $7, because = coalesce($8, because),
            assigned_by = CASE WHEN $6::text IS NOT NULL THEN assigned_by END
        WHERE item_id = $1 RETURNING lease";
    let holder = claims.holder.as_ref();
    let keep = query_scalar(keep).bind(row.id.0).bind(holder.map(|holder| holder.name.as_str()));
    let keep = keep.bind(holder.map(|holder| holder.until)).bind(Uuid::new_v4()).bind(row.now);
    keep.bind(claims.assigned_to.as_deref()).bind(claims.for_leads).bind(because).fetch_one(connection).await
}

struct Own {
    item: ItemId,
    shown: bool,
}

/// What somebody has on their screen and ahead of it.
async fn own(connection: &mut PgConnection, caller: &Caller) -> Result<Vec<Own>, sqlx::Error> {
    let asked = format!("{} ORDER BY lease_until, item_id", OWN.replace("SELECT item_id", "SELECT item_id, shown_at"));
    let rows = query(AssertSqlSafe(asked)).bind(&caller.person).fetch_all(connection).await?;
    let own = |row: &PgRow| {
        let shown: Option<time::OffsetDateTime> = row.try_get("shown_at")?;
        Ok(Own { item: ItemId(row.try_get("item_id")?), shown: shown.is_some() })
    };
    rows.iter().map(own).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Golden,
    Assigned,
    Queue,
}

/// The first that this person may have and that nobody else is at.
async fn find(
    connection: &mut PgConnection,
    caller: &Caller,
    from: Wanted,
    blocked: &[String],
) -> Result<Option<ItemId>, sqlx::Error> {
    let (which, order) = match from {
        Wanted::Golden => ("i.kind = 'golden'", "random()"),
        Wanted::Assigned => ("i.kind <> 'golden' AND i.assigned_to = $2", "i.assigned_at, i.item_id"),
        Wanted::Queue => ("i.kind <> 'golden'", "i.priority, i.audit_rank NULLS FIRST, i.arrived_at, i.item_id"),
    };
    let asked = format!(
        "WITH rights AS MATERIALIZED (SELECT tenants_of($1, 2::smallint) AS reviews, tenants_of($1, 3::smallint) AS leads)
         SELECT i.item_id FROM review_items AS i, rights
         WHERE i.state = 'open' AND {which} AND i.pending IS NULL AND (i.holder IS NULL OR i.lease_until <= clock_timestamp())
             AND (i.tenant = ANY(rights.reviews) OR '*' = ANY(rights.reviews))
             AND (NOT i.for_leads OR i.tenant = ANY(rights.leads) OR '*' = ANY(rights.leads))
             AND (i.assigned_to IS NULL OR i.assigned_to = $2)
             AND (i.kind = 'golden' OR i.source = ANY($3))
             AND (i.begun_at IS NOT NULL OR NOT (i.tenant || ' ' || i.source = ANY($4)))
             AND NOT EXISTS (SELECT FROM review_skips AS s WHERE s.item_id = i.item_id AND s.person = $2)
             AND NOT EXISTS (SELECT FROM reviews AS r WHERE r.item_id = i.item_id AND r.person = $2 AND {IS_CAST})
             AND NOT EXISTS (
                 SELECT FROM review_bars AS b WHERE b.item_id = i.item_id AND b.person = $2 AND (
                     b.why = 'reviewed' OR i.audit_stratum IS NOT NULL OR i.kind = 'golden' OR EXISTS (
                         SELECT FROM reviews AS r JOIN review_marks AS m USING (vote_id) WHERE r.item_id = i.item_id AND m.mark = 'counted'
                     )
                 )
             )
         ORDER BY {order} LIMIT 1 FOR UPDATE OF i SKIP LOCKED"
    );
    let sources: Vec<&str> = Source::ALL.iter().map(|source| source.as_str()).collect();
    let asked = query_scalar(AssertSqlSafe(asked)).persistent(false).bind(caller.access).bind(&caller.person);
    let found: Option<Uuid> = asked.bind(sources).bind(blocked).fetch_optional(connection).await?;
    Ok(found.map(ItemId))
}

/// From 0 to below 1.
fn chance() -> f64 {
    let bits = Uuid::new_v4().as_u64_pair().1 & ((1 << 53) - 1);
    bits as f64 / (1_u64 << 53) as f64
}

/// Whether `claim` would be granted now, but for the budget and the number of claims.
pub(super) fn may_claim(row: &Row, caller: &Caller, dealings: Dealings, needs_blind: bool) -> Result<(), Refused> {
    let person = row.person(caller)?;
    row.claims(&caller.person, dealings).claim(&person, row.now, Duration::ZERO)?;
    if dealings.saw && needs_blind && row.state == ItemState::Open { Err(Refused::SawBefore) } else { Ok(()) }
}

/// Whether there is an item for this person: one of their own, or one that `next` would find.
pub(super) async fn would_find(
    connection: &mut PgConnection,
    caller: &Caller,
    blocked: &[String],
) -> Result<bool, sqlx::Error> {
    if !own(connection, caller).await?.is_empty() {
        return Ok(true);
    }
    for from in [Wanted::Assigned, Wanted::Queue] {
        if find(connection, caller, from, blocked).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
