//! The page of the queue, and the list of the command line.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::budget;
use super::claiming::would_find;
use super::row::{COLUMNS, Row, counted, dealings, generation};
use super::sighting::is_blind;
use super::store::{Postgres, ask};
use crate::admission::Sight;
use crate::caller::Caller;
use crate::settings::ReviewSettings;
use crate::source::share_out;
use crate::views::{HeldItem, ItemKind, ItemState, ListFilter, ListedItem, QueueState, SourceWaiting, TenantBudget};
use database::{DatabaseError, query, query_scalar};

const MOST_LISTED: u32 = 1000;

const WAITING: &str = "WITH rights AS MATERIALIZED (SELECT tenants_of($1, 1::smallint) AS sees)
SELECT i.tenant, i.source,
    count(*) FILTER (WHERE NOT taken) AS waiting, count(*) FILTER (WHERE taken) AS claimed,
    extract(epoch FROM clock_timestamp() - min(i.arrived_at) FILTER (WHERE NOT taken))::bigint AS oldest
FROM review_items AS i CROSS JOIN rights
CROSS JOIN LATERAL (SELECT i.pending IS NOT NULL OR coalesce(i.lease_until > clock_timestamp(), false) AS taken) AS t
WHERE i.state = 'open' AND i.kind <> 'golden' AND (i.tenant = ANY(rights.sees) OR '*' = ANY(rights.sees))
GROUP BY i.tenant, i.source, i.priority ORDER BY i.priority, i.source, i.tenant";

const NOT_REVIEWED: &str = "SELECT tenant, count(*) AS count FROM review_items
WHERE closed_why = 'not_reviewed' AND closed_at > now() - make_interval(days => $2) AND may($1, 1::smallint, tenant)
GROUP BY tenant";

const MINE: &str = "SELECT count(*) FROM reviews AS r
WHERE r.person = $1 AND r.cast_at >= date_trunc('day', now(), 'UTC')
    AND NOT EXISTS (SELECT FROM review_marks AS m WHERE m.vote_id = r.vote_id AND m.mark = 'undone')";

impl Postgres {
    /// All that the page of the queue shows.
    pub async fn queue(&self, caller: &Caller) -> Result<QueueState, DatabaseError> {
        ask!(self, connection => state(&mut connection, &self.settings, caller))
    }

    /// What this person holds for later, and what is assigned to them.
    pub async fn held(&self, caller: &Caller) -> Result<Vec<HeldItem>, DatabaseError> {
        ask!(self, connection => held(&mut connection, caller))
    }

    /// Items in the order of the queue.
    pub async fn list(&self, caller: &Caller, filter: &ListFilter) -> Result<Vec<ListedItem>, DatabaseError> {
        let blind = is_blind("role_in($1, i.tenant)", "$2");
        let asked = format!(
            "SELECT {COLUMNS}, {blind} AS blind FROM review_items AS i
             WHERE may($1, 1::smallint, i.tenant) AND i.kind <> 'golden' AND ($3::text IS NULL OR i.tenant = $3)
                 AND ($4::text IS NULL OR i.source = $4) AND ($5::text IS NULL OR i.state = $5)
             ORDER BY i.state <> 'open', i.priority, i.audit_rank NULLS FIRST, i.arrived_at, i.item_id LIMIT $6"
        );
        let asked = query(AssertSqlSafe(asked)).persistent(false).bind(caller.access).bind(&caller.person);
        let asked = asked.bind(filter.tenant.as_deref()).bind(filter.source.map(|source| source.as_str()));
        let asked = asked.bind(filter.state.map(ItemState::as_str)).bind(i64::from(filter.most.min(MOST_LISTED)));
        let rows = ask!(self, connection => asked.fetch_all(&mut *connection))?;
        rows.iter().map(listed).collect::<Result<_, _>>().map_err(|error| self.database.error(error))
    }
}

async fn state(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
) -> Result<QueueState, sqlx::Error> {
    let rows = query(WAITING).persistent(false).bind(caller.access).fetch_all(&mut *connection).await?;
    let sources: Vec<SourceWaiting> = rows.iter().map(waiting).collect::<Result<_, _>>()?;
    let budgets = budgets(connection, settings, caller, &sources).await?;
    let mine: i64 = query_scalar(MINE).bind(&caller.person).fetch_one(&mut *connection).await?;
    let all = sources.iter().map(|source| source.waiting).sum();
    Ok(QueueState {
        waiting: all,
        oldest_s: sources.iter().filter_map(|source| source.oldest_s).max(),
        reviewed_by_me: mine.unsigned_abs(),
        why_none: why_none(connection, settings, caller, all).await?,
        budgets,
        held: held(connection, caller).await?,
        sources_waiting: sources,
    })
}

fn waiting(row: &PgRow) -> Result<SourceWaiting, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let oldest: Option<i64> = row.try_get("oldest")?;
    Ok(SourceWaiting {
        source: row.try_get("source")?,
        tenant: row.try_get("tenant")?,
        waiting: count("waiting")?,
        claimed: count("claimed")?,
        oldest_s: oldest.map(|oldest| oldest.max(0).unsigned_abs()),
    })
}

