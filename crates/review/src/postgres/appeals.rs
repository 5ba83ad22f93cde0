//! Looking at appeals.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::row::{decision, role};
use super::sighting::is_blind;
use super::store::{Postgres, ask};
use crate::caller::Caller;
use crate::roles::Role;
use crate::views::{AppealDecision, AppealPage, AppealRow, AppealState, AppealView, ItemId, ItemKind, Via};
use database::{DatabaseError, query};
use domain::OutcomeId;

const PAGE: i64 = 50;
/// Of `appeals AS a` and its item `i`; $1 is the access, $2 the person.
pub(super) const FROM: &str = "FROM appeals AS a JOIN review_items AS i ON i.appeal_id = a.appeal_id";

impl Postgres {
    /// Pages from 0: open ones the oldest first, decided ones the newest first.
    pub async fn appeals(&self, caller: &Caller, state: AppealState, page: u32) -> Result<AppealPage, DatabaseError> {
        let (which, order) = match state {
            AppealState::Open => ("a.decided_at IS NULL", "a.filed_at, a.appeal_id"),
            AppealState::Decided => ("a.decided_at IS NOT NULL", "a.decided_at DESC, a.appeal_id"),
        };
        let asked = format!(
            "SELECT {} {FROM} WHERE {which} AND may($1, 2::smallint, a.tenant) ORDER BY {order} OFFSET $3 LIMIT $4",
            columns()
        );
        let asked = query(AssertSqlSafe(asked)).persistent(false).bind(caller.access).bind(&caller.person);
        let asked = asked.bind(i64::from(page) * PAGE).bind(PAGE + 1);
        let rows = ask!(self, connection => asked.fetch_all(&mut *connection))?;
        let appeals = rows.iter().take(PAGE as usize).map(listed).collect::<Result<_, _>>();
        let appeals = appeals.map_err(|error| self.database.error(error))?;
        // Of open ones the first page has the oldest.
        let (before, after) = (page > 0, rows.len() as i64 > PAGE);
        let (has_newer, has_older) = if state == AppealState::Open { (after, before) } else { (before, after) };
        Ok(AppealPage { appeals, has_newer, has_older })
    }

    /// `None`: it is not there, or not this person's to see.
    pub async fn appeal(&self, caller: &Caller, appeal: Uuid) -> Result<Option<AppealView>, DatabaseError> {
        let asked = "SELECT a.*, a.evidence::text AS evidence, a.decided_by::text AS decided_by, i.item_id, i.decision
            FROM appeals AS a JOIN review_items AS i ON i.appeal_id = a.appeal_id
            WHERE a.appeal_id = $2 AND may($1, 2::smallint, a.tenant)";
        let columns = "a.appeal_id, a.tenant, a.submission_id, a.outcome_id, a.text, a.via, a.filed_by, a.filed_at, a.decided_at, a.result, a.ground, a.reason";
        let asked = query(AssertSqlSafe(asked.replace("a.*", columns))).bind(caller.access).bind(appeal);
        let row = ask!(self, connection => asked.fetch_optional(&mut *connection))?;
        row.as_ref().map(view).transpose().map_err(|error| self.database.error(error))
    }
}

/// What [`listed`] reads.
pub(super) fn columns() -> String {
    let blind = is_blind("role_in($1, i.tenant)", "$2");
    format!(
        "a.appeal_id, i.item_id, a.tenant, a.submission_id, a.outcome_id, i.decision, left(a.text, 121) AS beginning, a.filed_at,
         a.result, i.for_leads, (i.pending IS NOT NULL OR coalesce(i.lease_until > clock_timestamp(), false)) AS claimed,
         i.holder = $2 AS mine, i.assigned_to <> $2 AS others, role_in($1, i.tenant) AS role,
         (SELECT count(*) FROM reviews AS r JOIN review_marks AS m USING (vote_id) WHERE r.item_id = i.item_id AND m.mark = 'counted') AS votes,
         EXISTS (
             SELECT FROM reviews AS r WHERE r.item_id = i.item_id AND r.person = $2
                 AND NOT EXISTS (SELECT FROM review_marks AS m WHERE m.vote_id = r.vote_id AND m.mark <> 'counted')
         ) AS voted,
         EXISTS (SELECT FROM review_skips AS s WHERE s.item_id = i.item_id AND s.person = $2) AS skipped,
         EXISTS (SELECT FROM review_bars AS b WHERE b.item_id = i.item_id AND b.person = $2 AND b.why = 'reviewed') AS barred,
         {blind} AS blind"
    )
}

