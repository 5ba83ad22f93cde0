//! Moving what was recorded before there were partitions.
//!
//! A batch is one transaction: the rows are inserted where they belong, and the key up to which that is done is written down.
//! Whoever is killed has moved its last batch or has not. The tables before are read, and only read, until all is moved; then
//! they are dropped.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Acquire, Row};
use time::OffsetDateTime;

use super::insert::insert_earlier;
use super::lookup::earlier;
use database::{query, query_scalar};
use domain::Outcome;

/// Outcomes moved in one transaction. Few, since the largest have documents of a megabyte.
const BATCH: i64 = 200;

const CURSOR: &str = "SELECT tenant, submission_id, generation, moved FROM ledger_move FOR UPDATE";

const NEXT: &str = "
SELECT tenant, submission_id, generation, recorded_at, verdict::text AS verdict, failure::text AS failure
FROM earlier WHERE (tenant, submission_id, generation) > ($1, $2, $3)
ORDER BY tenant, submission_id, generation LIMIT $4";

const PARTITIONS: &str = "
SELECT make_partition(of, at) FROM unnest(ARRAY['verdicts', 'failures']) AS of, unnest($1::timestamptz[]) AS at";

const ADVANCE: &str = "UPDATE ledger_move SET tenant = $1, submission_id = $2, generation = $3, moved = moved + $4";

/// How far the move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// So many outcomes; there may be more.
    SoFar(u64),
    /// Nothing is left of the tables before.
    All,
}

pub(super) async fn so_far(connection: &mut PgConnection) -> Result<Moved, sqlx::Error> {
    let moved: Option<i64> =
        query_scalar("SELECT moved FROM ledger_move").persistent(false).fetch_optional(connection).await?;
    Ok(moved.map_or(Moved::All, |moved| Moved::SoFar(moved.unsigned_abs())))
}

pub(super) async fn batch(connection: &mut PgConnection) -> Result<Moved, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let cursor = query(CURSOR).persistent(false).fetch_optional(&mut *transaction).await?;
    let Some(cursor) = cursor else { return Ok(Moved::All) };
    let moved: i64 = cursor.try_get("moved")?;
    let rows = query(NEXT).persistent(false);
    let rows = rows.bind(cursor.try_get::<&str, _>("tenant")?).bind(cursor.try_get::<&str, _>("submission_id")?);
    let rows = rows.bind(cursor.try_get::<i64, _>("generation")?).bind(BATCH);
    let rows = rows.fetch_all(&mut *transaction).await?;
    let Some(last) = rows.last() else {
        // Dropping waits for whoever reads the tables, and others would wait behind it: not for long.
        query("SET LOCAL lock_timeout TO '1s'").persistent(false).execute(&mut *transaction).await?;
        query("SET LOCAL statement_timeout TO 0").persistent(false).execute(&mut *transaction).await?;
        query("SELECT end_move()").persistent(false).execute(&mut *transaction).await?;
        transaction.commit().await?;
        return Ok(Moved::All);
    };
    let outcomes = rows.iter().map(outcome).collect::<Result<Vec<_>, _>>()?;
    let mut days: Vec<_> = outcomes.iter().map(|(_, at)| at.replace_time(time::Time::MIDNIGHT)).collect();
    days.sort_unstable();
    days.dedup();
    query(PARTITIONS).persistent(false).bind(days).fetch_all(&mut *transaction).await?;
    insert_earlier(&mut transaction, &outcomes).await?;
    let advance = query(ADVANCE).persistent(false);
    let advance = advance.bind(last.try_get::<&str, _>("tenant")?).bind(last.try_get::<&str, _>("submission_id")?);
    let advance = advance.bind(last.try_get::<i64, _>("generation")?).bind(i64::try_from(rows.len()).unwrap_or(BATCH));
    advance.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Moved::SoFar(moved.unsigned_abs() + rows.len() as u64))
}

fn outcome(row: &PgRow) -> Result<(Outcome, OffsetDateTime), sqlx::Error> {
    let outcome = earlier(row)?.ok_or_else(|| {
        let key = format!("{:?} {:?}", row.try_get::<&str, _>("tenant"), row.try_get::<&str, _>("submission_id"));
        sqlx::Error::Decode(format!("{key} has a key in earlier_outcomes, and neither a verdict nor a failure").into())
    })?;
    Ok((outcome, row.try_get("recorded_at")?))
}
