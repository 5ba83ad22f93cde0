//! Campaigns in PostgreSQL.

mod selecting;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::report::{By, Changes, Group};
use crate::selection::Selection;
use database::{Database, DatabaseError, query, query_scalar};
use domain::{Context, ImageRef, Outcome, OutcomeId, Policy, Purpose, Request, SubmissionKey};
use ledger::Ledger;
use ledger::postgres::Moved;
use selecting::{cost, items, selected, supposed};

const CREATE: &str = "
INSERT INTO campaigns (campaign_id, actor, reason, selection, model_version, state, items, stop_after_flips)
VALUES ($1, $2, $3, $4::json, $5, 'running', 0, $6)";

/// What a campaign that still runs holds is left out: by the key that both would submit.
const COUNTED: &str = "
UPDATE campaigns SET items = made.items, last_place = made.last_place
FROM (SELECT count(*) AS items, coalesce(max(place), 0) AS last_place FROM campaign_items WHERE campaign_id = $1) AS made
WHERE campaign_id = $1 RETURNING campaigns.items";

const ONE: &str = "
SELECT campaign_id, actor, reason, selection::text AS selection, model_version, state, why, items, last_place, submitted, flips,
    stop_after_flips, created_at, ended_at,
    (SELECT count(*) FROM campaign_items AS i WHERE i.campaign_id = c.campaign_id AND place <= submitted AND result IS NULL)
        AS awaited
FROM campaigns AS c";

/// The results of what was submitted. A failure is a result, too: the verdict before stays in force.
const SETTLE: &str = "
WITH settled AS (
UPDATE campaign_items AS i SET result = coalesce(v.decision, 'failed')
FROM campaigns AS c CROSS JOIN outcomes AS o
LEFT JOIN verdicts AS v ON v.recorded_at = o.recorded_at AND v.verdict_id = o.outcome_id AND o.kind = 0
    AND v.model_version = c.model_version
WHERE c.campaign_id = $1 AND i.campaign_id = $1 AND i.result IS NULL AND i.place <= c.submitted
    AND (o.tenant, o.submission_id, o.generation) = (i.tenant, i.submission_id, i.generation)
RETURNING i.result <> 'failed' AND i.result <> i.decision AS flipped
)
UPDATE campaigns SET flips = flips + (SELECT count(*) FILTER (WHERE flipped) FROM settled)
WHERE campaign_id = $1 AND EXISTS (SELECT FROM settled)";

const NEXT: &str = "
SELECT place, tenant, submission_id, before, generation FROM campaign_items
WHERE campaign_id = $1 AND place > $2 ORDER BY place LIMIT $3";

/// What was erased meanwhile has no place here.
const FORGET_ERASED: &str = "
DELETE FROM campaign_items AS i USING erasure_salt
WHERE i.campaign_id = $1 AND i.place > $2 AND i.place <= $3 AND EXISTS (
    SELECT FROM erased WHERE mark = sha256(
        salt || convert_to(i.tenant, 'UTF8') || '\\x00'::bytea || convert_to(i.submission_id, 'UTF8'))
)";

/// Of a statement that looks at all that was selected.
const NO_LIMIT: &str = "SET LOCAL statement_timeout TO 0";

pub struct Postgres {
    database: Database,
}

/// A campaign, and how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub id: Uuid,
    pub actor: String,
    pub reason: String,
    pub selection: Selection,
    pub model: String,
    /// `running`, `paused`, `stopped`, `finished`.
    pub state: String,
    pub why: Option<String>,
    pub items: u64,
    /// The places of the last item, and of the last one that was submitted.
    pub last_place: i64,
    pub submitted: i64,
    pub stop_after_flips: Option<u64>,
    pub created_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    /// Submitted, and without a result.
    pub awaited: u64,
    pub flips: u64,
}

impl Campaign {
    /// Not submitted yet; fewer where some were erased meanwhile.
    pub fn left(&self) -> u64 {
        (self.last_place - self.submitted).max(0).unsigned_abs()
    }
}

/// What judging again would cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    pub verdicts: u64,
    /// Of the files, as they were.
    pub bytes: u64,
    /// Decisions of the verdicts in force.
    pub by_decision: Vec<(String, u64)>,
    /// Of a device for an image, by the last verdicts; `None` where there are none.
    pub seconds: Option<f64>,
    /// In a campaign that still runs.
    pub taken: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    Campaign(Uuid),
    /// The selection matches nothing, or only what another campaign holds.
    Nothing,
}

/// An item that is to be submitted.
pub(crate) struct Item {
    pub place: i64,
    /// `None` where the verdict is gone by now (`[retention]`).
    pub request: Option<Request>,
}

