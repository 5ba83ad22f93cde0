//! Finding, marking and deleting in PostgreSQL.

mod holdings;
mod scan;

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Acquire, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::receipt::{Counts, Receipt};
use crate::selection::{Selection, What};
use database::{Database, DatabaseError, Session, query, query_scalar};

pub(crate) use holdings::Holdings;
use holdings::holdings;
pub(crate) use scan::Scan;

/// Of [`Selection::identity`] in $1.
const SELECTION: &str = "SELECT sha256(salt || convert_to($1, 'UTF8')) FROM erasure_salt";

const UNFINISHED: &str = "SELECT erasure_id FROM erasures WHERE selection = $1 AND finished_at IS NULL";

const BEGIN: &str = "
INSERT INTO erasures (erasure_id, tenant, selection, actor) VALUES ($1, $2, $3, $4)
ON CONFLICT (selection) WHERE finished_at IS NULL DO NOTHING";

/// As `ledger` asks for them.
const MARK: &str = "
INSERT INTO erased (mark, erasure_id)
SELECT DISTINCT sha256(salt || convert_to($1, 'UTF8') || '\\x00'::bytea || convert_to(submission_id, 'UTF8')), $3::uuid
FROM unnest($2::text[]) AS submission_id, erasure_salt
ON CONFLICT DO NOTHING";

const MARKED: &str = "
SELECT erased_at FROM erased, erasure_salt
WHERE mark = sha256(salt || convert_to($1, 'UTF8') || '\\x00'::bytea || convert_to($2, 'UTF8'))";

/// For an instant, with which every writer that does not know of the marks yet has ended: whoever begins later sees them. Of the
/// table itself and not of its partitions, where an autovacuum may be at work.
const WAIT_FOR_WRITERS: &str = "LOCK TABLE ONLY outcomes IN SHARE MODE";
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout TO '500ms'";
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(250);

/// By the image, unless another tenant has it; by the outcome that they name; by the place, unless it is about such an image.
const COUNT_LABELS: &str = "
SELECT count(*) FROM labels
WHERE sha256 = ANY($1::text[]) OR verdict_id = ANY($2::uuid[]) OR (location = ANY($3::text[]) AND NOT sha256 = ANY($4::text[]))";
const DELETE_LABELS: &str = "
DELETE FROM labels
WHERE sha256 = ANY($1::text[]) OR verdict_id = ANY($2::uuid[]) OR (location = ANY($3::text[]) AND NOT sha256 = ANY($4::text[]))";
const KEPT_LABELS: &str = "SELECT count(*) FROM labels WHERE sha256 = ANY($1::text[])";

const DELETE_VERDICTS: &str =
    "DELETE FROM verdicts WHERE recorded_at = ANY($1::timestamptz[]) AND verdict_id = ANY($2::uuid[])";
const DELETE_FAILURES: &str =
    "DELETE FROM failures WHERE recorded_at = ANY($1::timestamptz[]) AND failure_id = ANY($2::uuid[])";
const DELETE_KEYS: &str = "DELETE FROM outcomes WHERE tenant = $1 AND submission_id = ANY($2)";

/// What is kept beside the outcomes, by submission. With the items of reviews go votes and messages that are not sent; of the log of the
/// console stays who did what, not to which submission.
const CLEAR_BESIDE: [&str; 4] = [
    "DELETE FROM campaign_items WHERE tenant = $1 AND submission_id = ANY($2)",
    "DELETE FROM review_items WHERE tenant = $1 AND submission_id = ANY($2)",
    "DELETE FROM appeals WHERE tenant = $1 AND submission_id = ANY($2)",
    "UPDATE audit_log SET submission_id = NULL, item_id = NULL, detail = NULL WHERE tenant = $1 AND submission_id = ANY($2)",
];

/// The report of a training run names images that were missing.
const CLEAR_REPORTS: &str = "
UPDATE training_runs SET report = (
    SELECT json_object_agg(key, CASE key WHEN 'missing' THEN (
        SELECT coalesce(json_agg(one), '[]') FROM json_array_elements(value) AS one WHERE NOT one->>0 = ANY($1::text[])
    ) ELSE value END) FROM json_each(report)
)
WHERE CASE WHEN json_typeof(report->'missing') = 'array' THEN EXISTS (
    SELECT FROM json_array_elements(report->'missing') AS one WHERE one->>0 = ANY($1::text[])
) ELSE false END";

const ADD: &str = "
UPDATE erasures SET
    submissions = submissions + $2, verdicts = verdicts + $3, failures = failures + $4, labels = labels + $5,
    labels_kept = labels_kept + $6, files = files + $7,
    models = ARRAY(SELECT DISTINCT model FROM unnest(models || $8::text[]) AS model ORDER BY model)
