//! Accesses in PostgreSQL: found by what they are proven with, made, and ended.

use review::RoleBinding;
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};
use uuid::Uuid;

use crate::access::{Access, Kind, grants, rows};
use crate::ask::ask;
use crate::identity::Identity;
use crate::people::see;
use database::{Database, DatabaseError, query};

/// An access that has ended is kept for so long.
const KEPT_DAYS: i32 = 90;

/// `last_used_at` moves once a minute at most: a page asks for many things at once.
const FIND: &str = "
    SELECT
        access_id, accesses.person, pseudonym, people.name, prefs::text AS prefs,
        revoked_at IS NOT NULL AS revoked,
        expires_at <= statement_timestamp() AS expired,
        coalesce(idle_until <= statement_timestamp(), false) AS idle,
        coalesce(last_used_at < statement_timestamp() - interval '1 minute', true) AS due,
        ARRAY(SELECT role FROM access_grants AS g WHERE g.access_id = accesses.access_id ORDER BY role, tenant) AS roles,
        ARRAY(SELECT tenant FROM access_grants AS g WHERE g.access_id = accesses.access_id ORDER BY role, tenant) AS tenants
    FROM accesses JOIN people USING (person)
    WHERE secret = $1 AND kind = $2";

pub(crate) struct Found {
    pub(crate) access: Access,
    /// What has ended it, if anything has: it has been revoked, …
    pub(crate) ended: Option<&'static str>,
    /// That it is used has to be noted.
    pub(crate) due: bool,
}

pub(crate) struct NewAccess<'a> {
    pub(crate) kind: Kind,
    pub(crate) person: &'a str,
    pub(crate) secret: [u8; 32],
    pub(crate) minutes: i32,
    pub(crate) idle_minutes: Option<i32>,
    pub(crate) grants: &'a [RoleBinding],
}

/// What a secret opens, or has opened. A cookie's opens no token, and the other way round.
pub(crate) async fn find(database: &Database, kind: Kind, secret: &[u8; 32]) -> Result<Option<Found>, DatabaseError> {
    let asked = query(FIND).bind(&secret[..]).bind(kind.as_str());
    let row = ask!(database, connection => asked.fetch_optional(&mut *connection))?;
    row.map(|row| found(kind, &row)).transpose().map_err(|error| database.error(error))
}

fn found(kind: Kind, row: &PgRow) -> Result<Found, sqlx::Error> {
    let (roles, tenants): (Vec<i16>, Vec<String>) = (row.try_get("roles")?, row.try_get("tenants")?);
    let prefs: &str = row.try_get("prefs")?;
    let pseudonym: String = row.try_get("pseudonym")?;
    let name: Option<String> = row.try_get("name")?;
    let ended = [("revoked", "been revoked"), ("expired", "expired"), ("idle", "not been used for too long")];
    let mut why = None;
    for (column, words) in ended {
        if row.try_get(column)? {
            why = why.or(Some(words));
        }
    }
    let access = Access {
        id: row.try_get("access_id")?,
        kind,
        person: row.try_get("person")?,
        name: name.unwrap_or_else(|| pseudonym.clone()),
        pseudonym,
        grants: grants(roles.into_iter().zip(tenants)),
        prefs: serde_json::from_str(prefs).map_err(|error| sqlx::Error::Decode(error.into()))?,
    };
    Ok(Found { access, ended: why, due: row.try_get("due")? })
}

/// Notes that an access is used; what has ended stays ended.
pub(crate) async fn touch(database: &Database, access: Uuid, idle_minutes: Option<i32>) -> Result<(), DatabaseError> {
    let touched = "
        WITH used AS (
            UPDATE accesses SET last_used_at = now(), idle_until = now() + make_interval(mins => $2::int)
            WHERE access_id = $1 AND (idle_until IS NULL OR idle_until > now()) RETURNING person
        )
        UPDATE people SET last_seen_at = now() FROM used WHERE people.person = used.person";
    let touched = query(touched).persistent(false).bind(access).bind(idle_minutes);
    ask!(database, connection => touched.execute(&mut *connection)).map(drop)
}

