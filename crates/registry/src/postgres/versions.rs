//! The statements of versions and promotions. What rests on a lease or on what is active is one transaction with it.

use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::answer::{Answer, Trouble};
use super::leases::admit;
use super::rows;
use crate::error::RegistryError;
use crate::leases::By;
use crate::model::{Model, NewModel, Registered};
use crate::promotion::{Change, Promotion};
use database::{is_taken, query, query_scalar};

/// Where promotions are announced; the payload names the schema.
pub(super) const CHANNEL: &str = "assay_promotions";

const MODELS: &str = "
SELECT version, sha256, location, manifest::text AS manifest, metrics::text AS metrics, parent, actor, registered_at
FROM models";

const PROMOTIONS: &str = "SELECT id, version, replaces, kind, actor, reason, promoted_at FROM promotions";

pub(super) async fn register(
    connection: &mut PgConnection,
    model: &NewModel,
    by: By<'_>,
) -> Answer<Registered, RegistryError> {
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

async fn known(connection: &mut PgConnection, version: &str) -> Answer<(), RegistryError> {
    let known: bool = query_scalar("SELECT EXISTS (SELECT FROM models WHERE version = $1)")
        .bind(version)
        .fetch_one(connection)
        .await?;
    if known { Ok(()) } else { Err(Trouble::Refused(RegistryError::Unknown { version: version.into() })) }
}

pub(super) async fn model(connection: &mut PgConnection, version: &str) -> Answer<Option<Model>, RegistryError> {
    let asked = sqlx::AssertSqlSafe(format!("{MODELS} WHERE version = $1"));
    let row = query(asked).bind(version).fetch_optional(connection).await?;
    Ok(row.as_ref().map(rows::model).transpose()?)
}

pub(super) async fn models(connection: &mut PgConnection) -> Answer<Vec<Model>, RegistryError> {
    let asked = sqlx::AssertSqlSafe(format!("{MODELS} ORDER BY registered_at DESC, version DESC"));
    let rows = query(asked).fetch_all(connection).await?;
    Ok(rows.iter().map(rows::model).collect::<Result<_, _>>()?)
}

pub(super) async fn active(connection: &mut PgConnection) -> Answer<Option<Promotion>, RegistryError> {
    let asked = sqlx::AssertSqlSafe(format!("{PROMOTIONS} ORDER BY id DESC LIMIT 1"));
    let row = query(asked).fetch_optional(connection).await?;
    Ok(row.as_ref().map(rows::promotion).transpose()?)
}

pub(super) async fn promotions(connection: &mut PgConnection) -> Answer<Vec<Promotion>, RegistryError> {
    let asked = sqlx::AssertSqlSafe(format!("{PROMOTIONS} ORDER BY id"));
    let rows = query(asked).fetch_all(connection).await?;
    Ok(rows.iter().map(rows::promotion).collect::<Result<_, _>>()?)
}

pub(super) async fn promote(
    connection: &mut PgConnection,
    change: &Change,
    by: By<'_>,
) -> Answer<Promotion, RegistryError> {
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