WHERE erasure_id = $1";

const SO_FAR: &str = "
SELECT tenant, actor, started_at, now() AS finished_at, submissions, verdicts, failures, labels, labels_kept, files, models
FROM erasures WHERE erasure_id = $1";

const FINISH: &str = "
UPDATE erasures SET finished_at = $2, receipt = $3::json WHERE erasure_id = $1 AND finished_at IS NULL";

pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone() }
    }

    /// Whether outcomes from before there were partitions are not moved yet.
    pub async fn is_moving(&self) -> Result<bool, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query_scalar("SELECT EXISTS (SELECT FROM ledger_move)").persistent(false);
        let answer = self.database.in_time(asked.fetch_one(&mut *connection)).await;
        self.database.conclude(connection, answer).await
    }

    /// The receipt of an erasure that is finished.
    pub async fn receipt(&self, id: Uuid) -> Result<Option<Receipt>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query_scalar::<Option<String>>("SELECT receipt::text FROM erasures WHERE erasure_id = $1");
        let answer = self.database.in_time(asked.persistent(false).bind(id).fetch_optional(&mut *connection)).await;
        let text = self.database.conclude(connection, answer).await?.flatten();
        let parse =
            |text: String| serde_json::from_str(&text).map_err(|error| DatabaseError::failed(error.to_string()));
        text.map(parse).transpose()
    }

    /// The erasure of the same selection that was begun and not finished.
    pub(crate) async fn unfinished(&self, selection: &Selection) -> Result<Option<Uuid>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = async {
            let selection = digest(&mut connection, selection).await?;
            begun(&mut connection, &selection).await
        };
        let answer = self.database.in_time(asked).await;
        self.database.conclude(connection, answer).await
    }

    /// Begins, unless the same has begun.
    pub(crate) async fn begin(&self, selection: &Selection, actor: &str) -> Result<Uuid, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let work = async {
            let digest = digest(&mut connection, selection).await?;
            let begin = query(BEGIN).persistent(false).bind(Uuid::new_v4()).bind(&selection.tenant).bind(&digest);
            begin.bind(actor).execute(&mut *connection).await?;
            begun(&mut connection, &digest).await?.ok_or(sqlx::Error::RowNotFound)
        };
        let answer = self.database.in_time(work).await;
        self.database.conclude(connection, answer).await
    }

    /// Since when a submission is marked.
    pub(crate) async fn marked(&self, selection: &Selection) -> Result<Option<OffsetDateTime>, DatabaseError> {
        let What::Submission(submission) = &selection.what else { return Ok(None) };
        let mut connection = self.database.connection().await?;
        let asked = query_scalar(MARKED).persistent(false).bind(&selection.tenant).bind(submission);
        let answer = self.database.in_time(asked.fetch_optional(&mut *connection)).await;
        self.database.conclude(connection, answer).await
    }

    /// From the end of this call on nobody records an outcome of these submissions.
    pub(crate) async fn mark(&self, id: Uuid, tenant: &str, submissions: &[String]) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let mark = query(MARK).persistent(false).bind(tenant).bind(submissions).bind(id);
        let answer = self.database.in_time(mark.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await?;
        for _ in 1..TRIES {
            match self.wait_for_writers().await {
                Err(DatabaseError::Hindered { .. }) => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
        self.wait_for_writers().await
    }

    async fn wait_for_writers(&self) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let work = async {
            let mut transaction = connection.begin().await?;
            query(LOCK_TIMEOUT).persistent(false).execute(&mut *transaction).await?;
            query(WAIT_FOR_WRITERS).persistent(false).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        let answer = self.database.in_time(work).await;
        self.database.conclude(connection, answer).await
    }

    pub(crate) async fn holdings(
        &self,
        selection: &Selection,
        submissions: &[String],
    ) -> Result<Holdings, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(holdings(&mut connection, selection, submissions)).await;
        self.database.conclude(connection, answer).await
    }

    /// What [`Postgres::delete`] would.
    pub(crate) async fn count(&self, held: &Holdings) -> Result<(Counts, u64), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = async {
            let count = query_scalar::<i64>(COUNT_LABELS).persistent(false);
            let count = count
                .bind(&held.own_contents)
                .bind(held.outcome_ids())
                .bind(&held.locations)
                .bind(&held.shared_contents);
            let labels = count.fetch_one(&mut *connection).await?;
            let kept = query_scalar::<i64>(KEPT_LABELS).persistent(false).bind(&held.shared_contents);
            Ok((labels.unsigned_abs(), kept.fetch_one(&mut *connection).await?.unsigned_abs()))
        };
        let answer = self.database.in_time(asked).await;
        let (labels, labels_kept) = self.database.conclude(connection, answer).await?;
        let counts = Counts {
            submissions: held.submissions.len() as u64,
            verdicts: held.verdicts.ids.len() as u64,
            failures: held.failures.ids.len() as u64,
            labels,
            cached_images: 0,
        };
        Ok((counts, labels_kept))
    }

    /// Deletes it, and counts that, in one transaction.
    pub(crate) async fn delete(
        &self,
        id: Uuid,
        tenant: &str,
        held: &Holdings,
        files: u64,
        models: &BTreeSet<String>,
    ) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(delete(&mut connection, id, tenant, held, files, models)).await;
        self.database.conclude(connection, answer).await
    }

    /// Writes the receipt.
    pub(crate) async fn finish(&self, id: Uuid, selected_by: &str, prefix: &str) -> Result<Receipt, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let work = async {
            let row = query(SO_FAR).persistent(false).bind(id).fetch_one(&mut *connection).await?;
            let receipt = receipt(&row, id, selected_by, prefix)?;
            let text = serde_json::to_string(&receipt).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let finish = query(FINISH).persistent(false).bind(id).bind(receipt.finished_at).bind(text);
            finish.execute(&mut *connection).await?;
            Ok(receipt)
        };
        let answer = self.database.in_time(work).await;
        self.database.conclude(connection, answer).await
    }
}

