//! Campaigns in PostgreSQL.

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Acquire, AssertSqlSafe, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::report::{By, Changes, Group};
use crate::selection::Selection;
use database::{Database, DatabaseError, query, query_scalar};
use domain::{Context, Decision, ImageRef, LabelledOrigin, Outcome, OutcomeId, Purpose, Request, SubmissionKey};
use ledger::Ledger;

/// Of the verdicts in force those that a selection chooses ($1 to $9) and that the model $10 has not judged. Without its document a
/// verdict can't be judged again: nothing says which version of the object it was, nor what the platform gave with it.
const SELECTED: &str = "
FROM verdicts AS v
WHERE ($1::timestamptz IS NULL OR v.recorded_at >= $1) AND ($2::timestamptz IS NULL OR v.recorded_at < $2)
    AND ($3::text IS NULL OR v.tenant = $3) AND ($4::text IS NULL OR v.model_version = $4)
    AND ($5::text IS NULL OR v.decision = $5) AND ($6::real IS NULL OR v.synthetic >= $6)
    AND ($7::real IS NULL OR v.synthetic <= $7) AND ($8::text IS NULL OR v.generator = $8)
    AND ($9::text IS NULL OR EXISTS (
        SELECT FROM labels_in_force AS l WHERE l.sha256 = encode(v.image_sha256, 'hex') AND l.origin = $9
    ))
    AND v.model_version <> $10 AND v.remainder IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM outcomes AS later
        WHERE later.tenant = v.tenant AND later.submission_id = v.submission_id AND later.generation > v.generation
            AND later.kind = 0
    )";

/// PostgreSQL finds nothing in JSON with an escaped NUL.
const READABLE: &str = "strpos(v.remainder::text, '\\u0000') = 0";

/// What the workers have needed for an image lately, in seconds of a device.
const SECONDS: &str = "
SELECT avg((v.remainder->'timing_ms'->>'infer')::float8 / greatest((v.remainder->>'batch_size')::float8, 1)) / 1000
FROM (
    SELECT remainder FROM verdicts
    WHERE recorded_at > now() - interval '7 days' AND reused_from IS NULL AND remainder IS NOT NULL
    ORDER BY recorded_at DESC LIMIT 1000
) AS v WHERE strpos(v.remainder::text, '\\u0000') = 0";

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
UPDATE campaign_items AS i SET result = CASE o.kind WHEN 0 THEN v.decision ELSE 'failed' END
FROM outcomes AS o LEFT JOIN verdicts AS v ON v.recorded_at = o.recorded_at AND v.verdict_id = o.outcome_id AND o.kind = 0
WHERE i.campaign_id = $1 AND i.result IS NULL AND i.place <= $2
    AND (o.tenant, o.submission_id, o.generation) = (i.tenant, i.submission_id, i.generation)
    AND (o.kind = 1 OR v.decision IS NOT NULL)
RETURNING i.result <> 'failed' AND i.result <> i.decision AS flipped
)
UPDATE campaigns SET flips = flips + (SELECT count(*) FILTER (WHERE flipped) FROM settled)
WHERE campaign_id = $1 AND EXISTS (SELECT FROM settled)";

const NEXT: &str = "
SELECT place, tenant, submission_id, generation, verdict_id FROM campaign_items
WHERE campaign_id = $1 AND place > $2 ORDER BY place LIMIT $3";

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
        let mut connection = self.database.connection().await?;
        // Without our own limit on time: all that was selected is looked at.
        let answer = cost(&mut connection, selection, model).await;
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
        let mut connection = self.database.connection().await?;
        let work = async {
            let id = Uuid::new_v4();
            let text = serde_json::to_string(selection).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let mut transaction = connection.begin().await?;
            let create = query(CREATE).persistent(false).bind(id).bind(actor).bind(reason).bind(text).bind(model);
            create.bind(stop_after_flips.map(i64::from)).execute(&mut *transaction).await?;
            let items = items();
            selected(&items, selection, model).bind(id).execute(&mut *transaction).await?;
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

    /// Ends it for good: what is not submitted is free for other campaigns. Whether it had not ended before.
    pub async fn end(&self, id: Uuid, why: &str) -> Result<bool, DatabaseError> {
        let ended = self.set_state(id, "finished", Some(why)).await?;
        let mut connection = self.database.connection().await?;
        let free = "DELETE FROM campaign_items AS i USING campaigns AS c
            WHERE i.campaign_id = $1 AND c.campaign_id = $1 AND c.state = 'finished' AND i.place > c.submitted";
        // Without our own limit on time: there may be millions.
        let answer = query(free).persistent(false).bind(id).execute(&mut *connection).await;
        self.database.conclude(connection, answer).await?;
        Ok(ended)
    }

    pub(crate) async fn settle(&self, campaign: &Campaign) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let settle = query(SETTLE).persistent(false).bind(campaign.id).bind(campaign.submitted);
        let answer = self.database.in_time(settle.execute(&mut *connection)).await;
        self.database.conclude(connection, answer).await.map(drop)
    }

    pub(crate) async fn next(&self, campaign: &Campaign, most: u32) -> Result<Vec<Item>, DatabaseError> {
        let mut connection = self.database.connection().await?;
        let asked = query(NEXT).persistent(false).bind(campaign.id).bind(campaign.submitted).bind(i64::from(most));
        let answer = self.database.in_time(asked.fetch_all(&mut *connection)).await;
        let rows = self.database.conclude(connection, answer).await?;
        let ledger = ledger::postgres::Postgres::on(&self.database);
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let (place, key, id) = item(row).map_err(|error| self.database.error(error))?;
            let before = ledger.outcome(id).await?;
            items.push(Item { place, request: before.and_then(|outcome| request(key, outcome)) });
        }
        Ok(items)
    }

    /// Everything up to this place is submitted; of these the verdict is gone.
    pub(crate) async fn advance(&self, id: Uuid, place: i64, gone: &[i64]) -> Result<(), DatabaseError> {
        let mut connection = self.database.connection().await?;
        let work = async {
            let mut transaction = connection.begin().await?;
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
        let asked = query(by.statement()).persistent(false).bind(id);
        let answer = asked.fetch_all(&mut *connection).await;
        let rows = answer.and_then(|rows| rows.iter().map(group).collect::<Result<Vec<_>, _>>());
        Ok(Changes(self.database.conclude(connection, rows).await?))
    }
}