impl Postgres {
    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone() }
    }

    pub async fn cost(&self, selection: &Selection, model: &str) -> Result<Cost, DatabaseError> {
        self.refuse_while_moving().await?;
        let mut connection = self.database.connection().await?;
        let work = async {
            let mut transaction = without_limit(&mut connection).await?;
            let cost = cost(&mut transaction, selection, model).await?;
            transaction.commit().await?;
            Ok(cost)
        };
        let answer = work.await;
        self.database.conclude(connection, answer).await
    }

    /// What other thresholds, and another calibration, would make of what is selected: exactly, from the scores that are kept.
    pub async fn supposed(&self, selection: &Selection, policy: &Policy) -> Result<Changes, DatabaseError> {
        self.refuse_while_moving().await?;
        let mut connection = self.database.connection().await?;
        let work = async {
            let mut transaction = without_limit(&mut connection).await?;
            let changes = supposed(&mut transaction, selection, policy).await?;
            transaction.commit().await?;
            Ok(changes)
        };
        let answer = work.await;
        self.database.conclude(connection, answer).await
    }

    /// Writes down what is selected now, in its order.
    pub async fn create(
        &self,
        selection: &Selection,
        model: &str,
        (actor, reason): (&str, &str),
        stop_after_flips: Option<u32>,
    ) -> Result<Created, DatabaseError> {
        self.refuse_while_moving().await?;
        let mut connection = self.database.connection().await?;
        let work = async {
            let id = Uuid::new_v4();
            let text = serde_json::to_string(selection).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let mut transaction = without_limit(&mut connection).await?;
            let create = query(CREATE).persistent(false).bind(id).bind(actor).bind(reason).bind(text).bind(model);
            create.bind(stop_after_flips.map(i64::from)).execute(&mut *transaction).await?;
            let items = items();
            selected(&items, selection, model).bind(id).execute(&mut *transaction).await?;
            let forget = query(FORGET_ERASED).persistent(false).bind(id).bind(0_i64).bind(i64::MAX);
            forget.execute(&mut *transaction).await?;
            let items: i64 = query_scalar(COUNTED).persistent(false).bind(id).fetch_one(&mut *transaction).await?;
            if items == 0 {
                transaction.rollback().await?;
                return Ok(Created::Nothing);
            }
            transaction.commit().await?;
            Ok(Created::Campaign(id))
        };
        let answer = work.await;
        self.database.conclude(connection, answer).await
    }

    pub async fn campaign(&self, id: Uuid) -> Result<Option<Campaign>, DatabaseError> {
        let one = format!("{ONE} WHERE campaign_id = $1");
        Ok(self.asked(&one, Some(id)).await?.pop())
    }

    /// The newest that has not ended, with this selection and by this model.
    pub async fn unfinished(&self, selection: &Selection, model: &str) -> Result<Option<Campaign>, DatabaseError> {
        let all = self.asked(&format!("{ONE} WHERE state <> 'finished' ORDER BY created_at DESC"), None).await?;
        Ok(all.into_iter().find(|campaign| campaign.selection == *selection && campaign.model == model))
    }

    /// The newest first.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, DatabaseError> {
        self.asked(&format!("{ONE} ORDER BY created_at DESC LIMIT 50"), None).await
    }

    async fn asked(&self, sql: &str, id: Option<Uuid>) -> Result<Vec<Campaign>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query(AssertSqlSafe(sql.to_string())).persistent(false);
        let asked = if let Some(id) = id { asked.bind(id) } else { asked };
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        let campaigns = answer.and_then(|rows| rows.iter().map(campaign).collect());
        self.database.conclude(connection, campaigns).await
    }

    /// Whether it was in another state.
    pub async fn set_state(&self, id: Uuid, state: &str, why: Option<&str>) -> Result<bool, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let set = "UPDATE campaigns SET state = $2, why = $3, ended_at = CASE WHEN $2 IN ('stopped', 'finished') THEN now() END
            WHERE campaign_id = $1 AND state <> $2 AND state <> 'finished'";
        let set = query(set).persistent(false).bind(id).bind(state).bind(why);
        let answer = self.database.in_time(set.execute(&mut *connection)).await;
        Ok(self.database.conclude(connection, answer).await?.rows_affected() > 0)
    }

    /// From now on it stops after so many flips.
    pub async fn set_stop_after_flips(&self, id: Uuid, flips: u32) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let set = query("UPDATE campaigns SET stop_after_flips = $2 WHERE campaign_id = $1").persistent(false);
        let set = set.bind(id).bind(i64::from(flips));
        let answer = self.database.in_time(set.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    /// Ends it for good: what has no result is free for other campaigns. Whether it had not ended before.
    pub async fn end(&self, id: Uuid, why: &str) -> Result<bool, DatabaseError> {
        let ended = self.set_state(id, "finished", Some(why)).await?;
        let mut connection = self.database.connection().await?;
        let free = "DELETE FROM campaign_items AS i USING campaigns AS c
            WHERE i.campaign_id = $1 AND c.campaign_id = $1 AND c.state = 'finished' AND i.result IS NULL";
        let work = async {
            let mut transaction = without_limit(&mut connection).await?;
            query(free).persistent(false).bind(id).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        let answer = work.await;
        self.database.conclude(connection, answer).await?;
        Ok(ended)
    }

    pub(crate) async fn settle(&self, id: Uuid) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let settle = query(SETTLE).persistent(false).bind(id);
        let answer = self.database.in_time(settle.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    pub(crate) async fn next(&self, campaign: &Campaign, most: u32) -> Result<Vec<Item>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query(NEXT).persistent(false).bind(campaign.id).bind(campaign.submitted).bind(i64::from(most));
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        let rows = self.database.conclude(connection, answer).await?;
        let items = rows.iter().map(item).collect::<Result<Vec<_>, _>>().map_err(|error| self.database.error(error))?;
        let before: Vec<SubmissionKey> = items.iter().map(|(_, before, _)| before.clone()).collect();
        let found = ledger::postgres::Postgres::on(&self.database).find(&before).await?;
        let items = items.into_iter().zip(found).map(|((place, _, key), found)| Item {
            place,
            request: found.standing.and_then(|before| request(key, before)),
        });
        Ok(items.collect())
    }

    /// Everything up to this place is submitted; of these the verdict is gone.
    pub(crate) async fn advance(&self, id: Uuid, place: i64, gone: &[i64]) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let work = async {
            let mut transaction = connection.begin().await?;
            if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
                let forget = query(FORGET_ERASED).persistent(false).bind(id).bind(first - 1).bind(*last);
                forget.execute(&mut *transaction).await?;
            }
            let missing = "UPDATE campaign_items SET result = 'failed' WHERE campaign_id = $1 AND place = ANY($2)";
            query(missing).persistent(false).bind(id).bind(gone).execute(&mut *transaction).await?;
            let advance = "UPDATE campaigns SET submitted = greatest(submitted, $2) WHERE campaign_id = $1";
            query(advance).persistent(false).bind(id).bind(place).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        let answer = self.database.in_time(work).await;
        self.database.conclude(connection, answer).await
    }

    /// What became of the decisions, in groups.
    pub async fn changes(&self, id: Uuid, by: By) -> Result<Changes, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let work = async {
            let mut transaction = without_limit(&mut connection).await?;
            let rows = query(by.statement()).persistent(false).bind(id).fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            rows.iter().map(group).collect::<Result<Vec<_>, _>>()
        };
        let answer = work.await;
        Ok(Changes(self.database.conclude(connection, answer).await?))
    }

    async fn refuse_while_moving(&self) -> Result<(), DatabaseError> {
        if ledger::postgres::Postgres::on(&self.database).moved().await? == Moved::All {
            return Ok(());
        }
        let detail = "what was recorded before the ledger had partitions is not moved yet, so it is not known which verdicts are in \
                      force; run `assay migrate` first";
        Err(DatabaseError::Hindered { detail: detail.into(), cause: None })
    }
}

