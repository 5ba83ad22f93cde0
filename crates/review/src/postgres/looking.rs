//! One item, as one person may see it.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::claiming::may_claim;
use super::row::{COLUMNS, Dealings, Row, dealings, generation, kind, seconds, state, vote};
use super::sighting::seen;
use super::store::{Postgres, ask};
use crate::admission::{Sight, sight};
use crate::caller::Caller;
use crate::item::Scrutiny;
use crate::roles::Role;
use crate::views::{CountedVote, ItemId, ItemState, ItemSummary, ItemView};
use crate::vote::Vote;
use database::{DatabaseError, query};
use domain::{OutcomeId, Verdict};
use ledger::postgres::{VERDICT_COLUMNS, verdict_of};

impl Postgres {
    /// `None`: it is not there, or not this person's to see.
    pub async fn item(&self, caller: &Caller, item: ItemId) -> Result<Option<ItemView>, DatabaseError> {
        ask!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let asked = AssertSqlSafe(format!("SELECT {COLUMNS} FROM review_items AS i WHERE i.item_id = $2"));
            let row = query(asked).bind(caller.access).bind(item.0).fetch_optional(&mut *transaction).await?;
            let row = row.as_ref().map(Row::of).transpose()?;
            let Some((row, role)) = row.and_then(|row| row.role.map(|role| (row, role))) else { return Ok(None) };
            let view = view(&mut transaction, caller, &row, role).await?;
            transaction.commit().await?;
            Ok(Some(view))
        })
    }

    /// The items of a submission, the newest first.
    pub async fn items_of(
        &self,
        caller: &Caller,
        tenant: &str,
        submission: &str,
    ) -> Result<Vec<ItemSummary>, DatabaseError> {
        ask!(self, connection => items_of(&mut connection, caller, tenant, submission))
    }

    /// The document of a verdict of this person's tenants; `None` also where retention has removed it. It tells everything: ask
    /// [`Postgres::open_blind`] before.
    pub async fn verdict(&self, caller: &Caller, outcome: OutcomeId) -> Result<Option<Verdict>, DatabaseError> {
        let asked = format!(
            "SELECT {VERDICT_COLUMNS} FROM verdicts
             WHERE (recorded_at, verdict_id) IN (SELECT recorded_at, outcome_id FROM outcomes WHERE outcome_id = $2 AND kind = 0)
                 AND may($1, 1::smallint, tenant)"
        );
        let asked = query(AssertSqlSafe(asked)).persistent(false).bind(caller.access).bind(outcome.0);
        let row = ask!(self, connection => asked.fetch_optional(&mut *connection))?;
        let read = row.as_ref().map(verdict_of).transpose().map_err(|error| self.database.error(error))?;
        Ok(read.flatten())
    }
}

