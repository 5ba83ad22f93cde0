//! Messages that are written with what they tell, and sent afterwards.

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::row::{Row, unknown};
use super::store::{Postgres, ask};
use crate::views::{OutboxKind, OutboxMessage};
use database::{DatabaseError, query};

impl Postgres {
    /// What was not sent yet, the oldest first. It is the caller's to send for half a minute: others that ask meanwhile do not get it, so that
    /// several consoles do not each send everything.
    pub async fn unsent(&self, most: u32) -> Result<Vec<OutboxMessage>, DatabaseError> {
        let asked = "WITH mine AS (
                SELECT message_id FROM review_outbox
                WHERE sent_at IS NULL AND (taken_until IS NULL OR taken_until < now())
                ORDER BY made_at, message_id LIMIT $1 FOR UPDATE SKIP LOCKED
            )
            UPDATE review_outbox AS o SET taken_until = now() + interval '30 seconds' FROM mine
            WHERE o.message_id = mine.message_id
            RETURNING o.message_id, kind, document::text AS document, made_at";
        let asked = query(asked).bind(i64::from(most));
        let rows = ask!(self, connection => asked.fetch_all(&mut *connection))?;
        let mut messages: Vec<OutboxMessage> =
            rows.iter().map(message).collect::<Result<_, _>>().map_err(|error| self.database.error(error))?;
        messages.sort_by_key(|message| (message.made_at, message.id));
        Ok(messages)
    }

    /// These could not be sent: whoever asks next gets them.
    pub async fn give_back(&self, ids: &[Uuid]) -> Result<(), DatabaseError> {
        let back = query("UPDATE review_outbox SET taken_until = NULL WHERE message_id = ANY($1) AND sent_at IS NULL");
        let back = back.bind(ids);
        ask!(self, connection => back.execute(&mut *connection)).map(drop)
    }

    /// These were sent.
    pub async fn sent(&self, ids: &[Uuid]) -> Result<(), DatabaseError> {
        let sent = query("UPDATE review_outbox SET sent_at = now() WHERE message_id = ANY($1) AND sent_at IS NULL");
        let sent = sent.bind(ids);
        ask!(self, connection => sent.execute(&mut *connection)).map(drop)
    }
}

/// One message of each kind for an item.
pub(super) async fn put(
    connection: &mut PgConnection,
    row: &Row,
    kind: OutboxKind,
    document: &Value,
) -> Result<(), sqlx::Error> {
    let put = "INSERT INTO review_outbox (message_id, item_id, kind, document) VALUES ($1, $2, $3, $4::json)
        ON CONFLICT DO NOTHING";
    let put = query(put).bind(row.id.message(kind.as_str())).bind(row.id.0).bind(kind.as_str());
    put.bind(document.to_string()).execute(connection).await.map(drop)
}

/// The next generation is wanted.
pub(super) async fn rejudge(connection: &mut PgConnection, row: &Row) -> Result<(), sqlx::Error> {
    let document = json!({
        "tenant": row.tenant,
        "submission_id": row.submission_id,
        "outcome_id": row.item.outcome,
        "generation": row.generation,
    });
    put(connection, row, OutboxKind::Rejudge, &document).await
}

fn message(row: &PgRow) -> Result<OutboxMessage, sqlx::Error> {
    let code: &str = row.try_get("kind")?;
    let document: &str = row.try_get("document")?;
    Ok(OutboxMessage {
        id: row.try_get("message_id")?,
        kind: OutboxKind::ALL.into_iter().find(|kind| kind.as_str() == code).ok_or_else(|| unknown("message", code))?,
        document: serde_json::from_str(document).map_err(|error| sqlx::Error::Decode(error.into()))?,
        made_at: row.try_get("made_at")?,
    })
}