/// What lies nearest a threshold comes first among what is called the same.
fn items() -> String {
    format!(
        "INSERT INTO campaign_items (place, recorded_at, generation, campaign_id, verdict_id, tenant, submission_id, decision)
         SELECT row_number() OVER (ORDER BY chosen.decision <> 'synthetic', distance, recorded_at, verdict_id), recorded_at, next, $11,
             verdict_id, tenant, submission_id, decision
         FROM (
             SELECT v.*,
                 CASE WHEN {READABLE} THEN least(
                     abs(v.synthetic - (v.remainder->'score'->>'threshold_low')::real),
                     abs(v.synthetic - (v.remainder->'score'->>'threshold_high')::real)
                 ) ELSE abs(v.synthetic - 0.5) END AS distance,
                 1 + (SELECT max(generation) FROM outcomes AS o
                      WHERE (o.tenant, o.submission_id) = (v.tenant, v.submission_id)) AS next
             {SELECTED}
         ) AS chosen
         ON CONFLICT (tenant, submission_id, generation) DO NOTHING"
    )
}

fn selected<'q>(sql: &str, selection: &'q Selection, model: &'q str) -> Query<'q, sqlx::Postgres, PgArguments> {
    let asked = query(AssertSqlSafe(sql.to_string())).persistent(false).bind(selection.since).bind(selection.until);
    let asked = asked.bind(selection.tenant.as_deref()).bind(selection.model.as_deref());
    let asked = asked.bind(selection.decision.map(Decision::as_str)).bind(selection.min_score);
    let asked = asked.bind(selection.max_score).bind(selection.generator.as_deref());
    asked.bind(selection.label.map(LabelledOrigin::as_str)).bind(model)
}

async fn cost(connection: &mut PgConnection, selection: &Selection, model: &str) -> Result<Cost, sqlx::Error> {
    let asked = format!(
        "SELECT v.decision, count(*) AS verdicts,
             sum(CASE WHEN {READABLE} THEN (v.remainder->'image'->>'bytes')::bigint ELSE 0 END)::bigint AS bytes,
             count(*) FILTER (WHERE EXISTS (
                 SELECT FROM campaign_items AS i JOIN campaigns USING (campaign_id)
                 WHERE (i.tenant, i.submission_id) = (v.tenant, v.submission_id) AND i.result IS NULL AND state <> 'finished'
             )) AS taken {SELECTED} GROUP BY v.decision ORDER BY v.decision"
    );
    let mut cost = Cost::default();
    for row in selected(&asked, selection, model).fetch_all(&mut *connection).await? {
        let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        cost.verdicts += count("verdicts")?;
        cost.bytes += count("bytes")?;
        cost.taken += count("taken")?;
        cost.by_decision.push((row.try_get("decision")?, count("verdicts")?));
    }
    cost.seconds = query_scalar(SECONDS).persistent(false).fetch_one(connection).await?;
    Ok(cost)
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

fn item(row: &PgRow) -> Result<(i64, SubmissionKey, OutcomeId), sqlx::Error> {
    let generation: i64 = row.try_get("generation")?;
    let generation = u32::try_from(generation).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let key =
        SubmissionKey { tenant: row.try_get("tenant")?, submission_id: row.try_get("submission_id")?, generation };
    Ok((row.try_get("place")?, key, OutcomeId(row.try_get("verdict_id")?)))
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
