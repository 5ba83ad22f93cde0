//! Going through the ledger for what was selected, a page of submissions after the other.
//!
//! A submission and a whole tenant are found in the register by its key. What stands in documents has no index: all rows are looked
//! at, a slice of time after the other, each short enough to be answered in time.

use std::collections::BTreeSet;
use std::time::Instant;

use sqlx::postgres::PgConnection;
use sqlx::{Row, SqlStr};
use time::{Duration, OffsetDateTime};

use super::Postgres;
use crate::selection::{Selection, What};
use database::{DatabaseError, query, query_scalar};

/// Submissions of a page.
const PAGE: i64 = 500;

/// The shortest and longest slices, and how long one should take to be answered.
const SHORTEST: Duration = Duration::seconds(1);
const LONGEST: Duration = Duration::days(7);
const LONG: std::time::Duration = std::time::Duration::from_millis(500);

/// Of what `[retention]` has let go there may still be an item of a campaign.
const ONE: &str = "
SELECT submission_id FROM outcomes WHERE tenant = $1 AND submission_id = $2
UNION SELECT submission_id FROM campaign_items WHERE tenant = $1 AND submission_id = $2 LIMIT 1";

const OF_TENANT: &str = "
(SELECT DISTINCT submission_id FROM outcomes WHERE tenant = $1 AND submission_id > $2 ORDER BY submission_id LIMIT $3)
UNION
(SELECT DISTINCT submission_id FROM campaign_items WHERE tenant = $1 AND submission_id > $2 ORDER BY submission_id LIMIT $3)
ORDER BY submission_id LIMIT $3";

const SPAN: &str =
    "SELECT min(lower), least(max(upper), now() + interval '1 day') FROM ledger_partitions WHERE parent = $1";

/// PostgreSQL finds nothing in JSON with an escaped NUL: such a document is given as it is, and looked into here.
const DOCUMENTS: [(&str, &str, &str); 2] = [
    (
        "verdicts",
        "SELECT DISTINCT submission_id, NULL AS document FROM verdicts
         WHERE recorded_at >= $1 AND recorded_at < $2 AND tenant = $3 AND image_sha256 = decode($5, 'hex') AND submission_id > $4
         ORDER BY submission_id LIMIT $6",
        "SELECT submission_id, CASE WHEN strpos(remainder::text, '\\u0000') > 0 THEN remainder::text END AS document FROM verdicts
         WHERE recorded_at >= $1 AND recorded_at < $2 AND tenant = $3 AND submission_id > $4
             AND CASE WHEN strpos(remainder::text, '\\u0000') > 0 THEN true ELSE remainder->'metadata'->>$5 = $6 END
         ORDER BY submission_id LIMIT $7",
    ),
    (
        "failures",
        "SELECT submission_id, CASE WHEN strpos(document::text, '\\u0000') > 0 THEN document::text END AS document FROM failures
         WHERE recorded_at >= $1 AND recorded_at < $2 AND tenant = $3 AND submission_id > $4
             AND CASE WHEN strpos(document::text, '\\u0000') > 0 THEN true ELSE lower(document->'image'->>'sha256') = $5 END
         ORDER BY submission_id LIMIT $6",
        "SELECT submission_id, CASE WHEN strpos(document::text, '\\u0000') > 0 THEN document::text END AS document FROM failures
         WHERE recorded_at >= $1 AND recorded_at < $2 AND tenant = $3 AND submission_id > $4
             AND CASE WHEN strpos(document::text, '\\u0000') > 0 THEN true ELSE document->'metadata'->>$5 = $6 END
         ORDER BY submission_id LIMIT $7",
    ),
];

/// Where it has come.
pub(crate) struct Scan<'a> {
    postgres: &'a Postgres,
    selection: &'a Selection,
    /// Submissions up to this one have been given: of everything, or of the slice.
    after: String,
    finished: bool,
    /// The tables that are still to be looked through; of the first one the time from which on.
    tables: Vec<Table>,
    length: Duration,
}

struct Table {
    by_digest: &'static str,
    by_metadata: &'static str,
    from: OffsetDateTime,
    to: OffsetDateTime,
}

