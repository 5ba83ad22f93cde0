//! Signing in at the issuer: out with a question that only this browser can bring the answer to, and back.

use std::collections::HashMap;

use http::HeaderMap;
use review::RoleBinding;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use url::{Url, form_urlencoded};

use crate::access::{Access, Kind};
use crate::ask::ask;
use crate::audit::{self, Entry};
use crate::cookie::{Cookie, Cookies};
use crate::error::AccessError;
use crate::identity::{Identity, granted, shown};
use crate::issuer::{Begun, Issuer, Returned};
use crate::people::see;
use crate::postgres::{NewAccess, find, insert};
use crate::settings::Settings;
use crate::{next, secret};
use database::{Database, query};

/// For somebody to sign in at the issuer.
const MINUTES: i32 = 10;
/// Anybody can begin one.
const MOST_AT_ONCE: i64 = 10_000;
/// Of what comes back, bytes.
const LONGEST: usize = 8 * 1024;

/// Where to send the browser, and the cookie that it is to bring back.
pub(crate) async fn begin(
    database: &Database,
    issuer: &Issuer,
    cookies: Cookies,
    next: &str,
) -> Result<(Url, String), AccessError> {
    let next = next::checked(next)?;
    let Begun { to, state, nonce, verifier } = issuer.begin().await?;
    let begun = "
        WITH gone AS (DELETE FROM sign_ins WHERE expires_at <= now())
        INSERT INTO sign_ins (state_hash, verifier, nonce, next, expires_at)
        SELECT $1, $2, $3, $4, now() + make_interval(mins => $5)
        WHERE (SELECT count(*) FROM sign_ins WHERE expires_at > now()) < $6";
    let digest = secret::digest(&state);
    let begun = query(begun).persistent(false).bind(&digest[..]).bind(verifier).bind(nonce).bind(next);
    let begun = begun.bind(MINUTES).bind(MOST_AT_ONCE);
    let done = ask!(database, connection => begun.execute(&mut *connection))?;
    if done.rows_affected() == 0 {
        return Err(AccessError::TooManySignIns);
    }
    Ok((to, cookies.set(Cookie::SignIn, &state, u64::from(MINUTES.unsigned_abs()) * 60)))
}

/// Who came back, the cookie of the session that begins, and the page that was wanted.
pub(crate) async fn finish(
    (database, issuer, settings): (&Database, &Issuer, &Settings),
    cookies: Cookies,
    asked: &str,
    headers: &HeaderMap,
) -> Result<(Access, String, String), AccessError> {
    let (returned, next) = taken(database, issuer, cookies, asked, headers).await?;
    let identity = Box::pin(issuer.finish(returned)).await?;
    let grants = granted(&identity, &settings.roles);
    let secret = secret::make()?;
    let new = NewAccess {
        kind: Kind::Session,
        person: &identity.person,
        secret: secret::digest(&secret),
        minutes: minutes(settings.session_hours),
        idle_minutes: Some(idle_minutes(settings)),
        grants: &grants,
    };
    let before = cookies.get(Cookie::Session, headers).map(|secret| secret::digest(&secret));
    ask!(database, connection => open(&mut connection, &identity, &new, before.as_ref()))?;
    let found = find(database, Kind::Session, &new.secret).await?.ok_or(AccessError::Ended)?;
    if found.access.grants.is_empty() {
        tracing::info!(
            person = identity.person,
            groups = ?identity.groups,
            "somebody signed in to whom access.roles gives nothing"
        );
    }
    Ok((found.access, cookies.set(Cookie::Session, &secret, u64::from(settings.session_hours) * 3600), next))
}