async fn digest(connection: &mut PgConnection, selection: &Selection) -> Result<Vec<u8>, sqlx::Error> {
    query_scalar(SELECTION).persistent(false).bind(selection.identity()).fetch_one(connection).await
}

async fn begun(connection: &mut PgConnection, selection: &[u8]) -> Result<Option<Uuid>, sqlx::Error> {
    query_scalar(UNFINISHED).persistent(false).bind(selection).fetch_optional(connection).await
}

async fn delete(
    connection: &mut Session,
    id: Uuid,
    tenant: &str,
    held: &Holdings,
    files: u64,
    models: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let labels = query(DELETE_LABELS).persistent(false);
    let labels =
        labels.bind(&held.own_contents).bind(held.outcome_ids()).bind(&held.locations).bind(&held.shared_contents);
    let labels = labels.execute(&mut *transaction).await?.rows_affected();
    let kept = query_scalar::<i64>(KEPT_LABELS).persistent(false).bind(&held.shared_contents);
    let kept = kept.fetch_one(&mut *transaction).await?;
    query(CLEAR_REPORTS).persistent(false).bind(&held.locations).execute(&mut *transaction).await?;
    let mut deleted = [0, 0];
    let tables = [(DELETE_VERDICTS, &held.verdicts), (DELETE_FAILURES, &held.failures)];
    for ((statement, rows), deleted) in tables.into_iter().zip(&mut deleted) {
        let delete = query(statement).persistent(false).bind(&rows.times).bind(&rows.ids);
        *deleted = delete.execute(&mut *transaction).await?.rows_affected();
    }
    for statement in CLEAR_BESIDE {
        query(statement).persistent(false).bind(tenant).bind(&held.asked).execute(&mut *transaction).await?;
    }
    let keys = query(DELETE_KEYS).persistent(false).bind(tenant).bind(&held.asked);
    // Another command of the same selection may have been here first; it has counted them.
    let first = keys.execute(&mut *transaction).await?.rows_affected() > 0;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let (count, kept) = if first { (held.submissions.len() as u64, kept) } else { (0, 0) };
    let add = query(ADD).persistent(false).bind(id).bind(number(count)).bind(number(deleted[0]));
    let add = add.bind(number(deleted[1])).bind(number(labels)).bind(kept).bind(number(files));
    add.bind(models.iter().cloned().collect::<Vec<_>>()).execute(&mut *transaction).await?;
    transaction.commit().await
}

fn receipt(row: &PgRow, id: Uuid, selected_by: &str, prefix: &str) -> Result<Receipt, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let models: Vec<String> = row.try_get("models")?;
    let deleted = Counts {
        submissions: count("submissions")?,
        verdicts: count("verdicts")?,
        failures: count("failures")?,
        labels: count("labels")?,
        cached_images: count("files")?,
    };
    Ok(Receipt {
        schema: Receipt::SCHEMA.into(),
        erasure_id: id,
        tenant: row.try_get("tenant")?,
        selected_by: selected_by.into(),
        actor: row.try_get("actor")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        kept: Receipt::kept(deleted.submissions, count("labels_kept")?, &models),
        deleted,
        models,
        not_reached: Receipt::beyond_reach(prefix),
    })
}
