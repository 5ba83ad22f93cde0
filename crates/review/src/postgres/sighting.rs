//! What is open to somebody to review blind, and what they have seen instead.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::store::{Postgres, ask};
use crate::caller::Caller;
use database::{DatabaseError, query, query_scalar};

/// As [`sight`](crate::sight()) has it, of `review_items AS i`: an expression of the role, and a parameter with the person.
pub(super) fn is_blind(role: &str, person: &str) -> String {
    format!(
        "(i.state = 'open' AND {role} >= 2
            AND NOT EXISTS (
                SELECT FROM reviews AS r JOIN review_marks AS m USING (vote_id)
                WHERE r.item_id = i.item_id AND r.person = {person} AND m.mark = 'counted'
            )
            AND NOT EXISTS (SELECT FROM review_skips AS s WHERE s.item_id = i.item_id AND s.person = {person})
            AND NOT EXISTS (SELECT FROM review_bars AS b WHERE b.item_id = i.item_id AND b.person = {person} AND b.why = 'reviewed')
            AND (i.audit_stratum IS NOT NULL OR i.source = 'audit' OR i.kind = 'golden' OR (
                SELECT CASE count(*) WHEN 0 THEN false WHEN 1 THEN true ELSE {role} < 3 END
                FROM reviews AS r JOIN review_marks AS m USING (vote_id) WHERE r.item_id = i.item_id AND m.mark = 'counted'
            )))"
    )
}

impl Postgres {
    /// Whether a blind review of a submission is open to this person. Where none is, they are taken to have seen everything, and give
    /// no blind vote on it later.
    pub async fn open_blind(&self, caller: &Caller, tenant: &str, submission: &str) -> Result<bool, DatabaseError> {
        ask!(self, connection => async {
            let mut transaction = connection.begin().await?;
            let is_open = is_open(&mut transaction, caller, tenant, submission).await?;
            if !is_open {
                seen(&mut transaction, caller, &[tenant], &[submission]).await?;
            }
            transaction.commit().await?;
            Ok(is_open)
        })
    }
}

pub(super) async fn is_open(
    connection: &mut PgConnection,
    caller: &Caller,
    tenant: &str,
    submission: &str,
) -> Result<bool, sqlx::Error> {
    let blind = is_blind("role_in($1, i.tenant)", "$2");
    let asked = format!(
        "SELECT EXISTS (SELECT FROM review_items AS i WHERE i.tenant = $3 AND i.submission_id = $4 AND i.state = 'open' AND {blind})"
    );
    let asked = query_scalar(AssertSqlSafe(asked)).bind(caller.access).bind(&caller.person);
    asked.bind(tenant).bind(submission).fetch_one(connection).await
}

/// Notes that somebody saw scores and votes of submissions on which a blind vote may be wanted later.
pub(super) async fn seen(
    connection: &mut PgConnection,
    caller: &Caller,
    tenants: &[&str],
    submissions: &[&str],
) -> Result<(), sqlx::Error> {
    let note = "INSERT INTO review_bars (item_id, person, why)
        SELECT i.item_id, $2, 'saw' FROM review_items AS i
        JOIN unnest($3::text[], $4::text[]) AS g (tenant, submission_id) USING (tenant, submission_id)
        WHERE i.state = 'open' AND i.scrutiny = 'double' AND may($1, 2::smallint, i.tenant)
        ON CONFLICT DO NOTHING";
    let note = query(note).bind(caller.access).bind(&caller.person).bind(tenants).bind(submissions);
    note.execute(connection).await.map(drop)
}
