//! What somebody does with an item beside voting on it.

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use time::Duration;
use uuid::Uuid;

use super::claiming::keep;
use super::outbox;
use super::row::{Row, dealings, locked};
use super::store::{Fault, Postgres, ask, attempt};
use crate::caller::Caller;
use crate::lease::{ClaimRefused, Person};
use crate::refused::Refused;
use crate::roles::Role;
use crate::views::{ItemId, ItemKind, ItemState};
use crate::vote::MAX_COMMENT;
use database::{DatabaseError, query, query_scalar};

/// Why nobody can look at an image any more.
const GONE: [&str; 5] = ["changed", "missing", "erased", "unreadable", "unreachable"];

impl Postgres {
    /// Lengthens leases; gives those that are lost: somebody else has the item, or nobody is to vote on it.
    pub async fn renew(&self, caller: &Caller, leases: &[Uuid]) -> Result<Vec<Uuid>, DatabaseError> {
        // In the order of the ids, so that two at once wait for each other and not in a circle.
        let renew = "WITH own AS (
                SELECT item_id FROM review_items
                WHERE lease = ANY($2) AND holder = $3 AND state = 'open' AND may($1, 2::smallint, tenant)
                ORDER BY item_id FOR UPDATE
            )
            UPDATE review_items AS i SET lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => $4))
            FROM own WHERE i.item_id = own.item_id AND i.holder = $3 AND i.lease = ANY($2) AND i.state = 'open' RETURNING i.lease";
        let renew = query_scalar(renew).bind(caller.access).bind(leases).bind(&caller.person);
        let renew = renew.bind(f64::from(self.settings.lease_s));
        let renewed: Vec<Uuid> = ask!(self, connection => renew.fetch_all(&mut *connection))?;
        Ok(leases.iter().copied().filter(|lease| !renewed.contains(lease)).collect())
    }

    /// Gives items back that were claimed ahead and never shown.
    pub async fn release(&self, caller: &Caller, leases: &[Uuid]) -> Result<(), DatabaseError> {
        let release = "UPDATE review_items SET holder = NULL, lease = NULL, lease_until = NULL
            WHERE lease = ANY($2) AND holder = $3 AND state = 'open' AND shown_at IS NULL AND NOT is_held AND pending IS NULL
                AND may($1, 2::smallint, tenant)";
        let release = query(release).bind(caller.access).bind(leases).bind(&caller.person);
        ask!(self, connection => release.execute(&mut *connection)).map(drop)
    }

    /// An item is on the screen: the time begins.
    pub async fn shown(&self, caller: &Caller, item: ItemId, lease: Uuid) -> Result<(), Refused> {
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = own(&mut transaction, caller, item, lease).await?;
            let shown = query("UPDATE review_items SET shown_at = coalesce(shown_at, $2) WHERE item_id = $1");
            shown.bind(row.id.0).bind(row.now).execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Gives an item back, not to get it again.
    pub async fn skip(&self, caller: &Caller, item: ItemId, lease: Uuid) -> Result<(), Refused> {
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = own(&mut transaction, caller, item, lease).await?;
            let mut claims = row.claims(&caller.person, dealings(&mut transaction, item, &caller.person).await?);
            claims.skip(&row.person(caller)?)?;
            let skip = query("INSERT INTO review_skips (item_id, person) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            skip.bind(item.0).bind(&caller.person).execute(&mut *transaction).await?;
            keep(&mut transaction, &row, &claims, None).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Keeps an item for later, as long as items wait at all.
    pub async fn hold(&self, caller: &Caller, item: ItemId, lease: Uuid, comment: Option<&str>) -> Result<(), Refused> {
        let comment = plain(comment)?;
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = own(&mut transaction, caller, item, lease).await?;
            let mut claims = row.claims(&caller.person, dealings(&mut transaction, item, &caller.person).await?);
            claims.renew(&row.person(caller)?, row.now, Duration::days(self.settings.wait_days.into()))?;
            keep(&mut transaction, &row, &claims, None).await?;
            let hold = "UPDATE review_items SET is_held = true, held_at = $2, held_comment = $3 WHERE item_id = $1";
            query(hold).bind(item.0).bind(row.now).bind(comment).execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Hands an item to the leads: by who has it, or by a lead, who need not have it.
    pub async fn escalate(
        &self,
        caller: &Caller,
        item: ItemId,
        lease: Uuid,
        comment: Option<&str>,
    ) -> Result<(), Refused> {
        let comment = plain(comment)?;
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = at_least(Role::Reviewer, locked(&mut transaction, caller, item).await?)?;
            if row.is_with(caller) {
                holds(&row, caller, lease)?;
            }
            let mut claims = row.claims(&caller.person, dealings(&mut transaction, item, &caller.person).await?);
            claims.escalate(&row.person(caller)?, row.now)?;
            keep(&mut transaction, &row, &claims, comment).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Sets an item aside for somebody, by a lead. Whether they may have it is asked again when they take it.
    pub async fn assign(
        &self,
        caller: &Caller,
        item: ItemId,
        lease: Uuid,
        to: &Person,
        comment: Option<&str>,
    ) -> Result<(), Refused> {
        let comment = plain(comment)?;
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = at_least(Role::Lead, locked(&mut transaction, caller, item).await?)?;
            let mut claims = row.claims(&to.name, dealings(&mut transaction, item, &to.name).await?);
            // Whoever gives it to somebody else gives their own claim up.
            if row.is_with(caller) && to.name != caller.person {
                holds(&row, caller, lease)?;
                claims.holder = None;
            }
            claims.assign(&row.person(caller)?, to, row.now)?;
            keep(&mut transaction, &row, &claims, comment).await?;
            let by = "UPDATE review_items SET assigned_by = $2, assigned_at = $3 WHERE item_id = $1";
            query(by).bind(item.0).bind(&caller.pseudonym).bind(row.now).execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Takes an assignment back, by a lead.
    pub async fn unassign(&self, caller: &Caller, item: ItemId) -> Result<(), Refused> {
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = at_least(Role::Lead, locked(&mut transaction, caller, item).await?)?;
            let mut claims = row.claims(&caller.person, dealings(&mut transaction, item, &caller.person).await?);
            claims.unassign(&row.person(caller)?, row.now)?;
            keep(&mut transaction, &row, &claims, None).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Closes an item whose image is gone: it is counted as not reviewed.
    pub async fn close(&self, caller: &Caller, item: ItemId, lease: Uuid, why: &str) -> Result<(), Refused> {
        if !GONE.contains(&why) {
            return Err(Refused::NoReasonToClose(why.chars().take(40).collect()));
        }
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = own(&mut transaction, caller, item, lease).await?;
            if row.kind == ItemKind::Appeal {
                return Err(Refused::AppealNotClosed.into());
            }
            closed(&mut transaction, &row, why).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Closes an item whose image has changed and asks for the next generation, by a lead.
    pub async fn rejudge(&self, caller: &Caller, item: ItemId, lease: Uuid) -> Result<(), Refused> {
        attempt!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let row = at_least(Role::Lead, own(&mut transaction, caller, item, lease).await?)?;
            if row.kind == ItemKind::Appeal {
                return Err(Refused::AppealNotClosed.into());
            }
            closed(&mut transaction, &row, "rejudged").await?;
            outbox::rejudge(&mut transaction, &row).await?;
            Ok(transaction.commit().await?)
        })
    }
}

/// An open item that this person holds, locked.
pub(super) async fn own(
    connection: &mut PgConnection,
    caller: &Caller,
    item: ItemId,
    lease: Uuid,
) -> Result<Row, Fault> {
    let row = at_least(Role::Reviewer, locked(connection, caller, item).await?)?;
    holds(&row, caller, lease)?;
    Ok(row)
}

fn holds(row: &Row, caller: &Caller, lease: Uuid) -> Result<(), Refused> {
    if row.state != ItemState::Open {
        return Err(ClaimRefused::Done.into());
    }
    if !row.is_with(caller) || row.lease != Some(lease) {
        return Err(ClaimRefused::NotHeld.into());
    }
    if row.pending.is_some() { Err(ClaimRefused::Voted.into()) } else { Ok(()) }
}

pub(super) fn at_least(needed: Role, row: Row) -> Result<Row, Refused> {
    match row.role {
        None => Err(Refused::NotFound),
        Some(role) if role < needed => Err(ClaimRefused::Role { needed, role }.into()),
        Some(_) => Ok(row),
    }
}

async fn closed(connection: &mut PgConnection, row: &Row, why: &str) -> Result<(), sqlx::Error> {
    let close =
        "UPDATE review_items SET state = 'closed', closed_why = $2, closed_at = $3, holder = NULL, lease = NULL,
        lease_until = NULL, assigned_to = NULL, is_held = false WHERE item_id = $1";
    query(close).bind(row.id.0).bind(why).bind(row.now).execute(connection).await.map(drop)
}

/// A comment that can be stored; none where it is empty.
fn plain(comment: Option<&str>) -> Result<Option<&str>, Refused> {
    match comment {
        Some(text) if text.len() > MAX_COMMENT => Err(Refused::Comment("is longer than 4,096 bytes: shorten it")),
        Some(text) if text.contains('\0') => Err(Refused::Comment("contains a NUL character, which can't be stored")),
        text => Ok(text.filter(|text| !text.trim().is_empty())),
    }
}
