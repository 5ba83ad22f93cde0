//! Whom the console has seen, how they are called outside, and what they prefer.

use review::Role;
use serde::{Serialize, Serializer};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::access::{Access, level};
use crate::ask::ask;
use crate::error::AccessError;
use database::{Database, DatabaseError, query};

pub type Prefs = serde_json::Map<String, serde_json::Value>;

/// Of what one person prefers, bytes.
const MOST_PREFS: usize = 4096;
/// Whoever was not here for so long is nobody to give work to.
const ACTIVE_DAYS: i32 = 30;

/// A person. Written out it is the pseudonym alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub person: String,
    pub pseudonym: String,
    pub name: String,
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pseudonym)
    }
}

/// Notes that somebody is there.
pub(crate) async fn see(connection: &mut PgConnection, person: &str, name: &str) -> Result<(), sqlx::Error> {
    let seen = "INSERT INTO people (person, pseudonym, name) VALUES ($1, pseudonym_of($1), $2)
                ON CONFLICT (person) DO UPDATE SET name = excluded.name, last_seen_at = now()";
    query(seen).persistent(false).bind(person).bind(name).execute(connection).await.map(drop)
}

/// Keeps what the person of an access prefers.
pub(crate) async fn set_prefs(database: &Database, access: &Access, prefs: &Prefs) -> Result<(), AccessError> {
    let invalid = |problem: String| AccessError::Invalid { field: "preferences", problem };
    let text = serde_json::to_string(prefs).map_err(|error| invalid(error.to_string()))?;
    if text.len() > MOST_PREFS {
        return Err(invalid(format!("are {} bytes long; at most {MOST_PREFS} are kept", text.len())));
    }
    let set = "UPDATE people SET prefs = $2::json
               WHERE person = (SELECT person FROM accesses_in_force WHERE access_id = $1)";
    let set = query(set).persistent(false).bind(access.id).bind(text);
    let done = ask!(database, connection => set.execute(&mut *connection))?;
    if done.rows_affected() == 0 { Err(AccessError::Ended) } else { Ok(()) }
}

/// Who was here lately with such a role for a tenant, by name.
pub(crate) async fn with_role(database: &Database, needed: Role, tenant: &str) -> Result<Vec<Who>, DatabaseError> {
    let asked = "
        SELECT person, pseudonym, name FROM people CROSS JOIN LATERAL (
            SELECT access_id FROM accesses
            WHERE accesses.person = people.person AND kind IN ('session', 'proxy', 'trial')
            ORDER BY coalesce(last_used_at, made_at) DESC LIMIT 1
        ) AS latest
        WHERE last_seen_at > now() - make_interval(days => $3) AND EXISTS (
            SELECT FROM access_grants
            WHERE access_grants.access_id = latest.access_id AND role >= $1 AND (tenant = '*' OR tenant = $2)
        )
        ORDER BY name, person";
    let asked = query(asked).persistent(false).bind(level(needed)).bind(tenant).bind(ACTIVE_DAYS);
    let rows = ask!(database, connection => asked.fetch_all(&mut *connection))?;
    rows.iter().map(who).collect::<Result<_, _>>().map_err(|error| database.error(error))
}

/// Of columns `person`, `pseudonym` and `name`, where the last two may be missing.
pub(crate) fn who(row: &PgRow) -> Result<Who, sqlx::Error> {
    let pseudonym: Option<String> = row.try_get("pseudonym")?;
    let name: Option<String> = row.try_get("name")?;
    let pseudonym = pseudonym.unwrap_or_default();
    Ok(Who { person: row.try_get("person")?, name: name.unwrap_or_else(|| pseudonym.clone()), pseudonym })
}
