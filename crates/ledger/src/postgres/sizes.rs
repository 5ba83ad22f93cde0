//! What the ledger takes on disk, by part.

use sqlx::Row;

use super::Postgres;
use crate::LedgerError;
use database::query;

/// Tables are those of the ledger with their partitions; rows are those that the last vacuum or analysis counted.
const SIZES: &str = "
SELECT
    tree.root::regclass::text AS table,
    sum(pg_table_size(tree.relid))::bigint AS rows_bytes,
    sum(pg_indexes_size(tree.relid))::bigint AS index_bytes,
    sum(greatest(c.reltuples, 0))::float8 AS rows
FROM unnest(ARRAY['outcomes', 'verdicts', 'failures']) AS name
CROSS JOIN LATERAL (SELECT name::regclass AS root, relid FROM pg_partition_tree(name::regclass) WHERE isleaf) AS tree
JOIN pg_class AS c ON c.oid = tree.relid
GROUP BY tree.root ORDER BY tree.root::regclass::text";

/// One of the tables with all its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    pub table: String,
    pub table_bytes: i64,
    pub index_bytes: i64,
    /// As PostgreSQL estimates them.
    pub rows: f64,
}

impl Postgres {
    pub async fn sizes(&self) -> Result<Vec<Size>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = query(SIZES).persistent(false);
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        let sizes = answer.and_then(|rows| {
            let sizes = rows.iter().map(|row| {
                let (table, rows) = (row.try_get("table")?, row.try_get("rows")?);
                let (table_bytes, index_bytes) = (row.try_get("rows_bytes")?, row.try_get("index_bytes")?);
                Ok(Size { table, table_bytes, index_bytes, rows })
            });
            sizes.collect()
        });
        self.database.conclude(connection, sizes).await
    }
}
