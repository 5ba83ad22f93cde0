//! Whether keys and rows belong together: no constraint of the database says so, since rows leave without their keys.

use sqlx::Row;

use super::Postgres;
use crate::LedgerError;
use database::query;

/// Of the last day, in which nothing is old enough to be removed.
const SAMPLE: &str = "
WITH kept AS (
    (SELECT tenant, submission_id, generation, verdict_id AS id, recorded_at, 0 AS kind
     FROM verdicts WHERE recorded_at > now() - interval '1 day' LIMIT 500)
    UNION ALL
    (SELECT tenant, submission_id, generation, failure_id, recorded_at, 1
     FROM failures WHERE recorded_at > now() - interval '1 day' LIMIT 500)
), keys AS (
    SELECT outcome_id AS id, recorded_at FROM outcomes WHERE recorded_at > now() - interval '1 day' LIMIT 500
)
SELECT
    (SELECT count(*) FROM kept) + (SELECT count(*) FROM keys) AS looked_at,
    (SELECT count(*) FROM kept WHERE NOT EXISTS (
        SELECT FROM outcomes AS o
        WHERE (o.tenant, o.submission_id, o.generation) = (kept.tenant, kept.submission_id, kept.generation)
            AND (o.outcome_id, o.recorded_at, o.kind) = (kept.id, kept.recorded_at, kept.kind)
    )) AS without_key,
    (SELECT count(*) FROM keys WHERE
        NOT EXISTS (SELECT FROM verdicts AS v WHERE v.recorded_at = keys.recorded_at AND v.verdict_id = keys.id)
        AND NOT EXISTS (SELECT FROM failures AS f WHERE f.recorded_at = keys.recorded_at AND f.failure_id = keys.id)
    ) AS without_row";

/// What a sample of keys and rows says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    pub looked_at: i64,
    pub without_key: i64,
    pub without_row: i64,
}

impl Postgres {
    pub async fn pairing(&self) -> Result<Pairing, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = query(SAMPLE).persistent(false);
        let answer = self.database.in_time(asked.fetch_one(&mut *connection)).await;
        let pairing = answer.and_then(|row| {
            Ok(Pairing {
                looked_at: row.try_get("looked_at")?,
                without_key: row.try_get("without_key")?,
                without_row: row.try_get("without_row")?,
            })
        });
        self.database.conclude(connection, pairing).await
    }
}
