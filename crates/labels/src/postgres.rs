//! Labels in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Acquire, Row};
use uuid::Uuid;

use super::{Author, Count, Label, Labels, Recorded, RecordedLabel, Source, Statement, compare};
use database::{Database, DatabaseError, query};
use domain::{LabelledOrigin, OutcomeId};

/// Recordings wait for each other: what is new depends on what was recorded last. Taken by schema, as advisory locks are
/// the database's, and given back with the transaction.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('assay.labels.' || current_schema(), 0))";

/// The last label of each author.
const LAST: &str = "
SELECT asked.sha256, asked.source, asked.actor, last.origin, last.content_type, last.generator
FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) AS given (sha256, source, actor)) AS asked
JOIN LATERAL (
    SELECT origin, content_type, generator FROM labels l
    WHERE l.sha256 = asked.sha256 AND l.source = asked.source AND l.actor = asked.actor
    ORDER BY l.id DESC
    LIMIT 1
) AS last ON true";

/// Grounds are joined by commas, since a column of lists of unequal length is no array.
const INSERT: &str = "
INSERT INTO labels
    (sha256, location, origin, content_type, generator, source, actor, reason, verdict_id, drawn_as, grounds, trains)
SELECT sha256, location, origin, content_type, generator, source, actor, reason, verdict_id, drawn_as,
    string_to_array(nullif(grounds, ''), ','), trains
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[],
    $10::text[], $11::text[], $12::boolean[]
) WITH ORDINALITY AS given (
    sha256, location, origin, content_type, generator, source, actor, reason, verdict_id, drawn_as, grounds, trains, place
)
ORDER BY place";

const IN_FORCE: &str = "SELECT * FROM labels_in_force WHERE sha256 > $1 ORDER BY sha256 LIMIT $2";

const HISTORY: &str = "
SELECT id, sha256, location, origin, content_type, generator, source, actor, reason, verdict_id, said_at, drawn_as, grounds, trains
FROM labels WHERE sha256 = $1 ORDER BY id";

const COUNTS: &str = "
SELECT origin, content_type, generator, count(*) AS images FROM labels_in_force
GROUP BY origin, content_type, generator ORDER BY origin, content_type NULLS FIRST, generator NULLS FIRST";

pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone() }
    }
}

#[async_trait]
impl Labels for Postgres {
    async fn record(&self, labels: &[Label]) -> Result<Vec<Recorded>, DatabaseError> {
        if labels.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(record(&mut connection, labels)).await;
        self.database.conclude(connection, answer).await
    }

    async fn in_force(&self, after: &str, most: usize) -> Result<Vec<RecordedLabel>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query(IN_FORCE).bind(after).bind(i64::try_from(most).unwrap_or(i64::MAX));
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        self.database.conclude(connection, answer.and_then(|rows| rows.iter().map(recorded).collect())).await
    }

    async fn history(&self, sha256: &str) -> Result<Vec<RecordedLabel>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(query(HISTORY).bind(sha256).fetch_all(&mut *connection)).await;
        self.database.conclude(connection, answer.and_then(|rows| rows.iter().map(recorded).collect())).await
    }

    async fn counts(&self) -> Result<Vec<Count>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(query(COUNTS).fetch_all(&mut *connection)).await;
        self.database.conclude(connection, answer.and_then(|rows| rows.iter().map(count).collect())).await
    }
}

async fn record(connection: &mut PgConnection, labels: &[Label]) -> Result<Vec<Recorded>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    query(LOCK).execute(&mut *transaction).await?;
    // Planned anew each time: a plan made while the table was small would go on reading all of it.
    let last = query(LAST)
        .persistent(false)
        .bind(column(labels, |label| label.sha256.as_str()))
        .bind(column(labels, |label| label.source.as_str()))
        .bind(column(labels, |label| label.actor.as_str()))
        .fetch_all(&mut *transaction)
        .await?;
    let last = last.iter().map(last_statement).collect::<Result<HashMap<_, _>, _>>()?;
    let answers = compare(last, labels);
    let new = labels.iter().zip(&answers).filter(|(_, answer)| **answer == Recorded::New);
    let new: Vec<&Label> = new.map(|(label, _)| label).collect();
    if !new.is_empty() {
        insert(&mut transaction, &new).await?;
    }
    transaction.commit().await?;
    Ok(answers)
}

/// Records a label within a transaction of the caller's, whatever was said before.
pub async fn add(connection: &mut PgConnection, label: &Label) -> Result<(), sqlx::Error> {
    insert(connection, &[label]).await
}

async fn insert(connection: &mut PgConnection, new: &[&Label]) -> Result<(), sqlx::Error> {
    query(INSERT)
        .bind(column(new, |label| label.sha256.as_str()))
        .bind(column(new, |label| label.location.as_str()))
        .bind(column(new, |label| label.origin.as_str()))
        .bind(column(new, |label| label.content_type.as_deref()))
        .bind(column(new, |label| label.generator.as_deref()))
        .bind(column(new, |label| label.source.as_str()))
        .bind(column(new, |label| label.actor.as_str()))
        .bind(column(new, |label| label.reason.as_deref()))
        .bind(column(new, |label| label.verdict_id.map(|id| id.0)))
        .bind(column(new, |label| label.drawn_as.as_deref()))
        .bind(column(new, |label| label.grounds.join(",")))
        .bind(column(new, |label| label.trains))
        .execute(connection)
        .await
        .map(drop)
}

fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn last_statement(row: &PgRow) -> Result<(Author, Statement), sqlx::Error> {
    let author = (row.try_get("sha256")?, source(row)?, row.try_get("actor")?);
    Ok((author, (origin(row)?, row.try_get("content_type")?, row.try_get("generator")?)))
}

fn recorded(row: &PgRow) -> Result<RecordedLabel, sqlx::Error> {
    let verdict_id: Option<Uuid> = row.try_get("verdict_id")?;
    let label = Label {
        sha256: row.try_get("sha256")?,
        location: row.try_get("location")?,
        origin: origin(row)?,
        content_type: row.try_get("content_type")?,
        generator: row.try_get("generator")?,
        source: source(row)?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        verdict_id: verdict_id.map(OutcomeId),
        drawn_as: row.try_get("drawn_as")?,
        grounds: row.try_get::<Option<_>, _>("grounds")?.unwrap_or_default(),
        trains: row.try_get("trains")?,
    };
    Ok(RecordedLabel { number: row.try_get("id")?, said_at: row.try_get("said_at")?, label })
}

fn count(row: &PgRow) -> Result<Count, sqlx::Error> {
    let images: i64 = row.try_get("images")?;
    Ok(Count {
        origin: origin(row)?.as_str(),
        content_type: row.try_get("content_type")?,
        generator: row.try_get("generator")?,
        images: images.unsigned_abs(),
    })
}

fn origin(row: &PgRow) -> Result<LabelledOrigin, sqlx::Error> {
    match row.try_get("origin")? {
        "real" => Ok(LabelledOrigin::Real),
        "synthetic" => Ok(LabelledOrigin::Synthetic),
        other => Err(sqlx::Error::Decode(format!("{other:?} is no origin").into())),
    }
}

fn source(row: &PgRow) -> Result<Source, sqlx::Error> {
    match row.try_get("source")? {
        "import" => Ok(Source::Import),
        "correction" => Ok(Source::Correction),
        other => Err(sqlx::Error::Decode(format!("{other:?} is no source").into())),
    }
}