pub(super) fn listed(row: &PgRow) -> Result<AppealRow, sqlx::Error> {
    let is = |column: &str| row.try_get::<Option<bool>, _>(column).map(Option::unwrap_or_default);
    let (result, votes): (Option<String>, i64) = (row.try_get("result")?, row.try_get("votes")?);
    let is_decided = result.is_some();
    let state = match (result, is("for_leads")?, is("claimed")?, votes) {
        (Some(result), ..) => result,
        (_, true, ..) => "waits for a lead".into(),
        (_, _, true, _) => "somebody looks at it".into(),
        (_, _, _, 0) => "waits".into(),
        (_, _, _, votes) => format!("{votes} {}", if votes == 1 { "vote" } else { "votes" }),
    };
    let leads = role(row.try_get("role")?).is_some_and(Role::leads);
    let why_not = [
        (is("barred")?, "You reviewed it first, or filed the appeal: somebody else decides on it."),
        (is("voted")?, "You have voted on it."),
        (is("skipped")?, "You have skipped it."),
        (is("for_leads")? && !leads, "It waits for a lead."),
        (is("others")?, "It is assigned to somebody else."),
        (is("claimed")? && !is("mine")?, "Somebody else looks at it now."),
    ];
    let why_not = why_not.into_iter().find(|(is, _)| *is && !is_decided).map(|(_, why)| why.to_string());
    let beginning: String = row.try_get("beginning")?;
    Ok(AppealRow {
        id: row.try_get("appeal_id")?,
        item: ItemId(row.try_get("item_id")?),
        tenant: row.try_get("tenant")?,
        submission_id: row.try_get("submission_id")?,
        outcome: OutcomeId(row.try_get("outcome_id")?),
        decision: if is("blind")? { None } else { Some(decision(row.try_get("decision")?)?) },
        beginning: shortened(&beginning),
        at: row.try_get("filed_at")?,
        state,
        why_not,
    })
}

/// At most 120 characters.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 120 { text.into() } else { text.chars().take(119).chain(['…']).collect() }
}

fn view(row: &PgRow) -> Result<AppealView, sqlx::Error> {
    let json = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    let (evidence, who): (Option<&str>, Option<&str>) = (row.try_get("evidence")?, row.try_get("decided_by")?);
    let result: Option<String> = row.try_get("result")?;
    let decided = match result {
        None => None,
        Some(result) => Some(AppealDecision {
            result,
            at: row.try_get("decided_at")?,
            who: who.map(serde_json::from_str).transpose().map_err(json)?.unwrap_or_default(),
            ground: row.try_get("ground")?,
            reason: row.try_get::<Option<_>, _>("reason")?.unwrap_or_default(),
        }),
    };
    let outcome = OutcomeId(row.try_get("outcome_id")?);
    Ok(AppealView {
        id: row.try_get("appeal_id")?,
        item: ItemId::of(outcome, ItemKind::Appeal),
        tenant: row.try_get("tenant")?,
        submission_id: row.try_get("submission_id")?,
        outcome,
        decision: decision(row.try_get("decision")?)?,
        at: row.try_get("filed_at")?,
        text: row.try_get("text")?,
        evidence: evidence.map(serde_json::from_str).transpose().map_err(json)?,
        via: if row.try_get::<&str, _>("via")? == "queue" { Via::Queue } else { Via::Console },
        filed_by: row.try_get("filed_by")?,
        decided,
    })
}