/// What came back from the issuer, if this browser went there; and for the first time.
async fn taken(
    database: &Database,
    issuer: &Issuer,
    cookies: Cookies,
    asked: &str,
    headers: &HeaderMap,
) -> Result<(Returned, String), AccessError> {
    let fields: HashMap<_, _> = match asked.len() {
        ..=LONGEST => form_urlencoded::parse(asked.as_bytes()).collect(),
        _ => return Err(AccessError::UnknownSignIn),
    };
    let state = fields.get("state").filter(|state| secret::is_secret(state)).ok_or(AccessError::UnknownSignIn)?;
    let cookie = cookies.get(Cookie::SignIn, headers).ok_or(AccessError::UnknownSignIn)?;
    if !secret::same(cookie.as_bytes(), state.as_bytes()) {
        return Err(AccessError::UnknownSignIn);
    }
    let digest = secret::digest(state);
    let take = "DELETE FROM sign_ins WHERE state_hash = $1 AND expires_at > statement_timestamp()
                RETURNING verifier, nonce, next, statement_timestamp() AS now";
    let take = query(take).persistent(false).bind(&digest[..]);
    let row = ask!(database, connection => take.fetch_optional(&mut *connection))?;
    let row = row.ok_or(AccessError::UnknownSignIn)?;
    if let Some(error) = fields.get("error") {
        let more = fields.get("error_description").map(|text| format!(": {text}")).unwrap_or_default();
        return Err(AccessError::NotLetIn(shown(Some(&format!("{error}{more}")), "no reason given")));
    }
    if fields.get("iss").is_some_and(|named| !issuer.is(named)) {
        return Err(AccessError::Untrusted("it is from another issuer".into()));
    }
    let code = fields.get("code").ok_or(AccessError::UnknownSignIn)?.to_string();
    let read = || {
        let returned = Returned {
            code,
            nonce: row.try_get("nonce")?,
            verifier: row.try_get("verifier")?,
            now: row.try_get("now")?,
        };
        Ok((returned, row.try_get("next")?))
    };
    Ok(read().map_err(|error| database.error(error))?)
}

/// Begins a session; the one that this browser had before ends.
async fn open(
    connection: &mut PgConnection,
    identity: &Identity,
    new: &NewAccess<'_>,
    before: Option<&[u8; 32]>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    see(&mut transaction, &identity.person, &identity.name).await?;
    let id = insert(&mut transaction, new).await?;
    if let Some(before) = before {
        let ended =
            "UPDATE accesses SET revoked_at = now() WHERE secret = $1 AND kind = 'session' AND revoked_at IS NULL";
        query(ended).persistent(false).bind(&before[..]).execute(&mut *transaction).await?;
    }
    let access = Access {
        id,
        kind: new.kind,
        person: identity.person.clone(),
        pseudonym: String::new(),
        name: identity.name.clone(),
        grants: new.grants.to_vec(),
        prefs: serde_json::Map::new(),
    };
    audit::write(&mut transaction, &access, &signed_in(new.grants)).await?;
    transaction.commit().await
}

fn signed_in(grants: &[RoleBinding]) -> Entry {
    Entry { what: "signed_in".into(), detail: Some(serde_json::json!({ "grants": grants })), ..Entry::default() }
}

/// Ends a session; gives the cookie that takes its own away. Whatever else proved who somebody is proves it again.
pub(crate) async fn out(database: &Database, cookies: Cookies, access: &Access) -> Result<String, AccessError> {
    ask!(database, connection => close(&mut connection, access))?;
    Ok(cookies.clear(Cookie::Session))
}

async fn close(connection: &mut PgConnection, access: &Access) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let ended =
        "UPDATE accesses SET revoked_at = now() WHERE access_id = $1 AND kind = 'session' AND revoked_at IS NULL";
    let ended = query(ended).persistent(false).bind(access.id).execute(&mut *transaction).await?;
    if ended.rows_affected() > 0 {
        let entry = Entry { what: "signed_out".into(), ..Entry::default() };
        audit::write(&mut transaction, access, &entry).await?;
    }
    transaction.commit().await
}

pub(crate) fn minutes(hours: u32) -> i32 {
    i32::try_from(hours * 60).unwrap_or(i32::MAX)
}

pub(crate) fn idle_minutes(settings: &Settings) -> i32 {
    i32::try_from(settings.idle_minutes).unwrap_or(i32::MAX)
}
