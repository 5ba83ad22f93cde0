//! A row of `review_items`, and what is known of one person and it.

use std::collections::BTreeSet;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::store::Fault;
use crate::admission::{Sight, sight};
use crate::audit::Drawn;
use crate::caller::Caller;
use crate::item::{ReviewItem, Scrutiny};
use crate::lease::{Claims, Holder, Person};
use crate::refused::Refused;
use crate::roles::Role;
use crate::source::Source;
use crate::views::{ItemId, ItemKind, ItemState, ShownSource};
use crate::vote::{Answer, ReviewGround, Vote};
use database::query;
use domain::{Decision, LabelledOrigin, OutcomeId};

/// Of `review_items AS i`; $1 is the access of who asks.
pub(super) const COLUMNS: &str = "i.*, clock_timestamp() AS now, role_in($1, i.tenant) AS role";

/// The vote counts, or will.
pub(super) const IS_CAST: &str =
    "NOT EXISTS (SELECT FROM review_marks AS m WHERE m.vote_id = r.vote_id AND m.mark <> 'counted')";

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub id: ItemId,
    pub kind: ItemKind,
    pub source: String,
    pub state: ItemState,
    pub closed_why: Option<String>,
    pub tenant: String,
    pub submission_id: String,
    pub generation: i64,
    pub item: ReviewItem,
    pub model_version: String,
    pub image_sha256: String,
    pub location: String,
    pub decided_at: OffsetDateTime,
    pub arrived_at: OffsetDateTime,
    pub begun_at: Option<OffsetDateTime>,
    pub shown_at: Option<OffsetDateTime>,
    pub appeal: Option<Uuid>,
    pub holder: Option<String>,
    pub lease: Option<Uuid>,
    pub lease_until: Option<OffsetDateTime>,
    pub is_held: bool,
    pub pending: Option<Uuid>,
    pub for_leads: bool,
    pub assigned_to: Option<String>,
    pub assigned_by: Option<String>,
    pub because: Option<String>,
    /// Of the database's clock.
    pub now: OffsetDateTime,
    /// Of who asks, for the item's tenant.
    pub role: Option<Role>,
}

/// What one person has had to do with an item.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dealings {
    pub voted: bool,
    /// Their vote counts.
    pub counted: bool,
    pub skipped: bool,
    pub reviewed_before: bool,
    pub saw: bool,
}

impl Row {
    pub(super) fn of(row: &PgRow) -> Result<Row, sqlx::Error> {
        let (source, decision): (String, Decision) = (row.try_get("source")?, decision(row.try_get("decision")?)?);
        let scrutiny = match row.try_get("scrutiny")? {
            "single" => Scrutiny::Single,
            "double" => Scrutiny::Double,
            "golden_real" => Scrutiny::Golden(LabelledOrigin::Real),
            "golden_synthetic" => Scrutiny::Golden(LabelledOrigin::Synthetic),
            other => return Err(unknown("scrutiny", other)),
        };
        let drawn = match row.try_get::<Option<&str>, _>("audit_stratum")? {
            None => None,
            Some(stratum) => Some(Drawn {
                stratum: self::decision(stratum)?,
                inclusion: row.try_get("audit_inclusion")?,
                rank: row.try_get("audit_rank")?,
            }),
        };
        let item = ReviewItem {
            outcome: OutcomeId(row.try_get("outcome_id")?),
            decision,
            // What this version does not know is reviewed as what matters least; it takes none of it from the queue.
            source: source.parse().unwrap_or(if source == "golden" { Source::Audit } else { Source::Uncertain }),
            audit: drawn,
            scrutiny,
        };
        let (bucket, key): (&str, &str) = (row.try_get("bucket")?, row.try_get("object_key")?);
        Ok(Row {
            id: ItemId(row.try_get("item_id")?),
            kind: kind(row.try_get("kind")?)?,
            state: state(row.try_get("state")?)?,
            closed_why: row.try_get("closed_why")?,
            tenant: row.try_get("tenant")?,
            submission_id: row.try_get("submission_id")?,
            generation: row.try_get("generation")?,
            model_version: row.try_get("model_version")?,
            image_sha256: hex::encode(row.try_get::<&[u8], _>("image_sha256")?),
            location: format!("s3://{bucket}/{key}"),
            decided_at: row.try_get("decided_at")?,
            arrived_at: row.try_get("arrived_at")?,
            begun_at: row.try_get("begun_at")?,
            shown_at: row.try_get("shown_at")?,
            appeal: row.try_get("appeal_id")?,
            holder: row.try_get("holder")?,
            lease: row.try_get("lease")?,
            lease_until: row.try_get("lease_until")?,
            is_held: row.try_get("is_held")?,
            pending: row.try_get("pending")?,
            for_leads: row.try_get("for_leads")?,
            assigned_to: row.try_get("assigned_to")?,
            assigned_by: row.try_get("assigned_by")?,
            because: row.try_get("because")?,
            now: row.try_get("now")?,
            role: role(row.try_get("role")?),
            source,
            item,
        })
    }