/// Writes an access of somebody who is known; the one that is there with the same secret lasts longer.
pub(crate) async fn insert(connection: &mut PgConnection, new: &NewAccess<'_>) -> Result<Uuid, sqlx::Error> {
    let made = "
        INSERT INTO accesses (access_id, kind, person, secret, last_used_at, expires_at, idle_until)
        VALUES ($1, $2, $3, $4, now(), now() + make_interval(mins => $5), now() + make_interval(mins => $6::int))
        ON CONFLICT (secret) DO UPDATE SET expires_at = excluded.expires_at, last_used_at = now()
        RETURNING access_id";
    let made = query(made).persistent(false).bind(Uuid::new_v4()).bind(new.kind.as_str()).bind(new.person);
    let made = made.bind(&new.secret[..]).bind(new.minutes).bind(new.idle_minutes);
    let id: Uuid = made.fetch_one(&mut *connection).await?.try_get("access_id")?;
    let (roles, tenants): (Vec<i16>, Vec<String>) = rows(new.grants).into_iter().unzip();
    let granted = "INSERT INTO access_grants (access_id, role, tenant)
                   SELECT $1, role, tenant FROM unnest($2::smallint[], $3::text[]) AS given (role, tenant)
                   ON CONFLICT DO NOTHING";
    let granted = query(granted).persistent(false).bind(id).bind(roles).bind(tenants);
    granted.execute(&mut *connection).await?;
    // A token gives no more than its owner's roles of now.
    let trimmed = "
        DELETE FROM access_grants AS given USING accesses AS tokens
        WHERE tokens.access_id = given.access_id AND tokens.kind = 'token' AND tokens.person = $2 AND NOT EXISTS (
            SELECT FROM access_grants AS own
            WHERE own.access_id = $1 AND own.role >= given.role AND (own.tenant = '*' OR own.tenant = given.tenant)
        )";
    query(trimmed).persistent(false).bind(id).bind(new.person).execute(&mut *connection).await?;
    Ok(id)
}

/// The access of a kind that has no secret of its own: one for each person and what is granted, made when it is first needed.
pub(crate) async fn standing(
    database: &Database,
    kind: Kind,
    identity: &Identity,
    grants: &[RoleBinding],
    minutes: i32,
) -> Result<Access, DatabaseError> {
    let secret = of_standing(kind, &identity.person, grants);
    if let Some(found) = find(database, kind, &secret).await?
        && found.ended.is_none()
        && !found.due
    {
        return Ok(found.access);
    }
    let new = NewAccess { kind, person: &identity.person, secret, minutes, idle_minutes: None, grants };
    ask!(database, connection => seen(&mut connection, identity, &new))?;
    let found = find(database, kind, &secret).await?.filter(|found| found.ended.is_none());
    found.map(|found| found.access).ok_or_else(|| DatabaseError::failed("an access ended as it was made"))
}

async fn seen(connection: &mut PgConnection, identity: &Identity, new: &NewAccess<'_>) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    see(&mut transaction, &identity.person, &identity.name).await?;
    insert(&mut transaction, new).await?;
    transaction.commit().await
}

fn of_standing(kind: Kind, person: &str, grants: &[RoleBinding]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(kind.as_str());
    for text in [person.to_string()]
        .into_iter()
        .chain(rows(grants).into_iter().map(|(role, tenant)| format!("{role} {tenant}")))
    {
        digest.update([0]);
        digest.update(text);
    }
    digest.finalize().into()
}

/// Removes what ended long ago.
pub(crate) async fn tidy(database: &Database) -> Result<(), DatabaseError> {
    let gone = "DELETE FROM accesses WHERE least(expires_at, revoked_at) < now() - make_interval(days => $1)";
    let gone = query(gone).persistent(false).bind(KEPT_DAYS);
    ask!(database, connection => gone.execute(&mut *connection)).map(drop)
}
