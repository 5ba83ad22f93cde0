//! Numbers, from what was reviewed.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::{COLUMNS, Row, vote};
use super::store::{Postgres, ask};
use crate::caller::Caller;
use crate::numbers::{AuditItem, AuditReview, Estimate, Mark, PairAgreement, accuracy, agreement, audit_numbers};
use crate::resolution::Step;
use crate::views::{Flow, Gauges, ItemState, Numbers, ReviewerNumbers};
use crate::vote::{Answer, ReviewGround, Vote};
use database::{DatabaseError, query, query_scalar};

/// The tenants that may be asked for, or the one that is.
const TENANTS: &str = "SELECT DISTINCT tenant FROM review_items WHERE may($1, $2, tenant) ORDER BY tenant";

const FLOW: &str = "SELECT
    count(*) FILTER (WHERE state = 'open') AS waiting,
    extract(epoch FROM clock_timestamp() - min(arrived_at) FILTER (WHERE state = 'open'))::bigint AS oldest,
    count(*) FILTER (WHERE resolved_at >= $2) AS reviewed,
    count(*) FILTER (WHERE closed_at >= $2 AND NOT closed_why IN ('superseded', 'appealed')) AS not_reviewed
FROM review_items
WHERE tenant = ANY($1) AND kind <> 'golden' AND (state = 'open' OR resolved_at >= $2 OR closed_at >= $2)";

const PACE: &str =
    "SELECT count(*)::float8 / nullif(count(DISTINCT (r.person, date_trunc('hour', r.cast_at))), 0) AS pace
FROM reviews AS r JOIN review_items AS i USING (item_id) JOIN review_marks AS m USING (vote_id)
WHERE i.tenant = ANY($1) AND r.cast_at >= $2 AND m.mark = 'counted'";

const PEOPLE: &str = "SELECT r.pseudonym,
    count(*) FILTER (WHERE m.mark = 'counted') AS votes, count(*) FILTER (WHERE m.mark = 'undone') AS undone,
    count(*) FILTER (WHERE m.mark = 'counted')::float8
        / nullif(count(DISTINCT date_trunc('hour', r.cast_at)) FILTER (WHERE m.mark = 'counted'), 0) AS pace
FROM reviews AS r JOIN review_items AS i USING (item_id) JOIN review_marks AS m USING (vote_id)
WHERE i.tenant = ANY($1) AND r.cast_at >= $2 GROUP BY r.pseudonym ORDER BY r.pseudonym";

impl Postgres {
    /// Of one tenant, or of all that this person may ask for; about people only where they lead.
    pub async fn numbers(
        &self,
        caller: &Caller,
        tenant: Option<&str>,
        since: OffsetDateTime,
    ) -> Result<Numbers, DatabaseError> {
        ask!(self, connection => numbers(&mut connection, caller, tenant, since))
    }

    /// For a monitoring system: without tenants and without people.
    pub async fn gauges(&self) -> Result<Gauges, DatabaseError> {
        ask!(self, connection => gauges(&mut connection))
    }
}

async fn numbers(
    connection: &mut PgConnection,
    caller: &Caller,
    tenant: Option<&str>,
    since: OffsetDateTime,
) -> Result<Numbers, sqlx::Error> {
    let mut of_role = Vec::new();
    for role in [1_i16, 3] {
        let asked = query_scalar(TENANTS).persistent(false).bind(caller.access).bind(role);
        let tenants: Vec<String> = asked.fetch_all(&mut *connection).await?;
        of_role.push(tenants);
    }
    let asked = |tenants: &[String]| -> Vec<String> {
        tenants.iter().filter(|own| tenant.is_none_or(|tenant| tenant == own.as_str())).cloned().collect()
    };
    let (sees, leads) = (asked(&of_role[0]), asked(&of_role[1]));
    let mut numbers = Numbers { flow: flow(connection, &sees, since).await?, ..Numbers::default() };
    numbers.audit = audit_numbers(&audited(connection, Some(&sees), since).await?);
    numbers.tenants = of_role.swap_remove(0);
    if !leads.is_empty() {
        about_people(connection, &leads, since, &mut numbers).await?;
    }
    Ok(numbers)
}