    /// Who asks, as the rules know them.
    pub(super) fn person(&self, caller: &Caller) -> Result<Person, Refused> {
        let role = self.role.ok_or(Refused::NotFound)?;
        Ok(Person { name: caller.person.clone(), role })
    }

    /// As the rules know it, as far as one person is concerned.
    pub(super) fn claims(&self, name: &str, dealings: Dealings) -> Claims {
        let only = |is: bool| -> BTreeSet<String> { is.then(|| name.to_string()).into_iter().collect() };
        let holder = match (&self.holder, self.lease_until) {
            // Nobody else gets an item while a vote on it can be undone.
            (Some(holder), Some(until)) if self.pending.is_some() => {
                Some(Holder { name: holder.clone(), until: until.max(self.now + Duration::seconds(1)) })
            }
            (Some(holder), Some(until)) => Some(Holder { name: holder.clone(), until }),
            _ => None,
        };
        Claims {
            holder,
            assigned_to: self.assigned_to.clone(),
            for_leads: self.for_leads,
            done: self.state != ItemState::Open,
            voted: only(dealings.voted),
            skipped: only(dealings.skipped),
            barred: only(dealings.reviewed_before),
        }
    }

    /// What this person may see now. Whoever may not vote any more, and whoever never votes, sees everything.
    pub(super) fn sight(&self, dealings: Dealings, votes: &[Vote]) -> Sight {
        let is_open = self.state == ItemState::Open && !dealings.counted && !dealings.skipped;
        match self.role {
            Some(role) if role >= Role::Reviewer && is_open && !dealings.reviewed_before => {
                sight(&self.item, votes, role)
            }
            _ => Sight::Open,
        }
    }

    pub(super) fn shown_source(&self, is_second: bool, sight: Sight) -> ShownSource {
        if self.kind == ItemKind::Appeal {
            return ShownSource::Appeal;
        }
        match (sight, self.for_leads, self.item.source) {
            (Sight::Blind, ..) => ShownSource::Blind,
            (_, true, _) => ShownSource::Escalated,
            _ if self.kind == ItemKind::Golden => ShownSource::Blind,
            _ if is_second => ShownSource::Second,
            (_, _, Source::Policy) => ShownSource::Policy,
            (_, _, Source::Audit) => ShownSource::Audit,
            (_, _, _) => ShownSource::Uncertain,
        }
    }

    pub(super) fn is_with(&self, caller: &Caller) -> bool {
        self.holder.as_deref() == Some(caller.person.as_str())
    }
}

/// The item, locked until the end of the transaction; refused where it isn't the caller's.
pub(super) async fn locked(connection: &mut PgConnection, caller: &Caller, item: ItemId) -> Result<Row, Fault> {
    let asked = format!("SELECT {COLUMNS} FROM review_items AS i WHERE i.item_id = $2 FOR UPDATE OF i");
    let row = query(AssertSqlSafe(asked)).bind(caller.access).bind(item.0).fetch_optional(connection).await?;
    let row = row.as_ref().map(Row::of).transpose()?.ok_or(Refused::NotFound)?;
    if row.role.is_none() { Err(Refused::NotFound.into()) } else { Ok(row) }
}