impl<'a> Scan<'a> {
    pub(crate) async fn begin(postgres: &'a Postgres, selection: &'a Selection) -> Result<Scan<'a>, DatabaseError> {
        let mut tables = Vec::new();
        if matches!(selection.what, What::Sha256(_) | What::Metadata { .. }) {
            for (table, by_digest, by_metadata) in DOCUMENTS {
                let span = postgres.span(table).await?;
                tables.extend(span.map(|(from, to)| Table { by_digest, by_metadata, from, to }));
            }
        }
        Ok(Scan { postgres, selection, after: String::new(), finished: false, tables, length: Duration::hours(1) })
    }

    /// The next submissions, at most a page of them; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<String>, DatabaseError> {
        match &self.selection.what {
            What::Submission(_) | What::Everything if self.finished => Ok(Vec::new()),
            What::Submission(id) => {
                self.finished = true;
                self.postgres.register(ONE, &self.selection.tenant, id, None).await
            }
            What::Everything => {
                let page = self.postgres.register(OF_TENANT, &self.selection.tenant, &self.after, Some(PAGE)).await?;
                self.finished = page.is_empty();
                self.after = page.last().cloned().unwrap_or_default();
                Ok(page)
            }
            What::Sha256(_) | What::Metadata { .. } => self.next_of_documents().await,
        }
    }

    /// Up to when what was recorded has been looked through; `None` where that is not how it is done.
    pub(crate) fn until(&self) -> Option<OffsetDateTime> {
        self.tables.last().map(|table| table.from)
    }

    async fn next_of_documents(&mut self) -> Result<Vec<String>, DatabaseError> {
        while let Some(table) = self.tables.last_mut() {
            let to = table.to.min(table.from + self.length);
            let asked = Instant::now();
            let slice = self.postgres.slice(table, to, self.selection, &self.after).await;
            let (last, found) = match slice {
                Ok(slice) => slice,
                // It took too long: a shorter one.
                Err(DatabaseError::Hindered { .. } | DatabaseError::Unreachable { .. }) if self.length > SHORTEST => {
                    self.length = SHORTEST.max(self.length / 8_i32);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let is_long = asked.elapsed() > LONG;
            match last {
                // A longer slice would hold others before this one.
                Some(last) => self.after = last,
                None => {
                    self.after.clear();
                    table.from = to;
                    if table.from >= table.to {
                        self.tables.pop();
                    }
                    self.length =
                        if is_long { self.length / 2_i32 } else { self.length * 2_i32 }.clamp(SHORTEST, LONGEST);
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

impl Postgres {
    async fn register(
        &self,
        statement: &'static str,
        tenant: &str,
        submission: &str,
        most: Option<i64>,
    ) -> Result<Vec<String>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query_scalar(statement).persistent(false).bind(tenant).bind(submission);
        let asked = if let Some(most) = most { asked.bind(most) } else { asked };
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        self.database.conclude(connection, answer).await
    }

    /// From when on a table has partitions, and until when there can be rows.
    async fn span(&self, table: &str) -> Result<Option<(OffsetDateTime, OffsetDateTime)>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query(SPAN).persistent(false).bind(table);
        let answer = self.database.in_time(asked.fetch_one(&mut *connection)).await;
        let span = answer.and_then(|row| {
            let (from, to): (Option<OffsetDateTime>, Option<OffsetDateTime>) = (row.try_get(0)?, row.try_get(1)?);
            Ok(from.zip(to))
        });
        self.database.conclude(connection, span).await
    }

    /// A page of a slice: those that were selected, and the last one looked at if there may be more.
    async fn slice(
        &self,
        table: &Table,
        to: OffsetDateTime,
        selection: &Selection,
        after: &str,
    ) -> Result<(Option<String>, Vec<String>), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(slice(&mut connection, table, to, selection, after)).await;
        self.database.conclude(connection, answer).await
    }
}

async fn slice(
    connection: &mut PgConnection,
    table: &Table,
    to: OffsetDateTime,
    selection: &Selection,
    after: &str,
) -> Result<(Option<String>, Vec<String>), sqlx::Error> {
    let ask = |statement: &'static str| {
        let asked = query(SqlStr::from_static(statement)).persistent(false);
        asked.bind(table.from).bind(to).bind(&selection.tenant).bind(after)
    };
    let rows = match &selection.what {
        What::Sha256(digest) => ask(table.by_digest).bind(digest).bind(PAGE).fetch_all(connection).await?,
        What::Metadata { key, value } => {
            ask(table.by_metadata).bind(key).bind(value).bind(PAGE).fetch_all(connection).await?
        }
        What::Everything | What::Submission(_) => Vec::new(),
    };
    let mut found = BTreeSet::new();
    let mut last = None;
    for row in &rows {
        let submission: String = row.try_get("submission_id")?;
        let selected =
            row.try_get::<Option<&str>, _>("document")?.is_none_or(|text| is_selected(text, &selection.what));
        if selected {
            found.insert(submission.clone());
        }
        last = Some(submission);
    }
    let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
    Ok((last.filter(|_| full), found.into_iter().collect()))
}

/// Looks into a document that PostgreSQL can't look into.
fn is_selected(text: &str, what: &What) -> bool {
    let document: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    match what {
        What::Sha256(digest) => {
            let found = document.pointer("/image/sha256").and_then(|found| found.as_str());
            found.is_some_and(|found| found.eq_ignore_ascii_case(digest))
        }
        what => document
            .get("metadata")
            .and_then(|metadata| metadata.as_object())
            .is_some_and(|metadata| what.is_in(metadata)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_with_a_nul_is_looked_into() {
        let what = What::metadata("user=4711").unwrap();
        assert!(is_selected(r#"{"metadata": {"user": "4711", "text": "a\u0000b"}}"#, &what));
        assert!(!is_selected(r#"{"metadata": {"user": "1", "text": "a\u0000b"}}"#, &what));
        assert!(!is_selected(r#"{"text": "\u0000"}"#, &what));
        let digest = What::Sha256("ab".repeat(32));
        let of = |digest: &str| format!(r#"{{"image": {{"sha256": "{digest}"}}, "text": "\u0000"}}"#);
        assert!(is_selected(&of(&"AB".repeat(32)), &digest) && !is_selected(&of(&"cd".repeat(32)), &digest));
    }
}
