//! Finding submissions by what somebody has of them.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};
use uuid::Uuid;

use super::row::generation;
use super::sighting::{is_blind, seen};
use super::store::{Postgres, ask};
use crate::caller::Caller;
use crate::views::{By, SearchPage, SearchRow};
use database::{DatabaseError, query};
use domain::OutcomeId;

const MOST: usize = 50;
/// Longest text that is searched for, in bytes.
const MOST_TEXT: usize = 1024;
/// Longer than this nobody waits, and nothing else is to wait for it.
const LIMIT: &str = "SET LOCAL statement_timeout TO '4s'";
const CANCELLED: &str = "57014";

impl Postgres {
    /// What is in the ledger of this person's tenants, the newest first. `*` at the end stands for anything.
    pub async fn search(&self, caller: &Caller, by: By, q: &str) -> Result<SearchPage, DatabaseError> {
        let wanted = match Wanted::of(by, q.trim()) {
            Ok(wanted) => wanted,
            Err(problem) => return Ok(SearchPage { problem: Some(problem.into()), ..SearchPage::default() }),
        };
        ask!(self, connection => async {
            match search(&mut connection, caller, &wanted).await {
                Err(error) if error.as_database_error().and_then(|it| it.code()).as_deref() == Some(CANCELLED) => {
                    let problem = "This takes too long: give more of it, or search by the submission or the outcome.";
                    Ok(SearchPage { problem: Some(problem.into()), ..SearchPage::default() })
                }
                answer => answer,
            }
        })
    }
}

/// What is looked for. Each that is there may be what is meant.
#[derive(Default)]
struct Wanted<'a> {
    outcome: Option<Uuid>,
    digest: Option<Vec<u8>>,
    submission: Option<&'a str>,
    key: Option<&'a str>,
    is_prefix: bool,
}

impl<'a> Wanted<'a> {
    fn of(by: By, q: &'a str) -> Result<Wanted<'a>, &'static str> {
        let (text, is_prefix) = q.strip_suffix('*').map_or((q, false), |beginning| (beginning, true));
        if text.is_empty() {
            return Err("Say what to search for: at least one character before the *.");
        }
        if text.len() > MOST_TEXT || text.contains('\0') {
            return Err("This is longer than anything that could be found, or contains a NUL character.");
        }
        let outcome = Uuid::try_parse(text).ok().filter(|_| !is_prefix);
        let digest = hex::decode(text).ok().filter(|digest| digest.len() == 32 && !is_prefix);
        let none = Wanted { is_prefix, ..Wanted::default() };
        match by {
            By::Outcome if outcome.is_none() => Err("The id of an outcome is a UUID, whole."),
            By::Digest if digest.is_none() => Err("A digest is a SHA-256 of 64 hexadecimal digits, whole."),
            By::Outcome => Ok(Wanted { outcome, ..none }),
            By::Digest => Ok(Wanted { digest, ..none }),
            By::Submission => Ok(Wanted { submission: Some(text), ..none }),
            By::Key => Ok(Wanted { key: Some(text), ..none }),
            By::Any if digest.is_some() => Ok(Wanted { digest, submission: Some(text), ..none }),
            By::Any => Ok(Wanted { outcome, submission: Some(text), key: Some(text), ..none }),
        }
    }

    /// Of the outcomes that it may be, the keys; $3 to $6 are what is looked for.
    fn keys(&self) -> String {
        let fits = |column: &str, place: &str| match self.is_prefix {
            true => format!("starts_with({column}, {place})"),
            false => format!("{column} = {place}"),
        };
        let is_own = "(t.tenant = ANY(rights.sees) OR '*' = ANY(rights.sees))";
        let mut keys = Vec::new();
        let mut from = |table: &str, id: &str, condition: String| {
            keys.push(format!(
                "(SELECT t.recorded_at, t.{id} AS id FROM {table} AS t, rights WHERE {condition} AND {is_own} ORDER BY t.recorded_at DESC LIMIT 51)"
            ));
        };
        if self.outcome.is_some() {
            from("outcomes", "outcome_id", "t.outcome_id = $3".into());
        }
        if self.digest.is_some() {
            from("verdicts", "verdict_id", "t.image_sha256 = $4".into());
        }
        if self.submission.is_some() {
            from("outcomes", "outcome_id", fits("t.submission_id", "$5"));
        }
        if self.key.is_some() {
            from("verdicts", "verdict_id", fits("t.object_key", "$6"));
            from("failures", "failure_id", fits("t.object_key", "$6"));
        }
        keys.join(" UNION ")
    }
}