async fn flow(connection: &mut PgConnection, tenants: &[String], since: OffsetDateTime) -> Result<Flow, sqlx::Error> {
    let row = query(FLOW).persistent(false).bind(tenants).bind(since).fetch_one(&mut *connection).await?;
    let pace = query_scalar(PACE).persistent(false).bind(tenants).bind(since).fetch_one(connection).await?;
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let oldest: Option<i64> = row.try_get("oldest")?;
    Ok(Flow {
        waiting: count("waiting")?,
        oldest_s: oldest.map(|oldest| oldest.max(0).unsigned_abs()),
        reviewed: count("reviewed")?,
        not_reviewed: count("not_reviewed")?,
        per_hour: pace,
    })
}

/// The audit sample; of all tenants where none are given.
async fn audited(
    connection: &mut PgConnection,
    tenants: Option<&[String]>,
    since: OffsetDateTime,
) -> Result<Vec<AuditItem>, sqlx::Error> {
    let asked = format!(
        "SELECT {COLUMNS}, i.resolution::text AS step FROM review_items AS i
         WHERE i.audit_stratum IS NOT NULL AND i.kind = 'review' AND i.decided_at >= $2 AND ($3::text[] IS NULL OR i.tenant = ANY($3))"
    );
    let rows = query(AssertSqlSafe(asked))
        .persistent(false)
        .bind(Uuid::nil())
        .bind(since)
        .bind(tenants)
        .fetch_all(connection)
        .await?;
    let items = rows.iter().map(|found| {
        let row = Row::of(found)?;
        let Some(drawn) = row.item.audit else { return Ok(None) };
        let step = found.try_get::<Option<&str>, _>("step")?.map(serde_json::from_str::<Step>);
        let step = step.transpose().map_err(|error| sqlx::Error::Decode(error.into()))?;
        let review = match (row.state, step) {
            (ItemState::Open, _) => AuditReview::Waiting,
            (ItemState::Done, Some(Step::Resolved(resolution))) => AuditReview::Answered(match resolution.answer {
                domain::LabelledOrigin::Real => Answer::Real,
                domain::LabelledOrigin::Synthetic => Answer::Synthetic,
            }),
            (ItemState::Done, _) => AuditReview::Answered(Answer::CannotTell),
            (ItemState::Closed, _) => AuditReview::NotReviewed,
        };
        let (model_version, decided_at) = (row.model_version, row.decided_at);
        Ok(Some(AuditItem { model_version, decided_at, drawn, synthetic: found.try_get("synthetic")?, review }))
    });
    items.filter_map(Result::transpose).collect()
}

async fn about_people(
    connection: &mut PgConnection,
    tenants: &[String],
    since: OffsetDateTime,
    numbers: &mut Numbers,
) -> Result<(), sqlx::Error> {
    let asked = format!(
        "SELECT {COLUMNS} FROM review_items AS i WHERE i.tenant = ANY($2) AND EXISTS (
             SELECT FROM reviews AS r JOIN review_marks AS m USING (vote_id)
             WHERE r.item_id = i.item_id AND r.cast_at >= $3 AND m.mark = 'counted')"
    );
    let asked = query(AssertSqlSafe(asked)).persistent(false).bind(Uuid::nil()).bind(tenants).bind(since);
    let rows = asked.fetch_all(&mut *connection).await?;
    let items: Vec<Row> = rows.iter().map(Row::of).collect::<Result<_, _>>()?;
    let asked = "SELECT r.* FROM reviews AS r JOIN review_marks AS m USING (vote_id)
        WHERE r.item_id = ANY($1) AND m.mark = 'counted' ORDER BY r.number";
    let ids: Vec<Uuid> = items.iter().map(|row| row.id.0).collect();
    let mut votes: BTreeMap<Uuid, Vec<Vote>> = BTreeMap::new();
    for row in query(asked).persistent(false).bind(ids).fetch_all(&mut *connection).await? {
        votes.entry(row.try_get("item_id")?).or_default().push(vote(&row)?);
    }
    let of = |row: &Row| votes.get(&row.id.0).map(Vec::as_slice).unwrap_or_default();
    let pairs = agreement(items.iter().map(of));
    let marks: Vec<Mark> = items.iter().flat_map(|row| Mark::of(&row.item, of(row))).collect();
    let right = accuracy(&marks);
    let people = query(PEOPLE).persistent(false).bind(tenants).bind(since).fetch_all(connection).await?;
    let person = |row: &PgRow| {
        let name: String = row.try_get("pseudonym")?;
        let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        Ok(ReviewerNumbers {
            votes: count("votes")?,
            per_hour: row.try_get("pace")?,
            accuracy: right.iter().find(|one| one.reviewer == name).cloned(),
            kappa: kappa(&pairs, &name),
            by_eye: by_eye(votes.values().flatten().filter(|vote| vote.reviewer == name)),
            undone: count("undone")?,
            name,
        })
    };
    numbers.reviewers = Some(people.iter().map(person).collect::<Result<_, sqlx::Error>>()?);
    numbers.agreement = Some(same(&pairs));
    numbers.pairs = Some(pairs);
    Ok(())
}

