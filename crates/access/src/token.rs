//! Personal tokens: for scripts, with at most their owner's roles, and an end.

use review::{Action, Role, Scope};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::{Access, Kind, level};
use crate::ask::ask;
use crate::audit::{self, Entry};
use crate::error::AccessError;
use crate::people::{Who, who};
use crate::secret;
use database::{Database, query};

/// Of a name, letters.
const LONGEST_NAME: usize = 100;

const SELECT: &str = "
    SELECT access_id, accesses.name AS token, made_at, last_used_at, expires_at, people.person, pseudonym, people.name,
        revoked_at IS NOT NULL AS revoked, expires_at <= statement_timestamp() AS expired,
        (SELECT max(role) FROM access_grants AS g WHERE g.access_id = accesses.access_id) AS role
    FROM accesses JOIN people USING (person)";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: Uuid,
    pub name: String,
    pub owner: Who,
    /// The highest; `None` once its owner has none any more.
    pub role: Option<Role>,
    pub made_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    pub state: TokenState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    Valid,
    Expired,
    Revoked,
}

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    pub name: String,
    /// Where its owner has less, so has the token.
    pub role: Role,
    pub days: u32,
}

impl TokenState {
    pub fn as_str(self) -> &'static str {
        match self {
            TokenState::Valid => "valid",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        }
    }
}

impl NewToken {
    fn check(&self, access: &Access, most_days: u32) -> Result<(), AccessError> {
        let invalid = |field, problem: String| Err(AccessError::Invalid { field, problem });
        if access.kind == Kind::Token {
            return Err(AccessError::Kind("a token makes no tokens: sign in, and make it on the page of tokens"));
        }
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return invalid("name", format!("write 1 to {LONGEST_NAME} letters, such as what the token is for"));
        }
        if !(1..=most_days).contains(&self.days) {
            return invalid("days", format!("a token lasts 1 to {most_days} days"));
        }
        match access.role() {
            Some(own) if own >= self.role => Ok(()),
            Some(own) => invalid("role", format!("yours is {own}: choose this or a lower one")),
            None => Err(review::Denied::NoRole.into()),
        }
    }
}

/// One's own, and everybody's for whoever may manage them; those in force first, then the newest.
pub(crate) async fn list(database: &Database, access: &Access) -> Result<Vec<Token>, AccessError> {
    let all = access.may(Action::ManageTokens, Scope::EveryTenant).is_ok();
    let text = format!(
        "{SELECT} WHERE kind = 'token' AND (accesses.person = $1 OR ($2 AND may($3, $4, '*')))
         ORDER BY (revoked_at IS NOT NULL OR expires_at <= statement_timestamp()), made_at DESC"
    );
    let asked = query(AssertSqlSafe(text)).persistent(false).bind(&access.person).bind(all);
    let asked = asked.bind(access.id).bind(level(Action::ManageTokens.needs()));
    let rows = ask!(database, connection => asked.fetch_all(&mut *connection))?;
    Ok(rows.iter().map(token).collect::<Result<_, _>>().map_err(|error| database.error(error))?)
}

/// Makes a token, and the secret that it is used with, which is kept nowhere.
pub(crate) async fn make(
    database: &Database,
    access: &Access,
    new: &NewToken,
    most_days: u32,
) -> Result<(Token, String), AccessError> {
    new.check(access, most_days)?;
    let secret = secret::make_token()?;
    let digest = secret::digest(&secret);
    let made = ask!(database, connection => insert(&mut connection, access, new, &digest))?;
    made.map(|token| (token, secret)).ok_or(AccessError::Ended)
}

/// `None`: the access has ended.
async fn insert(
    connection: &mut PgConnection,
    access: &Access,
    new: &NewToken,
    digest: &[u8; 32],
) -> Result<Option<Token>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let id = Uuid::new_v4();
    let made = "
        INSERT INTO accesses (access_id, kind, person, secret, name, expires_at)
        SELECT $1, 'token', person, $3, $4, now() + make_interval(days => $5)
        FROM accesses_in_force WHERE access_id = $2 AND kind <> 'token'";
    let made = query(made).persistent(false).bind(id).bind(access.id).bind(&digest[..]).bind(new.name.trim());
    let made = made.bind(i32::try_from(new.days).unwrap_or(i32::MAX)).execute(&mut *transaction).await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    let granted = "INSERT INTO access_grants (access_id, role, tenant)
                   SELECT DISTINCT $1, least(role, $3), tenant FROM access_grants WHERE access_id = $2";
    let granted = query(granted).persistent(false).bind(id).bind(access.id).bind(level(new.role));
    granted.execute(&mut *transaction).await?;
    let detail = serde_json::json!({ "token": id, "name": new.name.trim(), "role": new.role, "days": new.days });
    let entry = Entry { what: "made_token".into(), detail: Some(detail), ..Entry::default() };
    audit::write(&mut transaction, access, &entry).await?;
    let read = query(AssertSqlSafe(format!("{SELECT} WHERE access_id = $1"))).persistent(false).bind(id);
    let token = token(&read.fetch_one(&mut *transaction).await?)?;
    transaction.commit().await?;
    Ok(Some(token))
}

/// Ends a token at once: one's own, or anybody's for whoever may manage them.
pub(crate) async fn revoke(database: &Database, access: &Access, id: Uuid) -> Result<(), AccessError> {
    let revoked = ask!(database, connection => end(&mut connection, access, id))?;
    if revoked { Ok(()) } else { Err(AccessError::NoSuchToken) }
}

async fn end(connection: &mut PgConnection, access: &Access, id: Uuid) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let ended = "
        UPDATE accesses SET revoked_at = now()
        WHERE access_id = $2 AND kind = 'token' AND revoked_at IS NULL
            AND (person = (SELECT person FROM accesses_in_force WHERE access_id = $1) OR may($1, $3, '*'))
        RETURNING name";
    let ended = query(ended).persistent(false).bind(access.id).bind(id).bind(level(Action::ManageTokens.needs()));
    let Some(row) = ended.fetch_optional(&mut *transaction).await? else { return Ok(false) };
    let detail = serde_json::json!({ "token": id, "name": row.try_get::<Option<String>, _>("name")? });
    let entry = Entry { what: "revoked_token".into(), detail: Some(detail), ..Entry::default() };
    audit::write(&mut transaction, access, &entry).await?;
    transaction.commit().await?;
    Ok(true)
}

fn token(row: &PgRow) -> Result<Token, sqlx::Error> {
    let role: Option<i16> = row.try_get("role")?;
    let name: Option<String> = row.try_get("token")?;
    let state = match (row.try_get("revoked")?, row.try_get("expired")?) {
        (true, _) => TokenState::Revoked,
        (false, true) => TokenState::Expired,
        (false, false) => TokenState::Valid,
    };
    Ok(Token {
        id: row.try_get("access_id")?,
        name: name.unwrap_or_default(),
        owner: who(row)?,
        role: Role::ALL.into_iter().find(|known| Some(level(*known)) == role),
        made_at: row.try_get("made_at")?,
        last_used_at: row.try_get("last_used_at")?,
        expires_at: row.try_get("expires_at")?,
        state,
    })
}