async fn search(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> Result<SearchPage, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    query(LIMIT).persistent(false).execute(&mut *transaction).await?;
    let asked = format!(
        "WITH rights AS MATERIALIZED (SELECT tenants_of($1, 1::smallint) AS sees, $3::uuid, $4::bytea, $5::text, $6::text),
         found AS MATERIALIZED (SELECT DISTINCT recorded_at, id FROM ({}) AS k ORDER BY recorded_at DESC LIMIT {}),
         page AS MATERIALIZED (
             SELECT v.tenant, v.submission_id, v.generation, v.verdict_id AS id, v.decision, NULL AS code, v.synthetic, v.decided_at AS at,
                 v.object_key, v.recorded_at
             FROM found JOIN verdicts AS v ON v.recorded_at = found.recorded_at AND v.verdict_id = found.id
             UNION ALL
             SELECT f.tenant, f.submission_id, f.generation, f.failure_id, NULL, f.code, NULL, f.failed_at, f.object_key, f.recorded_at
             FROM found JOIN failures AS f ON f.recorded_at = found.recorded_at AND f.failure_id = found.id
         )
         SELECT p.*,
             EXISTS (SELECT FROM review_items AS i WHERE i.tenant = p.tenant AND i.submission_id = p.submission_id AND {}) AS hidden,
             (SELECT CASE
                  WHEN i.kind = 'appeal' AND i.state = 'open' THEN 'appeal open'
                  WHEN i.kind = 'appeal' THEN 'appeal decided'
                  WHEN i.state = 'open' THEN 'waiting' WHEN i.state = 'done' THEN 'reviewed'
                  WHEN i.closed_why IN ('superseded', 'appealed') THEN '' ELSE 'not reviewed' END
              FROM review_items AS i WHERE i.tenant = p.tenant AND i.submission_id = p.submission_id AND i.outcome_id = p.id
                  AND i.kind <> 'golden' ORDER BY i.kind = 'appeal' DESC LIMIT 1) AS review
         FROM page AS p ORDER BY p.recorded_at DESC, p.id",
        wanted.keys(),
        MOST + 1,
        is_blind("role_in($1, i.tenant)", "$2")
    );
    let asked = query(AssertSqlSafe(asked)).persistent(false).bind(caller.access).bind(&caller.person);
    let asked = asked.bind(wanted.outcome).bind(wanted.digest.as_deref()).bind(wanted.submission).bind(wanted.key);
    let rows = asked.fetch_all(&mut *transaction).await?;
    let results: Vec<SearchRow> = rows.iter().take(MOST).map(result).collect::<Result<_, _>>()?;
    let shown = results.iter().filter(|row| !row.hidden);
    let (tenants, submissions): (Vec<&str>, Vec<&str>) =
        shown.map(|row| (row.tenant.as_str(), row.submission_id.as_str())).unzip();
    seen(&mut transaction, caller, &tenants, &submissions).await?;
    transaction.commit().await?;
    Ok(SearchPage { results, more: rows.len() > MOST, problem: None })
}

fn result(row: &PgRow) -> Result<SearchRow, sqlx::Error> {
    let hidden: bool = row.try_get("hidden")?;
    let told = |value: Option<String>| value.filter(|_| !hidden);
    Ok(SearchRow {
        tenant: row.try_get("tenant")?,
        submission_id: row.try_get("submission_id")?,
        generation: generation(row.try_get("generation")?),
        outcome: OutcomeId(row.try_get("id")?),
        decision: told(row.try_get("decision")?),
        failure: told(row.try_get("code")?),
        synthetic: row.try_get::<Option<f32>, _>("synthetic")?.filter(|_| !hidden),
        at: row.try_get("at")?,
        key: row.try_get("object_key")?,
        review: row.try_get::<Option<_>, _>("review")?.unwrap_or_default(),
        hidden,
    })
}