async fn view(connection: &mut PgConnection, caller: &Caller, row: &Row, role: Role) -> Result<ItemView, sqlx::Error> {
    let dealings = dealings(connection, row.id, &caller.person).await?;
    let asked = "SELECT r.* FROM reviews AS r JOIN review_marks AS m USING (vote_id)
        WHERE r.item_id = $1 AND m.mark = 'counted' ORDER BY r.number";
    let cast = query(asked).bind(row.id.0).fetch_all(&mut *connection).await?;
    let votes: Vec<Vote> = cast.iter().map(vote).collect::<Result<_, _>>()?;
    let own_sight = row.sight(dealings, &votes);
    let is_open = row.state == ItemState::Open;
    let may_vote = is_open && role >= Role::Reviewer && !dealings.voted;
    if own_sight == Sight::Open && may_vote && row.item.scrutiny == Scrutiny::Double {
        seen(connection, caller, &[&row.tenant], &[&row.submission_id]).await?;
    }
    let lease = row.lease.filter(|_| is_open && row.is_with(caller) && row.pending.is_none());
    let needs_blind = sight(&row.item, &votes, role) == Sight::Blind;
    let refused = may_claim(row, caller, dealings, needs_blind).err();
    let is_blind = own_sight == Sight::Blind;
    Ok(ItemView {
        id: row.id,
        kind: row.kind,
        appeal: row.appeal,
        tenant: row.tenant.clone(),
        submission_id: row.submission_id.clone(),
        outcome: row.item.outcome,
        generation: generation(row.generation),
        decision: row.item.decision,
        model_version: row.model_version.clone(),
        image_sha256: row.image_sha256.clone(),
        decided_at: row.decided_at,
        age_s: seconds(row.arrived_at, row.now),
        source: row.shown_source(!votes.is_empty(), own_sight),
        state: row.state,
        closed_why: row.closed_why.clone(),
        because: row.because.clone().filter(|_| !is_blind),
        role,
        lease,
        is_held_for_later: row.is_held && lease.is_some(),
        may_claim: lease.is_none() && refused.is_none(),
        why_no_vote: why_no_vote(row, caller, dealings, refused.map(|refused| refused.to_string()))
            .filter(|_| lease.is_none()),
        sight: own_sight,
        votes: if is_blind { Vec::new() } else { cast.iter().zip(votes).map(counted).collect::<Result<_, _>>()? },
    })
}

fn why_no_vote(row: &Row, caller: &Caller, dealings: Dealings, refused: Option<String>) -> Option<String> {
    let why = match (row.state, row.closed_why.as_deref()) {
        (ItemState::Done, _) => "People have decided on this item.".into(),
        (ItemState::Closed, Some("superseded")) => "A later verdict has taken the place of this one.".into(),
        (ItemState::Closed, Some("appealed")) => "The verdict was appealed: the appeal is decided instead.".into(),
        (ItemState::Closed, Some("not_reviewed")) => {
            "Nobody looked at it in time: it is counted as not reviewed.".into()
        }
        (ItemState::Closed, Some("rejudged")) => "The image is judged again.".into(),
        (ItemState::Closed, why) => format!("The item was closed: {}.", why.unwrap_or("for no reason that is known")),
        (ItemState::Open, _) if dealings.voted && row.is_with(caller) => "Your vote on it can still be undone.".into(),
        (ItemState::Open, _) => refused.unwrap_or_else(|| "You don't have this item: take it to vote on it.".into()),
    };
    Some(why)
}

fn counted((row, vote): (&PgRow, Vote)) -> Result<CountedVote, sqlx::Error> {
    Ok(CountedVote {
        who: vote.reviewer,
        role: vote.role,
        answer: vote.answer,
        ground: vote.ground,
        generator: vote.generator,
        comment: vote.comment,
        blind: vote.blind,
        at: row.try_get("cast_at")?,
    })
}

pub(super) async fn items_of(
    connection: &mut PgConnection,
    caller: &Caller,
    tenant: &str,
    submission: &str,
) -> Result<Vec<ItemSummary>, sqlx::Error> {
    // That there is a golden item is for nobody to know.
    let asked =
        "SELECT item_id, kind, appeal_id, outcome_id, generation, state, closed_why, arrived_at FROM review_items
        WHERE tenant = $2 AND submission_id = $3 AND kind <> 'golden' AND may($1, 1::smallint, tenant)
        ORDER BY arrived_at DESC, item_id";
    let rows = query(asked).bind(caller.access).bind(tenant).bind(submission).fetch_all(connection).await?;
    let summary = |row: &PgRow| {
        Ok(ItemSummary {
            id: ItemId(row.try_get("item_id")?),
            kind: kind(row.try_get("kind")?)?,
            appeal: row.try_get("appeal_id")?,
            outcome: OutcomeId(row.try_get("outcome_id")?),
            generation: generation(row.try_get("generation")?),
            state: state(row.try_get("state")?)?,
            closed_why: row.try_get("closed_why")?,
            arrived_at: row.try_get("arrived_at")?,
        })
    };
    rows.iter().map(summary).collect()
}
