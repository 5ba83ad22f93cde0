//! The rows of a partition, for whoever keeps them elsewhere before it is dropped.

use futures_util::TryStreamExt;
use sqlx::{Connection, Row};
use time::Duration;
use tokio::sync::mpsc;

use super::Postgres;
use crate::LedgerError;
use crate::maintenance::{Kind, Partition};
use database::query;

/// Of a statement's slice of time: no transaction is to last long, or nothing that was deleted meanwhile could be vacuumed.
const SLICE: Duration = Duration::minutes(10);

impl Postgres {
    /// Sends each row of a partition as one JSON object, as `row_to_json` writes it and `json_populate_record` reads it, in the order of
    /// recording. Ends early when nobody receives.
    pub async fn export(&self, partition: &Partition, rows: &mpsc::Sender<String>) -> Result<(), LedgerError> {
        let asked = match partition.kind {
            Kind::Verdict => {
                "SELECT row_to_json(v)::text FROM verdicts AS v WHERE recorded_at >= $1 AND recorded_at < $2
                 ORDER BY recorded_at, verdict_id"
            }
            Kind::Failure => {
                "SELECT row_to_json(f)::text FROM failures AS f WHERE recorded_at >= $1 AND recorded_at < $2
                 ORDER BY recorded_at, failure_id"
            }
        };
        let mut from = partition.lower;
        while from < partition.upper && !rows.is_closed() {
            let to = partition.upper.min(from + SLICE);
            let mut connection = self.database.connection().await?;
            let work = async {
                let mut transaction = connection.begin().await?;
                // Whoever receives may be slow.
                query("SET LOCAL statement_timeout TO 0").persistent(false).execute(&mut *transaction).await?;
                let mut found = query(asked).persistent(false).bind(from).bind(to).fetch(&mut *transaction);
                while let Some(row) = found.try_next().await? {
                    if rows.send(row.try_get(0)?).await.is_err() {
                        break;
                    }
                }
                drop(found);
                transaction.commit().await
            };
            let answer = work.await;
            self.database.conclude(connection, answer).await?;
            from = to;
        }
        Ok(())
    }
}
