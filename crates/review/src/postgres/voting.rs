//! Casting votes, and taking them back before they count.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::holding::at_least;
use super::row::{Row, answer, counted, dealings, decision, kind, locked};
use super::settling::is_erased;
use super::store::{Fault, Postgres, ask, attempt};
use crate::admission::{Sight, VoteRefused, admit, sight};
use crate::caller::Caller;
use crate::lease::ClaimRefused;
use crate::refused::Refused;
use crate::roles::Role;
use crate::settings::ReviewSettings;
use crate::views::{AppealChoice, Cast, Claim, ItemId, ItemKind, ItemState, NewVote, PendingVote};
use crate::vote::Vote;
use database::{DatabaseError, is_taken, query, query_scalar};

impl Postgres {
    /// Casts a vote, which counts once it can't be undone any more. Whether it is blind follows from what this person could see.
    pub async fn vote(&self, caller: &Caller, new: &NewVote) -> Result<Cast, Refused> {
        attempt!(self, connection => cast(&mut connection, &self.settings, caller, new))
    }

    /// Takes one's own vote back; the item is claimed again under the same lease.
    pub async fn undo(&self, caller: &Caller, vote: Uuid) -> Result<Claim, Refused> {
        attempt!(self, connection => undo(&mut connection, &self.settings, caller, vote))
    }

    /// This person's latest vote that can still be undone.
    pub async fn pending(&self, caller: &Caller) -> Result<Option<PendingVote>, DatabaseError> {
        let asked = "SELECT r.vote_id, r.answer, i.item_id, i.kind, i.decision, i.submission_id,
                extract(epoch FROM r.counts_at - clock_timestamp())::float8 AS left
            FROM review_items AS i JOIN reviews AS r ON r.vote_id = i.pending
            WHERE i.pending IS NOT NULL AND r.person = $2 AND r.counts_at > clock_timestamp() AND may($1, 2::smallint, i.tenant)
            ORDER BY r.number DESC LIMIT 1";
        let asked = query(asked).bind(caller.access).bind(&caller.person);
        let row = ask!(self, connection => asked.fetch_optional(&mut *connection))?;
        let read = |row: &sqlx::postgres::PgRow| {
            let (kind, answer) = (kind(row.try_get("kind")?)?, answer(row.try_get("answer")?)?);
            let choice = AppealChoice::of_answer(answer, decision(row.try_get("decision")?)?);
            let choice = choice.filter(|_| kind == ItemKind::Appeal);
            Ok(PendingVote {
                vote: row.try_get("vote_id")?,
                item: ItemId(row.try_get("item_id")?),
                is_appeal: kind == ItemKind::Appeal,
                answer: choice.map_or(answer.as_str(), AppealChoice::as_str).into(),
                submission_id: row.try_get("submission_id")?,
                ms_left: (row.try_get::<f64, _>("left")? * 1000.0).max(0.0) as u64,
            })
        };
        row.as_ref().map(read).transpose().map_err(|error| self.database.error(error))
    }
}

async fn cast(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    new: &NewVote,
) -> Result<Cast, Fault> {
    let mut transaction = connection.begin().await?;
    let row = at_least(Role::Reviewer, locked(&mut transaction, caller, new.item).await?)?;
    if is_known(&mut transaction, caller, new).await? {
        return Ok(Cast::Known);
    }
    if is_erased(&mut transaction, &row).await? {
        return Err(Refused::Erased.into());
    }
    let dealings = dealings(&mut transaction, new.item, &caller.person).await?;
    let person = row.person(caller)?;
    if row.state != ItemState::Open {
        return Err(ClaimRefused::Done.into());
    }
    if dealings.voted {
        return Err(VoteRefused::VotedBefore.into());
    }
    if !row.is_with(caller) || row.lease != Some(new.lease) {
        return Err(ClaimRefused::NotHeld.into());
    }
    let votes = counted(&mut transaction, new.item).await?;
    let vote = Vote {
        reviewer: caller.pseudonym.clone(),
        role: person.role,
        answer: new.answer,
        ground: new.ground,
        blind: sight(&row.item, &votes, person.role) == Sight::Blind && !dealings.saw,
        generator: new.generator.clone(),
        comment: new.comment.clone(),
    };
    if row.kind == ItemKind::Appeal && AppealChoice::of_answer(new.answer, row.item.decision).is_none() {
        return Err(Refused::NoDecision.into());
    }
    let before: BTreeSet<String> = dealings.reviewed_before.then(|| vote.reviewer.clone()).into_iter().collect();
    admit(&row.item, &votes, &before, &vote)?;
    write(&mut transaction, settings, caller, &row, new.vote, &vote).await?;
    transaction.commit().await?;
    Ok(Cast::New)
}

