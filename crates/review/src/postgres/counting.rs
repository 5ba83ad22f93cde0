//! Counting votes that can't be undone any more.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};
use uuid::Uuid;

use super::row::{COLUMNS, Row, counted};
use super::settling::{is_erased, settle, unresolved};
use super::store::{Postgres, ask};
use crate::lease::AfterVote;
use crate::resolution::{Step, step};
use crate::settings::ReviewSettings;
use crate::views::{Counted, ItemId, ItemState};
use database::{DatabaseError, query};

/// One item at a time, so that whoever counts beside us is kept waiting by none.
const DUE: &str = "FROM review_items AS i JOIN reviews AS r ON r.vote_id = i.pending
WHERE i.pending IS NOT NULL AND r.counts_at <= clock_timestamp() AND NOT i.item_id = ANY($2)
ORDER BY r.number LIMIT 1 FOR UPDATE OF i SKIP LOCKED";

impl Postgres {
    /// Counts every vote whose time to be undone is over, and writes what follows from it: all that follows from one vote in one
    /// transaction. Any number of processes may do so at once.
    pub async fn count_votes(&self) -> Result<Counted, DatabaseError> {
        let (mut sum, mut seen) = (Counted::default(), BTreeSet::new());
        loop {
            let known: Vec<Uuid> = seen.iter().map(|item: &ItemId| item.0).collect();
            let done = ask!(self, connection => count_one(&mut connection, &self.settings, &known))?;
            let Some((item, one)) = done else { return Ok(sum) };
            // Once each: whatever is wrong with an item, the others are counted.
            seen.insert(item);
            sum.counted += one.counted;
            sum.void += one.void;
            sum.resolved += one.resolved;
            sum.labels += one.labels;
            sum.messages += one.messages;
        }
    }
}

async fn count_one(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    seen: &[Uuid],
) -> Result<Option<(ItemId, Counted)>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let asked = AssertSqlSafe(format!("SELECT {COLUMNS} {DUE}"));
    // Nobody asks: the machine carries out what people have decided.
    let found = query(asked).bind(Uuid::nil()).bind(seen).fetch_optional(&mut *transaction).await?;
    let Some(found) = found else { return Ok(None) };
    let row = Row::of(&found)?;
    let vote: Uuid = found.try_get("pending")?;
    let is_erased = is_erased(&mut transaction, &row).await?;
    let counts = row.state == ItemState::Open && !is_erased;
    let mark = query("INSERT INTO review_marks (vote_id, mark) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    let mark = mark.bind(vote).bind(if counts { "counted" } else { "void" }).execute(&mut *transaction).await?;
    let mut done = Counted::default();
    if mark.rows_affected() == 0 {
        let free = query("UPDATE review_items SET pending = NULL WHERE item_id = $1").bind(row.id.0);
        free.execute(&mut *transaction).await?;
    } else if counts {
        done = after_vote(&mut transaction, settings, &row).await?;
    } else {
        done.void = 1;
        let (state, why) = if is_erased { ("closed", Some("erased")) } else { (row.state.as_str(), None) };
        let void =
            "UPDATE review_items SET pending = NULL, holder = NULL, lease = NULL, lease_until = NULL, state = $2,
            closed_why = coalesce($3, closed_why), closed_at = CASE WHEN $2 = 'closed' THEN coalesce(closed_at, $4) END
            WHERE item_id = $1";
        let void = query(void).bind(row.id.0).bind(state).bind(why).bind(row.now);
        void.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some((row.id, done)))
}

/// What the votes come to now that one more counts.
async fn after_vote(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    row: &Row,
) -> Result<Counted, sqlx::Error> {
    let votes = counted(connection, row.id).await?;
    let step = step(&row.item, &votes, settings.by_eye());
    let after = AfterVote::of(&step);
    let resolution = serde_json::to_string(&step).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let update = "UPDATE review_items SET pending = NULL, holder = NULL, lease = NULL, lease_until = NULL, assigned_to = NULL,
            assigned_by = NULL, is_held = false, held_at = NULL, held_comment = NULL, shown_at = NULL, for_leads = $2, state = $3,
            resolution = CASE WHEN $3 = 'done' THEN $4::json END, resolved_at = CASE WHEN $3 = 'done' THEN $5 END
        WHERE item_id = $1";
    let state = if after == AfterVote::Done { ItemState::Done } else { ItemState::Open };
    let update = query(update).bind(row.id.0).bind(after == AfterVote::LeadsOnly).bind(state.as_str());
    update.bind(resolution).bind(row.now).execute(&mut *connection).await?;
    let mut done = match &step {
        Step::Resolved(resolution) => settle(connection, row, resolution, &votes).await?,
        Step::Unresolved(found) => unresolved(connection, row, found, &votes).await?,
        Step::Wanted(_) => Counted::default(),
    };
    done.counted = 1;
    done.resolved = u64::from(after == AfterVote::Done);
    Ok(done)
}