async fn without_limit(connection: &mut PgConnection) -> Result<Transaction<'_, sqlx::Postgres>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    query(NO_LIMIT).persistent(false).execute(&mut *transaction).await?;
    Ok(transaction)
}

fn campaign(row: &PgRow) -> Result<Campaign, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let selection =
        serde_json::from_str(row.try_get("selection")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Campaign {
        id: row.try_get("campaign_id")?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        selection,
        model: row.try_get("model_version")?,
        state: row.try_get("state")?,
        why: row.try_get("why")?,
        items: count("items")?,
        last_place: row.try_get("last_place")?,
        submitted: row.try_get("submitted")?,
        stop_after_flips: row.try_get::<Option<i64>, _>("stop_after_flips")?.map(i64::unsigned_abs),
        created_at: row.try_get("created_at")?,
        ended_at: row.try_get("ended_at")?,
        awaited: count("awaited")?,
        flips: count("flips")?,
    })
}

/// Its place, the verdict in force, and what is to come.
fn item(row: &PgRow) -> Result<(i64, SubmissionKey, SubmissionKey), sqlx::Error> {
    let generation = |column: &str| {
        let generation: i64 = row.try_get(column)?;
        u32::try_from(generation).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let (tenant, submission_id) = (row.try_get("tenant")?, row.try_get("submission_id")?);
    let before = SubmissionKey { tenant, submission_id, generation: generation("before")? };
    let key = SubmissionKey { generation: generation("generation")?, ..before.clone() };
    Ok((row.try_get("place")?, before, key))
}

/// The next generation of a verdict: the same bytes, as far as they can be named.
fn request(key: SubmissionKey, before: Outcome) -> Option<Request> {
    let Outcome::Verdict(verdict) = before else { return None };
    let context = Context { message_id: Some(OutcomeId::of(&key).to_string()), ..Context::default() };
    let image = ImageRef { sha256: Some(verdict.image.sha256.clone()), ..verdict.image.reference() };
    Some(Request { key, image, deadline: None, purpose: Purpose::Reverdict, metadata: verdict.metadata, context })
}

fn group(row: &PgRow) -> Result<Group, sqlx::Error> {
    Ok(Group {
        name: row.try_get("name")?,
        before: row.try_get("decision")?,
        after: row.try_get("result")?,
        items: row.try_get::<i64, _>("items")?.unsigned_abs(),
    })
}
