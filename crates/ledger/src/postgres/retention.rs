//! Removing row by row what is not to be kept, a slice of time after the other.
//!
//! A slice is one transaction with the note of how far it has come: whoever is killed has removed its last slice or has not.

use time::{Duration, OffsetDateTime};

use super::Postgres;
use crate::LedgerError;
use crate::retention::{Removal, What, Whose};
use database::{query, query_scalar};

/// Rows that a slice should have at most, and the shortest and longest ones.
const ROWS: u64 = 5000;
const SHORTEST: Duration = Duration::seconds(1);
const LONGEST: Duration = Duration::days(1);

const THROUGH: &str = "SELECT through FROM ledger_retention WHERE what = $1 AND whose = $2";
const NOTE: &str = "
INSERT INTO ledger_retention (what, whose, through) VALUES ($1, $2, $3)
ON CONFLICT (what, whose) DO UPDATE SET through = excluded.through";

impl Removal {
    /// What there is that is oldest.
    fn oldest(&self) -> &'static str {
        match self.what {
            What::Keys => "SELECT min(recorded_at) FROM outcomes",
            What::VerdictDocuments | What::Verdicts => {
                "SELECT min(lower) FROM ledger_partitions WHERE parent = 'verdicts'"
            }
            What::FailureDocuments | What::Failures => {
                "SELECT min(lower) FROM ledger_partitions WHERE parent = 'failures'"
            }
        }
    }

    /// Of a slice from $1 to $2, of the tenants of $3 or of all others.
    fn statement(&self) -> &'static str {
        match self.what {
            What::VerdictDocuments => {
                "UPDATE verdicts SET remainder = NULL
                 WHERE recorded_at >= $1 AND recorded_at < $2 AND (tenant = ANY($3)) = $4 AND remainder IS NOT NULL"
            }
            What::FailureDocuments => {
                "UPDATE failures SET document = NULL
                 WHERE recorded_at >= $1 AND recorded_at < $2 AND (tenant = ANY($3)) = $4 AND document IS NOT NULL"
            }
            What::Verdicts => {
                "DELETE FROM verdicts WHERE recorded_at >= $1 AND recorded_at < $2 AND (tenant = ANY($3)) = $4"
            }
            What::Failures => {
                "DELETE FROM failures WHERE recorded_at >= $1 AND recorded_at < $2 AND (tenant = ANY($3)) = $4"
            }
            What::Keys => {
                "DELETE FROM outcomes WHERE recorded_at >= $1 AND recorded_at < $2 AND (tenant = ANY($3)) = $4"
            }
        }
    }

    /// The tenants that are named, and whether it is those.
    fn tenants(&self) -> (&[String], bool) {
        match &self.whose {
            Whose::Tenant(tenant) => (std::slice::from_ref(tenant), true),
            Whose::AllBut(others) => (others, false),
        }
    }

    /// By what the note is known. It is another one where other tenants have times of their own, and so begins anew.
    fn whose(&self) -> String {
        match &self.whose {
            Whose::Tenant(tenant) => tenant.clone(),
            Whose::AllBut(others) => format!("* -{}", others.join(" -")),
        }
    }
}

impl Postgres {
    /// Removes what is to be removed; gives how many rows that were.
    pub async fn remove(&self, removal: &Removal) -> Result<u64, LedgerError> {
        let Some(mut from) = self.beginning(removal).await? else { return Ok(0) };
        let (mut removed, mut length) = (0, Duration::hours(1));
        while from < removal.before {
            let to = removal.before.min(from + length);
            match self.remove_slice(removal, from, to).await {
                Ok(rows) => {
                    removed += rows;
                    from = to;
                    length = if rows > ROWS { length / 2 } else { length * 2 };
                }
                // It took too long: a shorter one.
                Err(LedgerError::Hindered { .. } | LedgerError::Unreachable { .. }) if length > SHORTEST => length /= 8,
                Err(error) => return Err(error),
            }
            length = length.clamp(SHORTEST, LONGEST);
        }
        Ok(removed)
    }

    /// Where to go on, or to begin; `None` where there is nothing.
    async fn beginning(&self, removal: &Removal) -> Result<Option<OffsetDateTime>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let asked = async {
            let noted = query_scalar(THROUGH).persistent(false).bind(removal.what.as_str()).bind(removal.whose());
            let noted: Option<OffsetDateTime> = noted.fetch_optional(&mut *connection).await?;
            match noted {
                Some(noted) => Ok(Some(noted)),
                None => query_scalar(removal.oldest()).persistent(false).fetch_one(&mut *connection).await,
            }
        };
        let answer = asked.await;
        self.database.conclude(connection, answer).await
    }

    async fn remove_slice(
        &self,
        removal: &Removal,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> Result<u64, LedgerError> {
        use sqlx::Acquire;
        let mut connection = self.database.connection().await?;
        let (tenants, those) = removal.tenants();
        let work = async {
            let mut transaction = connection.begin().await?;
            let removing = query(removal.statement()).persistent(false).bind(from).bind(to).bind(tenants).bind(those);
            let removed = removing.execute(&mut *transaction).await?.rows_affected();
            let note = query(NOTE).persistent(false).bind(removal.what.as_str()).bind(removal.whose()).bind(to);
            note.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(removed)
        };
        let answer = self.database.in_time(work).await;
        self.database.conclude(connection, answer).await
    }
}
