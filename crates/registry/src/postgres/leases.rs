//! The statements of the leases.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::answer::{Answer, Trouble};
use crate::leases::{Acquired, By, Fenced, Lease, LeaseError};
use database::{DatabaseError, query, query_scalar};

/// Keeps whoever wants the lease waiting until this transaction has ended, if it is still the job's.
pub(super) async fn admit<Refusal: From<Fenced>>(connection: &mut PgConnection, by: By<'_>) -> Answer<(), Refusal> {
    let By::Job(lease) = by else { return Ok(()) };
    let current: Option<i64> = query_scalar("SELECT epoch FROM leases WHERE name = $1 FOR SHARE")
        .bind(&lease.name)
        .fetch_optional(connection)
        .await?;
    if current == Some(lease.epoch) { Ok(()) } else { Err(fenced(lease, current)) }
}

fn fenced<Refusal: From<Fenced>>(lease: &Lease, current: Option<i64>) -> Trouble<Refusal> {
    let (name, epoch) = (lease.name.clone(), lease.epoch);
    Trouble::Refused(Fenced { name, epoch, current: current.unwrap_or(0) }.into())
}

/// The time is the database's alone, so that no two machines need the same clock.
pub(super) async fn acquire(
    connection: &mut PgConnection,
    name: &str,
    holder: &str,
    ttl: Duration,
) -> Answer<Acquired, DatabaseError> {
    let taken = query(
        "INSERT INTO leases AS lease (name, holder, epoch, expires_at)
         VALUES ($1, $2, 1, now() + make_interval(secs => $3))
         ON CONFLICT (name) DO UPDATE
         SET holder = excluded.holder, epoch = lease.epoch + 1, expires_at = excluded.expires_at
         WHERE lease.expires_at <= now()
         RETURNING name, holder, epoch, expires_at",
    )
    .bind(name)
    .bind(holder)
    .bind(ttl.as_secs_f64())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = taken {
        return Ok(Acquired::Mine(lease_of(&row)?));
    }
    let row = query("SELECT holder, expires_at FROM leases WHERE name = $1").bind(name).fetch_one(connection).await?;
    Ok(Acquired::Held { by: row.try_get("holder")?, until: row.try_get("expires_at")? })
}

pub(super) async fn renew(connection: &mut PgConnection, lease: &Lease, ttl: Duration) -> Answer<Lease, LeaseError> {
    let renewed = query(
        "UPDATE leases SET expires_at = now() + make_interval(secs => $3) WHERE name = $1 AND epoch = $2
         RETURNING name, holder, epoch, expires_at",
    )
    .bind(&lease.name)
    .bind(lease.epoch)
    .bind(ttl.as_secs_f64())
    .fetch_optional(&mut *connection)
    .await?;
    match renewed {
        Some(row) => Ok(lease_of(&row)?),
        None => {
            let current =
                query_scalar("SELECT epoch FROM leases WHERE name = $1").bind(&lease.name).fetch_optional(connection);
            Err(fenced(lease, current.await?))
        }
    }
}

pub(super) async fn release(connection: &mut PgConnection, lease: &Lease) -> Answer<(), DatabaseError> {
    query("UPDATE leases SET expires_at = now() WHERE name = $1 AND epoch = $2")
        .bind(&lease.name)
        .bind(lease.epoch)
        .execute(connection)
        .await?;
    Ok(())
}

fn lease_of(row: &PgRow) -> Result<Lease, sqlx::Error> {
    Ok(Lease {
        name: row.try_get("name")?,
        holder: row.try_get("holder")?,
        epoch: row.try_get("epoch")?,
        expires_at: row.try_get("expires_at")?,
    })
}
