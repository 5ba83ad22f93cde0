//! Bringing the schema to this version, and seeing whether it is.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr, query, query_scalar};

use crate::address::{address, options};
use crate::connect::{in_time, open};
use crate::error::DatabaseError;
use crate::session::{self, Place, Told};
use crate::settings::Settings;

/// `migrations/`, built in. (sqlx's macro for it would have sqlx and its TLS compiled a second time, for the compiler.)
const FILES: [(&str, &str); 12] = [
    ("0001_outcomes", include_str!("../../../migrations/0001_outcomes.sql")),
    ("0002_reuse", include_str!("../../../migrations/0002_reuse.sql")),
    ("0003_workers", include_str!("../../../migrations/0003_workers.sql")),
    ("0004_labels", include_str!("../../../migrations/0004_labels.sql")),
    ("0005_models", include_str!("../../../migrations/0005_models.sql")),
    ("0006_followers", include_str!("../../../migrations/0006_followers.sql")),
    ("0007_partitions", include_str!("../../../migrations/0007_partitions.sql")),
    ("0008_erasure", include_str!("../../../migrations/0008_erasure.sql")),
    ("0009_campaigns", include_str!("../../../migrations/0009_campaigns.sql")),
    ("0010_policies", include_str!("../../../migrations/0010_policies.sql")),
    ("0011_access", include_str!("../../../migrations/0011_access.sql")),
    ("0012_review", include_str!("../../../migrations/0012_review.sql")),
];
/// What PostgreSQL calls UTF-8.
pub(crate) const ENCODING: &str = "UTF8";
/// Whoever migrates holds it, one for each schema, until the end of its transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('assay.migrations.' || $1, 0))";
/// Lies in the schema itself, so that several schemas of one database are migrated apart.
const TABLE: &str = "_sqlx_migrations";
/// The tables that this version reads and writes.
const TABLES: [&str; 32] = [
    "outcomes",
    "verdicts",
    "failures",
    "workers",
    "labels",
    "models",
    "promotions",
    "leases",
    "training_runs",
    "erasure_salt",
    "erased",
    "erasures",
    "campaigns",
    "campaign_items",
    "policies",
    "policy_trials",
    "policy_activations",
    "people_salt",
    "people",
    "accesses",
    "access_grants",
    "sign_ins",
    "audit_log",
    "review_salt",
    "review_progress",
    "review_items",
    "review_skips",
    "review_bars",
    "reviews",
    "review_marks",
    "appeals",
    "review_outbox",
];

/// Applies what is not applied yet and returns its names. Whoever comes while another one is at it waits.
pub async fn migrate(settings: &Settings) -> Result<Vec<String>, DatabaseError> {
    let address = address(settings);
    let timeout = Duration::from_secs(settings.timeout_s);
    let mut connection = open(&options(settings)?, &address, timeout).await?;
    let place = in_time(timeout, session::place(&mut connection)).await;
    let Place { encoding, .. } = place.map_err(|error| DatabaseError::of(&address, error))?;
    if encoding != ENCODING {
        return Err(DatabaseError::Encoding { encoding });
    }
    let applied = in_one_transaction(&mut connection, settings).await.map_err(|error| match error {
        MigrateError::Execute(error) => DatabaseError::of(&address, error),
        error => DatabaseError::Failed { detail: error.to_string(), cause: Some(error.into()) },
    });
    // Closing also undoes what `apply` left half done.
    let _ = connection.close().await;
    applied
}

/// In it the schema and the lock hold whatever stands between: a pooler may give the next one another connection of the
/// server's. No limit on the statements: a migration of a large table may take its time.
async fn in_one_transaction(connection: &mut PgConnection, settings: &Settings) -> Result<Vec<String>, MigrateError> {
    let mut transaction = connection.begin_with(Told::without_limit(settings).begin()).await?;
    let applied = apply(&mut transaction, &settings.schema).await;
    // The library names its statements, and a pooler would have the next one who migrates meet them.
    transaction.clear_cached_statements().await?;
    let applied = applied?;
    transaction.commit().await?;
    Ok(applied)
}

async fn apply(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, MigrateError> {
    query(LOCK).bind(schema).persistent(false).execute(&mut *connection).await?;
    // Asked first, because CREATE SCHEMA IF NOT EXISTS wants the right to create one even where there is one.
    let present: bool = query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
        .bind(schema)
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    if !present {
        connection.create_schema_if_not_exists(&format!("\"{schema}\"")).await?;
    }
    connection.ensure_migrations_table(TABLE).await?;
    let known = connection.list_applied_migrations(TABLE).await?;
    let mut applied = Vec::new();
    for migration in &migrations() {
        match known.iter().find(|known| known.version == migration.version) {
            Some(known) if known.checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
            None => {
                connection.apply(TABLE, migration).await?;
                applied.push(name(migration));
            }
        }
    }
    Ok(applied)
}

/// What the database lacks of this version; whatever a later version added does no harm.
pub(crate) async fn missing(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, sqlx::Error> {
    // The name of the schema was found to be plain.
    let applied = AssertSqlSafe(format!("SELECT version FROM \"{schema}\".{TABLE} WHERE success"));
    let applied: Vec<i64> = query_scalar(applied).persistent(false).fetch_all(&mut *connection).await?;
    let tables: Vec<String> = query_scalar(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(format('%I.%I', $2::text, name)) IS NULL",
    )
    .bind(&TABLES[..])
    .bind(schema)
    .persistent(false)
    .fetch_all(&mut *connection)
    .await?;
    let known = migrations();
    let missing = known.iter().filter(|migration| !applied.contains(&migration.version)).map(name);
    Ok(missing.chain(tables.into_iter().map(|table| format!("table {table}"))).collect())
}

/// In the order in which they are applied, with the checksums that sqlx records.
fn migrations() -> Vec<Migration> {
    let migration = |(name, text): (&'static str, &'static str)| {
        let (version, description) = name.split_once('_').expect("a test reads it");
        let version = version.parse().expect("a test reads it");
        let (description, sql) = (description.replace('_', " ").into(), AssertSqlSafe(text).into_sql_str());
        Migration::new(version, description, MigrationType::Simple, sql, false)
    };
    FILES.map(migration).into()
}

/// As the file is called.
fn name(migration: &Migration) -> String {
    format!("{:04}_{}", migration.version, migration.description.replace(' ', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_built_in_and_keeps_its_name() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".sql", ""))
            .collect();
        files.sort();
        assert_eq!(migrations().iter().map(name).collect::<Vec<_>>(), files);
    }
}
