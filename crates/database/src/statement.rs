//! Statements that survive a pooler.
//!
//! A statement that is prepared under a name stays on one of the server's connections, and a pooler in transaction mode gives
//! the next transaction another one. Behind such a pooler statements have no names, and each is prepared anew.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::{Query, QueryScalar};
use sqlx::{FromRow, SqlSafeStr};

/// Of the whole process: a statement without a name is right everywhere, and only takes a little longer.
static UNNAMED: AtomicBool = AtomicBool::new(false);

pub(crate) fn forgo_names() {
    UNNAMED.store(true, Ordering::Relaxed);
}

fn named() -> bool {
    !UNNAMED.load(Ordering::Relaxed)
}

/// As sqlx's own.
pub fn query<'q>(sql: impl SqlSafeStr) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql).persistent(named())
}

/// As sqlx's own.
pub fn query_scalar<'q, O>(sql: impl SqlSafeStr) -> QueryScalar<'q, Postgres, O, PgArguments>
where
    (O,): for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_scalar(sql).persistent(named())
}