/// Asked after the item was locked: what others wrote before is seen then.
pub(super) async fn dealings(
    connection: &mut PgConnection,
    item: ItemId,
    person: &str,
) -> Result<Dealings, sqlx::Error> {
    let asked = format!(
        "SELECT
             EXISTS (SELECT FROM reviews AS r WHERE r.item_id = $1 AND r.person = $2 AND {IS_CAST}) AS voted,
             EXISTS (
                 SELECT FROM reviews AS r JOIN review_marks AS m USING (vote_id)
                 WHERE r.item_id = $1 AND r.person = $2 AND m.mark = 'counted'
             ) AS counted,
             EXISTS (SELECT FROM review_skips AS s WHERE s.item_id = $1 AND s.person = $2) AS skipped,
             EXISTS (SELECT FROM review_bars AS b WHERE b.item_id = $1 AND b.person = $2 AND b.why = 'reviewed') AS reviewed_before,
             EXISTS (SELECT FROM review_bars AS b WHERE b.item_id = $1 AND b.person = $2 AND b.why = 'saw') AS saw"
    );
    let row = query(AssertSqlSafe(asked)).bind(item.0).bind(person).fetch_one(connection).await?;
    Ok(Dealings {
        voted: row.try_get("voted")?,
        counted: row.try_get("counted")?,
        skipped: row.try_get("skipped")?,
        reviewed_before: row.try_get("reviewed_before")?,
        saw: row.try_get("saw")?,
    })
}

/// The votes that count, in their order. `reviewer` is the pseudonym.
pub(super) async fn counted(connection: &mut PgConnection, item: ItemId) -> Result<Vec<Vote>, sqlx::Error> {
    let asked = "SELECT r.* FROM reviews AS r JOIN review_marks AS m USING (vote_id)
        WHERE r.item_id = $1 AND m.mark = 'counted' ORDER BY r.number";
    query(asked).bind(item.0).fetch_all(connection).await?.iter().map(vote).collect()
}

pub(super) fn vote(row: &PgRow) -> Result<Vote, sqlx::Error> {
    let role: &str = row.try_get("role")?;
    let ground: Option<&str> = row.try_get("ground")?;
    Ok(Vote {
        reviewer: row.try_get("pseudonym")?,
        role: role.parse().map_err(|_| unknown("role", role))?,
        answer: answer(row.try_get("answer")?)?,
        ground: ground.map(self::ground).transpose()?,
        blind: row.try_get("blind")?,
        generator: row.try_get("generator")?,
        comment: row.try_get("comment")?,
    })
}

pub(super) fn answer(code: &str) -> Result<Answer, sqlx::Error> {
    Answer::ALL.into_iter().find(|answer| answer.as_str() == code).ok_or_else(|| unknown("answer", code))
}

fn ground(code: &str) -> Result<ReviewGround, sqlx::Error> {
    ReviewGround::ALL.into_iter().find(|ground| ground.as_str() == code).ok_or_else(|| unknown("ground", code))
}

pub(super) fn decision(code: &str) -> Result<Decision, sqlx::Error> {
    let all = [Decision::Real, Decision::Synthetic, Decision::Uncertain];
    all.into_iter().find(|decision| decision.as_str() == code).ok_or_else(|| unknown("decision", code))
}

pub(super) fn kind(code: &str) -> Result<ItemKind, sqlx::Error> {
    let all = [ItemKind::Review, ItemKind::Appeal, ItemKind::Golden];
    all.into_iter().find(|kind| kind.as_str() == code).ok_or_else(|| unknown("kind", code))
}

pub(super) fn state(code: &str) -> Result<ItemState, sqlx::Error> {
    ItemState::ALL.into_iter().find(|state| state.as_str() == code).ok_or_else(|| unknown("state", code))
}

/// As `role_in` has it; `None`: none.
pub(super) fn role(number: i16) -> Option<Role> {
    match number {
        1 => Some(Role::Viewer),
        2 => Some(Role::Reviewer),
        3 => Some(Role::Lead),
        4 => Some(Role::Admin),
        _ => None,
    }
}

pub(super) fn unknown(what: &str, code: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{code:?} is no {what}").into())
}

/// A number of generations, which the column can hold more of.
pub(super) fn generation(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn seconds(from: OffsetDateTime, to: OffsetDateTime) -> u64 {
    (to - from).whole_seconds().max(0).unsigned_abs()
}
