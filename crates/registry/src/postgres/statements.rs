//! The statements of the registry. What rests on a lease or on what is active is one transaction with it.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Acquire, Row, query, query_scalar};

use super::rows;
use crate::{
    Acquired, By, Change, Lease, Model, NewModel, Promotion, RecordedRun, Registered, RegistryError, Run, RunState,
};
use database::is_taken;

/// Where promotions are announced; the payload names the schema.
pub(super) const CHANNEL: &str = "assay_promotions";

const MODELS: &str = "
SELECT version, sha256, location, manifest::text AS manifest, metrics::text AS metrics, parent, actor, registered_at
FROM models";

const PROMOTIONS: &str = "SELECT id, version, replaces, kind, actor, reason, promoted_at FROM promotions";

/// Why a statement gave no answer.
pub(super) enum Trouble {
    Failed(sqlx::Error),
    /// The database is well; what was asked for may not be.
    Refused(RegistryError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Trouble {
        Trouble::Failed(error)
    }
}

type Answer<T> = Result<T, Trouble>;

/// Keeps whoever wants the lease waiting until this transaction has ended, if it is still the job's.
async fn admit(connection: &mut PgConnection, by: By<'_>) -> Answer<()> {
    let By::Job(lease) = by else { return Ok(()) };
    let current: Option<i64> = query_scalar("SELECT epoch FROM leases WHERE name = $1 FOR SHARE")
        .bind(&lease.name)
        .fetch_optional(connection)
        .await?;
    if current == Some(lease.epoch) { Ok(()) } else { Err(fenced(lease, current)) }
}

fn fenced(lease: &Lease, current: Option<i64>) -> Trouble {
    let (name, epoch) = (lease.name.clone(), lease.epoch);
    Trouble::Refused(RegistryError::Fenced { name, epoch, current: current.unwrap_or(0) })
}

pub(super) async fn register(connection: &mut PgConnection, model: &NewModel, by: By<'_>) -> Answer<Registered> {
    let mut transaction = connection.begin().await?;
    admit(&mut transaction, by).await?;
    if let Some(parent) = &model.parent {
        known(&mut transaction, parent).await?;
    }
    let inserted = query(
        "INSERT INTO models (version, sha256, location, manifest, metrics, parent, actor)
         VALUES ($1, $2, $3, $4::json, $5::json, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(&model.version)
    .bind(&model.sha256)
    .bind(&model.location)
    .bind(&model.manifest)
    .bind(model.metrics.to_string())
    .bind(&model.parent)
    .bind(&model.actor)
    .execute(&mut *transaction)
    .await?;
    if inserted.rows_affected() == 1 {
        transaction.commit().await?;
        return Ok(Registered::New);
    }
    let standing = self::model(&mut transaction, &model.version).await?;
    let same =
        |standing: &Model| (&standing.entry.sha256, &standing.entry.manifest) == (&model.sha256, &model.manifest);
    match standing {
        Some(standing) if same(&standing) => Ok(Registered::Known),
        _ => Err(Trouble::Refused(RegistryError::Taken { version: model.version.clone() })),
    }
}

async fn known(connection: &mut PgConnection, version: &str) -> Answer<()> {
    let known: bool = query_scalar("SELECT EXISTS (SELECT FROM models WHERE version = $1)")
        .bind(version)
        .fetch_one(connection)
        .await?;
    if known { Ok(()) } else { Err(Trouble::Refused(RegistryError::Unknown { version: version.into() })) }
}

pub(super) async fn model(connection: &mut PgConnection, version: &str) -> Answer<Option<Model>> {
    let asked = sqlx::AssertSqlSafe(format!("{MODELS} WHERE version = $1"));
    let row = query(asked).bind(version).fetch_optional(connection).await?;
    Ok(row.as_ref().map(rows::model).transpose()?)
}

pub(super) async fn models(connection: &mut PgConnection) -> Answer<Vec<Model>> {
    let asked = sqlx::AssertSqlSafe(format!("{MODELS} ORDER BY registered_at DESC, version DESC"));
    let rows = query(asked).fetch_all(connection).await?;
    Ok(rows.iter().map(rows::model).collect::<Result<_, _>>()?)
}

pub(super) async fn active(connection: &mut PgConnection) -> Answer<Option<Promotion>> {
    let asked = sqlx::AssertSqlSafe(format!("{PROMOTIONS} ORDER BY id DESC LIMIT 1"));
    let row = query(asked).fetch_optional(connection).await?;
    Ok(row.as_ref().map(rows::promotion).transpose()?)
}

pub(super) async fn promotions(connection: &mut PgConnection) -> Answer<Vec<Promotion>> {
    let asked = sqlx::AssertSqlSafe(format!("{PROMOTIONS} ORDER BY id"));
    let rows = query(asked).fetch_all(connection).await?;
    Ok(rows.iter().map(rows::promotion).collect::<Result<_, _>>()?)
}

pub(super) async fn promote(connection: &mut PgConnection, change: &Change, by: By<'_>) -> Answer<Promotion> {
    let mut transaction = connection.begin().await?;
    admit(&mut transaction, by).await?;
    known(&mut transaction, &change.version).await?;
    let last = active(&mut transaction).await?;
    if let Some(standing) = last.as_ref().filter(|last| last.version == change.version) {
        return Ok(standing.clone());
    }
    let moved = |active: Option<Promotion>| {
        let active = active.map(|active| active.version);
        Trouble::Refused(RegistryError::Moved { active, expected: change.replaces.clone() })
    };
    if last.as_ref().map(|last| &last.version) != change.replaces.as_ref() {
        return Err(moved(last));
    }
    // Whoever took the number first was first; the others wait here for their end.
    let inserted = query(
        "INSERT INTO promotions (id, version, replaces, kind, actor, reason) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id, version, replaces, kind, actor, reason, promoted_at",
    )
    .bind(last.map_or(0, |last| last.number) + 1)
    .bind(&change.version)
    .bind(&change.replaces)
    .bind(change.kind.as_str())
    .bind(&change.actor)
    .bind(&change.reason)
    .fetch_one(&mut *transaction)
    .await;
    let row = match inserted {
        Ok(row) => row,
        Err(error) if is_taken(&error) => {
            transaction.rollback().await?;
            return Err(moved(active(connection).await?));
        }
        Err(error) => return Err(error.into()),
    };
    query("SELECT pg_notify($1, current_schema())").bind(CHANNEL).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(rows::promotion(&row)?)
}

/// The time is the database's alone, so that no two machines need the same clock.
pub(super) async fn acquire(
    connection: &mut PgConnection,
    name: &str,
    holder: &str,
    ttl: Duration,
) -> Answer<Acquired> {
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
        return Ok(Acquired::Mine(rows::lease(&row)?));
    }
    let row = query("SELECT holder, expires_at FROM leases WHERE name = $1").bind(name).fetch_one(connection).await?;
    Ok(Acquired::Held { by: row.try_get("holder")?, until: row.try_get("expires_at")? })
}

pub(super) async fn renew(connection: &mut PgConnection, lease: &Lease, ttl: Duration) -> Answer<Lease> {
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
        Some(row) => Ok(rows::lease(&row)?),
        None => {
            let current =
                query_scalar("SELECT epoch FROM leases WHERE name = $1").bind(&lease.name).fetch_optional(connection);
            Err(fenced(lease, current.await?))
        }
    }
}

pub(super) async fn release(connection: &mut PgConnection, lease: &Lease) -> Answer<()> {
    query("UPDATE leases SET expires_at = now() WHERE name = $1 AND epoch = $2")
        .bind(&lease.name)
        .bind(lease.epoch)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn record_run(connection: &mut PgConnection, run: &Run, lease: &Lease) -> Answer<()> {
    let mut transaction = connection.begin().await?;
    admit(&mut transaction, By::Job(lease)).await?;
    query(
        "INSERT INTO training_runs AS run (id, epoch, state, snapshot, candidate, report, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6::json, CASE WHEN $7 THEN NULL ELSE now() END)
         ON CONFLICT (id) DO UPDATE
         SET epoch = excluded.epoch, state = excluded.state, snapshot = excluded.snapshot,
             candidate = excluded.candidate, report = excluded.report, finished_at = excluded.finished_at",
    )
    .bind(run.id)
    .bind(lease.epoch)
    .bind(run.state.as_str())
    .bind(&run.snapshot)
    .bind(&run.candidate)
    .bind(run.report.to_string())
    .bind(run.state == RunState::Running)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn runs(connection: &mut PgConnection, most: usize) -> Answer<Vec<RecordedRun>> {
    let rows = query(
        "SELECT id, epoch, state, snapshot, candidate, report::text AS report, started_at, finished_at
         FROM training_runs ORDER BY started_at DESC LIMIT $1",
    )
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(rows::run).collect::<Result<_, _>>()?)
}