/// How often two people give the same answer, over all pairs.
fn same(pairs: &[PairAgreement]) -> Estimate {
    let items = pairs.iter().map(|pair| pair.same.items).sum();
    let hits: f64 = pairs.iter().map(|pair| pair.same.value.unwrap_or_default() * pair.same.items as f64).sum();
    Estimate::counted(hits.round() as u64, items)
}

fn kappa(pairs: &[PairAgreement], name: &str) -> Option<f64> {
    let own = pairs.iter().filter(|pair| pair.reviewers.iter().any(|reviewer| reviewer == name));
    let known = own.filter_map(|pair| Some((pair.kappa.value?, pair.kappa.items as f64)));
    let (sum, items) = known.fold((0.0, 0.0), |(sum, all), (kappa, items)| (sum + kappa * items, all + items));
    (items > 0.0).then(|| sum / items)
}

fn by_eye<'a>(votes: impl Iterator<Item = &'a Vote>) -> Option<f64> {
    let grounds: Vec<ReviewGround> = votes.filter_map(|vote| vote.ground).collect();
    let eye = grounds.iter().filter(|ground| **ground == ReviewGround::ByEye).count();
    (!grounds.is_empty()).then(|| eye as f64 / grounds.len() as f64)
}

async fn gauges(connection: &mut PgConnection) -> Result<Gauges, sqlx::Error> {
    let asked =
        "SELECT source, count(*) AS open, extract(epoch FROM clock_timestamp() - min(arrived_at))::bigint AS oldest
        FROM review_items WHERE state = 'open' AND kind <> 'golden' GROUP BY source";
    let mut gauges = Gauges::default();
    for row in query(asked).persistent(false).fetch_all(&mut *connection).await? {
        let source: String = row.try_get("source")?;
        gauges.oldest_s.insert(source.clone(), row.try_get::<i64, _>("oldest")?.max(0).unsigned_abs());
        gauges.backlog.insert(source, row.try_get::<i64, _>("open")?.unsigned_abs());
    }
    let asked = "SELECT count(*) FILTER (WHERE state = 'done') AS reviewed,
            count(*) FILTER (WHERE state = 'closed' AND closed_why NOT IN ('superseded', 'appealed')) AS not_reviewed,
            (SELECT count(*) FROM review_outbox WHERE sent_at IS NULL) AS unsent
        FROM review_items WHERE kind <> 'golden' AND state <> 'open'";
    let row = query(asked).persistent(false).fetch_one(&mut *connection).await?;
    gauges.reviewed = row.try_get::<i64, _>("reviewed")?.unsigned_abs();
    gauges.not_reviewed = row.try_get::<i64, _>("not_reviewed")?.unsigned_abs();
    gauges.unsent = row.try_get::<i64, _>("unsent")?.unsigned_abs();
    let now: OffsetDateTime = query_scalar("SELECT now()").persistent(false).fetch_one(&mut *connection).await?;
    let mut items = audited(connection, None, now - time::Duration::weeks(4)).await?;
    let Some(latest) = items.iter().max_by_key(|item| item.decided_at).map(|item| item.model_version.clone()) else {
        return Ok(gauges);
    };
    items.retain(|item| item.model_version == latest);
    // As one week, so that there is one figure.
    items.iter_mut().for_each(|item| item.decided_at = now);
    if let Some(found) = audit_numbers(&items).pop() {
        (gauges.precision, gauges.misses) = (found.precision, found.misses);
    }
    gauges.model_version = Some(latest);
    Ok(gauges)
}
