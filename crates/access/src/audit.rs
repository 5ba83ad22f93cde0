//! Who did what: only ever added to, looked at by page, and given out whole.

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::access::{Access, level};
use crate::ask::ask;
use crate::error::AccessError;
use crate::people::{Who, who};
use database::{Database, DatabaseError, query};
use review::Action;

/// Of each text of an entry, letters.
const LONGEST: usize = 1024;
/// Read from the database at once.
const BATCH: i64 = 500;
const MOST_ON_A_PAGE: u16 = 500;

const SELECT: &str = "
    SELECT id, at, audit_log.person, pseudonym, name, access_id, what, tenant, item_id, submission_id, detail::text AS detail
    FROM audit_log LEFT JOIN people USING (person)
    WHERE (SELECT '*' = ANY (allowed) OR tenant = ANY (allowed) FROM (SELECT tenants_of($1, $2)) AS of_access (allowed))
        AND ($3::text IS NULL OR audit_log.person = $3 OR pseudonym = $3 OR name = $3)
        AND ($4::text IS NULL OR what = $4)
        AND ($5::text IS NULL OR tenant = $5)
        AND ($6::timestamptz IS NULL OR at >= $6)
        AND ($7::timestamptz IS NULL OR at < $7)
        AND ($8::text IS NULL OR submission_id = $8)";

/// What somebody did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// One word, such as `saw`.
    pub what: String,
    /// `None`: it belongs to no single tenant, and is shown to those alone who have a role for all of them.
    pub tenant: Option<String>,
    pub item_id: Option<Uuid>,
    pub submission_id: Option<String>,
    pub detail: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    pub id: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub who: Who,
    pub access_id: Uuid,
    pub what: String,
    pub tenant: Option<String>,
    pub item_id: Option<Uuid>,
    pub submission_id: Option<String>,
    pub detail: Option<Value>,
}

/// Which entries are wanted; all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// A pseudonym, a name or a person.
    pub who: Option<String>,
    pub what: Option<String>,
    pub tenant: Option<String>,
    pub from: Option<OffsetDateTime>,
    /// Itself not.
    pub to: Option<OffsetDateTime>,
    pub submission: Option<String>,
}

/// Where a page begins, by the number of an entry that is not on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    #[default]
    Newest,
    OlderThan(i64),
    NewerThan(i64),
}

/// The newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditPage {
    pub entries: Vec<AuditRow>,
    pub newer: Option<From>,
    pub older: Option<From>,
}

/// Writes an entry within whatever the caller does in the same transaction.
pub async fn write(connection: &mut PgConnection, access: &Access, entry: &Entry) -> Result<(), sqlx::Error> {
    let written = "INSERT INTO audit_log (person, access_id, what, tenant, item_id, submission_id, detail)
                   VALUES ($1, $2, $3, $4, $5, $6, $7::json)";
    let written = query(written).bind(&access.person).bind(access.id).bind(kept(&entry.what));
    let written = written.bind(entry.tenant.as_deref().map(kept)).bind(entry.item_id);
    let written = written.bind(entry.submission_id.as_deref().map(kept));
    written.bind(entry.detail.as_ref().map(Value::to_string)).execute(connection).await.map(drop)
}

/// As much of a text as the database takes: whatever somebody searched for must not keep the search out of the log.
fn kept(text: &str) -> String {
    text.chars().take(LONGEST).map(|letter| if letter == '\0' { '\u{fffd}' } else { letter }).collect()
}

pub(crate) async fn record(database: &Database, access: &Access, entry: &Entry) -> Result<(), DatabaseError> {
    ask!(database, connection => write(&mut connection, access, entry))
}

/// A page of the entries that this access may see.
pub(crate) async fn page(
    database: &Database,
    access: &Access,
    filter: &AuditFilter,
    (from, most): (From, u16),
) -> Result<AuditPage, AccessError> {
    sees(access)?;
    let most = usize::from(most.clamp(1, MOST_ON_A_PAGE));
    let (bound, place, newest_first) = match from {
        From::Newest => ("$9::bigint IS NULL", None, true),
        From::OlderThan(id) => ("id < $9", Some(id), true),
        From::NewerThan(id) => ("id > $9", Some(id), false),
    };
    let order = if newest_first { "DESC" } else { "ASC" };
    let text = format!("{SELECT} AND {bound} ORDER BY id {order} LIMIT $10");
    let asked =
        bound_to(query(AssertSqlSafe(text)).persistent(false), access, filter).bind(place).bind(most as i64 + 1);
    let found = ask!(database, connection => asked.fetch_all(&mut *connection))?;
    let more = found.len() > most;
    let mut entries = read(database, &found[..found.len().min(most)])?;
    if !newest_first {
        entries.reverse();
    }
    let first = entries.first().map(|entry| From::NewerThan(entry.id));
    let last = entries.last().map(|entry| From::OlderThan(entry.id));
    let (newer, older) = match from {
        From::Newest => (None, last.filter(|_| more)),
        From::OlderThan(_) => (first, last.filter(|_| more)),
        From::NewerThan(_) => (first.filter(|_| more), last),
    };
    Ok(AuditPage { entries, newer, older })
}

/// Sends the entries that this access may see, the oldest first. Ends early when nobody receives.
pub(crate) async fn export(
    database: &Database,
    access: &Access,
    filter: &AuditFilter,
    entries: &mpsc::Sender<AuditRow>,
) -> Result<(), AccessError> {
    sees(access)?;
    let text = format!("{SELECT} AND id > $9 ORDER BY id LIMIT $10");
    let mut after = 0;
    loop {
        let asked = bound_to(query(AssertSqlSafe(text.clone())).persistent(false), access, filter);
        let asked = asked.bind(after).bind(BATCH);
        let found = ask!(database, connection => asked.fetch_all(&mut *connection))?;
        for entry in read(database, &found)? {
            after = entry.id;
            if entries.send(entry).await.is_err() {
                return Ok(());
            }
        }
        if (found.len() as i64) < BATCH {
            return Ok(());
        }
    }
}

/// For some tenant at least; of which, the statement says.
fn sees(access: &Access) -> Result<(), AccessError> {
    let needed = Action::ExportAuditLog.needs();
    match access.role() {
        Some(role) if role >= needed => Ok(()),
        Some(role) => Err(review::Denied::Role { action: Action::ExportAuditLog, needed, role }.into()),
        None => Err(review::Denied::NoRole.into()),
    }
}

fn bound_to<'q>(
    asked: Query<'q, Postgres, PgArguments>,
    access: &Access,
    filter: &'q AuditFilter,
) -> Query<'q, Postgres, PgArguments> {
    let asked = asked.bind(access.id).bind(level(Action::ExportAuditLog.needs()));
    let asked = asked.bind(filter.who.as_deref()).bind(filter.what.as_deref()).bind(filter.tenant.as_deref());
    asked.bind(filter.from).bind(filter.to).bind(filter.submission.as_deref())
}

fn read(database: &Database, rows: &[PgRow]) -> Result<Vec<AuditRow>, DatabaseError> {
    rows.iter().map(entry).collect::<Result<_, _>>().map_err(|error| database.error(error))
}

fn entry(row: &PgRow) -> Result<AuditRow, sqlx::Error> {
    let detail: Option<&str> = row.try_get("detail")?;
    let detail = detail.map(serde_json::from_str).transpose().map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(AuditRow {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        who: who(row)?,
        access_id: row.try_get("access_id")?,
        what: row.try_get("what")?,
        tenant: row.try_get("tenant")?,
        item_id: row.try_get("item_id")?,
        submission_id: row.try_get("submission_id")?,
        detail,
    })
}
