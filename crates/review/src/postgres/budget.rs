//! What a day has room for.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use crate::settings::ReviewSettings;
use crate::source::{Arrivals, Source, share_out};
use database::query;

/// Of each tenant and source: what was begun today, and what waits.
const ARRIVALS: &str = "SELECT tenant, source,
    count(*) FILTER (WHERE begun_at >= date_trunc('day', now(), 'UTC')) AS begun,
    count(*) FILTER (WHERE begun_at IS NULL) AS waiting
FROM review_items
WHERE kind <> 'golden' AND (begun_at >= date_trunc('day', now(), 'UTC') OR (state = 'open' AND begun_at IS NULL))
GROUP BY tenant, source";

/// Where there is a budget, who looks at what is left of it does so alone.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('assay.review.budget.' || current_schema(), 0))";

/// A tenant's items of one source.
pub(super) fn place(tenant: &str, source: &str) -> String {
    format!("{tenant} {source}")
}

/// The places for which there is no room left today.
pub(super) async fn blocked(
    connection: &mut PgConnection,
    settings: &ReviewSettings,
) -> Result<Vec<String>, sqlx::Error> {
    if !settings.has_budgets() {
        return Ok(Vec::new());
    }
    query(ALONE).execute(&mut *connection).await?;
    let mut blocked = Vec::new();
    for (tenant, arrivals) in arrivals(connection).await? {
        let Some(per_day) = settings.per_day(&tenant) else { continue };
        let shares = share_out(per_day, &arrivals);
        let spent = shares.iter().filter(|intake| intake.taken == 0 && intake.not_reviewed > 0);
        blocked.extend(spent.map(|intake| place(&tenant, intake.source.as_str())));
    }
    Ok(blocked)
}

/// By tenant.
pub(super) async fn arrivals(connection: &mut PgConnection) -> Result<BTreeMap<String, Vec<Arrivals>>, sqlx::Error> {
    let mut arrivals: BTreeMap<String, Vec<Arrivals>> = BTreeMap::new();
    for row in query(ARRIVALS).fetch_all(connection).await? {
        // What a later version brought here is that version's.
        let Ok(source) = row.try_get::<&str, _>("source")?.parse::<Source>() else { continue };
        let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        let one = Arrivals { source, begun: count("begun")?, waiting: count("waiting")? };
        arrivals.entry(row.try_get("tenant")?).or_default().push(one);
    }
    Ok(arrivals)
}