async fn budgets(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    sources: &[SourceWaiting],
) -> Result<Vec<TenantBudget>, sqlx::Error> {
    let days = i32::try_from(settings.wait_days).unwrap_or(i32::MAX);
    let mut closed: BTreeMap<String, u64> = BTreeMap::new();
    let rows = query(NOT_REVIEWED).persistent(false).bind(caller.access).bind(days).fetch_all(&mut *connection).await?;
    for row in rows {
        closed.insert(row.try_get("tenant")?, row.try_get::<i64, _>("count")?.unsigned_abs());
    }
    let arrivals = budget::arrivals(connection).await?;
    let begun: Vec<String> =
        query_scalar("SELECT tenant FROM unnest($2::text[]) AS tenant WHERE may($1, 1::smallint, tenant)")
            .bind(caller.access)
            .bind(arrivals.keys().collect::<Vec<_>>())
            .fetch_all(&mut *connection)
            .await?;
    let mut tenants: Vec<&str> = sources.iter().map(|source| source.tenant.as_str()).collect();
    tenants.extend(closed.keys().map(String::as_str));
    tenants.extend(begun.iter().map(String::as_str));
    tenants.sort_unstable();
    tenants.dedup();
    let budget = |tenant: &str| {
        let arrivals = arrivals.get(tenant).map(Vec::as_slice).unwrap_or_default();
        let reviewed = arrivals.iter().map(|arrival| arrival.begun).sum();
        let per_day = settings.per_day(tenant);
        let no_room = per_day
            .map_or(0, |per_day| share_out(per_day, arrivals).iter().map(|intake| intake.not_reviewed).sum::<u64>());
        TenantBudget {
            tenant: tenant.into(),
            per_day,
            reviewed,
            left: per_day.map(|per_day| per_day.saturating_sub(reviewed)),
            not_reviewed: closed.get(tenant).copied().unwrap_or_default() + no_room,
        }
    };
    Ok(tenants.into_iter().map(budget).collect())
}

async fn why_none(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
    caller: &Caller,
    waiting: u64,
) -> Result<Option<String>, sqlx::Error> {
    let reviews: Vec<String> = query_scalar("SELECT unnest(tenants_of($1, 2::smallint))")
        .bind(caller.access)
        .fetch_all(&mut *connection)
        .await?;
    if reviews.is_empty() {
        return Ok(Some("Your role looks and does not vote: ask an admin for the role of a reviewer.".into()));
    }
    let mut transaction = connection.begin().await?;
    let blocked = budget::blocked(&mut transaction, settings).await?;
    let is_found = would_find(&mut transaction, caller, &blocked).await?;
    transaction.rollback().await?;
    let why = match (is_found, waiting, blocked.is_empty()) {
        (true, ..) => return Ok(None),
        (_, 0, _) => "Nothing waits.",
        (_, _, true) => "What waits now is with others, or you have voted on it or skipped it.",
        (_, _, false) => {
            "Today’s budget of your tenants is spent. What is left is counted as not reviewed; tomorrow there is a new budget."
        }
    };
    Ok(Some(why.into()))
}

async fn held(connection: &mut PgConnection, caller: &Caller) -> Result<Vec<HeldItem>, sqlx::Error> {
    let asked = format!(
        "SELECT {COLUMNS}, coalesce(i.held_at, i.assigned_at, i.arrived_at) AS since, i.held_comment FROM review_items AS i
         WHERE i.state = 'open' AND i.pending IS NULL AND ((i.holder = $2 AND i.is_held) OR i.assigned_to = $2)
             AND may($1, 2::smallint, i.tenant) ORDER BY since, i.item_id LIMIT 100"
    );
    let rows = query(AssertSqlSafe(asked)).bind(caller.access).bind(&caller.person).fetch_all(&mut *connection).await?;
    let mut held = Vec::new();
    for row in rows {
        let (found, own): (Row, Option<String>) = (Row::of(&row)?, row.try_get("held_comment")?);
        let votes = counted(connection, found.id).await?;
        let sight = found.sight(dealings(connection, found.id, &caller.person).await?, &votes);
        held.push(HeldItem {
            id: found.id,
            is_appeal: found.kind == ItemKind::Appeal,
            submission_id: found.submission_id.clone(),
            source: found.shown_source(!votes.is_empty(), sight),
            assigned_by: found.assigned_by.clone().filter(|_| found.assigned_to.is_some()),
            since: row.try_get("since")?,
            comment: own.or_else(|| found.because.clone().filter(|_| sight == Sight::Open)),
        });
    }
    Ok(held)
}

fn listed(row: &PgRow) -> Result<ListedItem, sqlx::Error> {
    let (found, blind): (Row, bool) = (Row::of(row)?, row.try_get("blind")?);
    let sight = if blind { Sight::Blind } else { Sight::Open };
    Ok(ListedItem {
        id: found.id,
        is_appeal: found.kind == ItemKind::Appeal,
        tenant: found.tenant.clone(),
        submission_id: found.submission_id.clone(),
        outcome: found.item.outcome,
        generation: generation(found.generation),
        source: found.shown_source(false, sight),
        decision: (!blind).then_some(found.item.decision),
        state: found.state,
        closed_why: found.closed_why.clone(),
        claimed: found.pending.is_some() || found.lease_until.is_some_and(|until| until > found.now),
        arrived_at: found.arrived_at,
    })
}