/// Whether this very vote was cast before. Asked once the item is locked, so that the same vote sent twice at once is seen.
async fn is_known(connection: &mut PgConnection, caller: &Caller, new: &NewVote) -> Result<bool, Fault> {
    let asked = query("SELECT item_id, person FROM reviews WHERE vote_id = $1").bind(new.vote);
    let Some(row) = asked.fetch_optional(connection).await? else { return Ok(false) };
    let (item, person): (Uuid, String) = (row.try_get("item_id")?, row.try_get("person")?);
    if item == new.item.0 && person == caller.person { Ok(true) } else { Err(Refused::VoteTaken.into()) }
}

async fn write(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    row: &Row,
    id: Uuid,
    vote: &Vote,
) -> Result<(), Fault> {
    let counts_at = row.now + Duration::seconds(settings.undo_s.into());
    let seconds = row.shown_at.map(|shown_at| (row.now - shown_at).as_seconds_f32().max(0.0));
    let insert = "INSERT INTO reviews
            (vote_id, item_id, person, pseudonym, role, answer, ground, generator, comment, blind, seconds, cast_at, counts_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let insert = query(insert).bind(id).bind(row.id.0).bind(&caller.person).bind(&caller.pseudonym);
    let insert = insert.bind(vote.role.as_str()).bind(vote.answer.as_str()).bind(vote.ground.map(|it| it.as_str()));
    let insert = insert.bind(vote.generator.as_deref()).bind(vote.comment.as_deref()).bind(vote.blind);
    match insert.bind(seconds).bind(row.now).bind(counts_at).execute(&mut *connection).await {
        Err(error) if is_taken(&error) => return Err(Refused::VoteTaken.into()),
        answer => answer.map(drop)?,
    }
    let pending = "UPDATE review_items SET pending = $2, lease_until = greatest(lease_until, $3) WHERE item_id = $1";
    query(pending).bind(row.id.0).bind(id).bind(counts_at).execute(&mut *connection).await?;
    // Whoever reviews a submission does not decide on an appeal that was filed meanwhile.
    let bar = "INSERT INTO review_bars (item_id, person, why)
        SELECT item_id, $3, 'reviewed' FROM review_items
        WHERE tenant = $1 AND submission_id = $2 AND kind = 'appeal' AND item_id <> $4
        ON CONFLICT DO NOTHING";
    let bar = query(bar).bind(&row.tenant).bind(&row.submission_id).bind(&caller.person).bind(row.id.0);
    bar.execute(&mut *connection).await?;
    Ok(())
}

async fn undo(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    vote: Uuid,
) -> Result<Claim, Fault> {
    let mut transaction = connection.begin().await?;
    let item = query_scalar("SELECT item_id FROM reviews WHERE vote_id = $1 AND person = $2");
    let item: Option<Uuid> = item.bind(vote).bind(&caller.person).fetch_optional(&mut *transaction).await?;
    let item = ItemId(item.ok_or(Refused::NotFound)?);
    // From here on the vote is neither counted nor undone by anybody else.
    let row = at_least(Role::Reviewer, locked(&mut transaction, caller, item).await?)?;
    let mark = query_scalar("SELECT mark FROM review_marks WHERE vote_id = $1").bind(vote);
    let mark: Option<String> = mark.fetch_optional(&mut *transaction).await?;
    match mark.as_deref() {
        None => {}
        // The same request came twice.
        Some("undone") if row.is_with(caller) && row.pending.is_none() && row.state == ItemState::Open => {
            return claim(&row);
        }
        Some("undone") => return Err(Refused::VoteIsNone.into()),
        Some(_) => return Err(Refused::UndoTooLate.into()),
    }
    if row.pending != Some(vote) || !row.is_with(caller) {
        return Err(Refused::UndoTooLate.into());
    }
    let undone = query("INSERT INTO review_marks (vote_id, mark) VALUES ($1, 'undone')").bind(vote);
    undone.execute(&mut *transaction).await?;
    let until: OffsetDateTime = row.now + Duration::seconds(settings.lease_s.into());
    let again = "UPDATE review_items SET pending = NULL, lease_until = greatest(lease_until, $2) WHERE item_id = $1";
    query(AssertSqlSafe(again)).bind(item.0).bind(until).execute(&mut *transaction).await?;
    transaction.commit().await?;
    claim(&row)
}

fn claim(row: &Row) -> Result<Claim, Fault> {
    let lease = row.lease.ok_or(Refused::VoteIsNone)?;
    Ok(Claim { item: row.id, lease, is_appeal: row.kind == ItemKind::Appeal })
}
