//! What an error of the database means to whoever waits for it.

use std::error::Error;

use crate::sqlstate::{self, Meaning};

/// How authorities are made known to the database's client; libpq's own names.
const ROOTS: &str = "database.url, as ?sslmode=verify-full&sslrootcert=FILE";

/// What a library said; left out where this program itself found the trouble.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database at {address} can't be reached: {detail}; check database.url and that PostgreSQL runs")]
    Unreachable {
        address: String,
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    #[error(
        "the database at {address} refuses the login: {detail}; check the user, password and database in database.url"
    )]
    LoginRefused {
        address: String,
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    #[error("the database at {address} is not trusted: {detail}")]
    Untrusted {
        address: String,
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    #[error("the database is not migrated: {detail}; run `assay migrate`")]
    NotMigrated {
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    #[error("the database refuses a right: {detail}; grant this user what docs/least-rights.md lists for it")]
    Forbidden {
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    /// A full disk, a deadlock, an answer that took too long.
    #[error("the database can't do it now: {detail}")]
    Hindered {
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    #[error(
        "the database is encoded in {encoding}, which can't hold every name and text; make one with ENCODING 'UTF8' TEMPLATE \
         template0, move what is in this one there, and correct database.url"
    )]
    Encoding { encoding: String },
    #[error(
        "a pooler in transaction mode stands before the database at {address}, so that settings and statements of a connection \
         are lost; set database.pooler = \"transaction\""
    )]
    Pooled { address: String },
    #[error("the database failed: {detail}")]
    Failed {
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
}

impl DatabaseError {
    /// Whether the same call can succeed later without anybody changing the configuration, the tables or the rights.
    pub fn is_transient(&self) -> bool {
        matches!(self, DatabaseError::Unreachable { .. } | DatabaseError::Hindered { .. })
    }

    /// What the database holds contradicts itself, or what this program knows.
    pub fn failed(detail: impl Into<String>) -> DatabaseError {
        DatabaseError::Failed { detail: detail.into(), cause: None }
    }

    pub(crate) fn of(address: &str, error: sqlx::Error) -> DatabaseError {
        let address = address.to_string();
        if let Some(detail) = tls_failure(&error) {
            return DatabaseError::Untrusted { address, detail, cause: Some(error.into()) };
        }
        let detail = match &error {
            // Without what sqlx puts in front.
            sqlx::Error::Io(error) => error.to_string(),
            sqlx::Error::Database(error) => error.message().to_string(),
            error => error.to_string(),
        };
        let meaning = meaning(&error);
        let cause = Some(error.into());
        match meaning {
            Meaning::Unreachable => DatabaseError::Unreachable { address, detail, cause },
            Meaning::LoginRefused => DatabaseError::LoginRefused { address, detail, cause },
            Meaning::NotMigrated => DatabaseError::NotMigrated { detail, cause },
            Meaning::Forbidden => DatabaseError::Forbidden { detail, cause },
            Meaning::Hindered => DatabaseError::Hindered { detail, cause },
            Meaning::Permanent => DatabaseError::Failed { detail, cause },
        }
    }
}

fn meaning(error: &sqlx::Error) -> Meaning {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Meaning::Unreachable,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Meaning::Unreachable,
        error => sqlstate::meaning(&code(error)),
    }
}

/// The five letters by which PostgreSQL names an error; none where it was not the server that spoke.
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

fn tls_failure(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Io(error) => tls::failure(error, ROOTS),
        sqlx::Error::Tls(error) => tls::failure(error.as_ref(), ROOTS)
            .or_else(|| Some(format!("{error}; have it offer TLS, or set sslmode in database.url to what it offers"))),
        _ => None,
    }
}

/// Whether the connection may be out of step, or may lead to a server that no longer takes writes.
pub(crate) fn spoils_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => sqlstate::is_of_another_server(&code(error)),
        _ => true,
    }
}

/// Serialization failure or deadlock: the transaction was undone, and may succeed now.
pub fn wants_another_try(error: &sqlx::Error) -> bool {
    matches!(code(error).as_str(), "40001" | "40P01")
}

/// The database refuses a value, and with it the statement: whatever else is in it may be well.
pub fn is_about_a_value(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && sqlstate::is_about_a_value(&code(error)) && !lacks_partition(error)
}

/// There is no partition for a row. PostgreSQL gives it the code of a check that failed, without a check's name.
pub fn lacks_partition(error: &sqlx::Error) -> bool {
    code(error) == "23514" && error.as_database_error().is_some_and(|error| error.constraint().is_none())
}

/// Somebody else has written a row with this key before.
pub fn is_taken(error: &sqlx::Error) -> bool {
    code(error) == "23505"
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_keeps_its_cause() {
        let broken = sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer"));
        let error = DatabaseError::of("db.example:5432/assay", broken);
        assert!(error.is_transient());
        assert!(error.to_string().contains("db.example:5432/assay") && error.to_string().contains("reset by peer"));
        let cause = error.source().unwrap().downcast_ref::<sqlx::Error>();
        assert!(matches!(cause, Some(sqlx::Error::Io(cause)) if cause.kind() == io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn what_this_program_can_not_read_or_write_is_not_transient() {
        for error in [sqlx::Error::Decode("no origin".into()), sqlx::Error::ColumnNotFound("a".into())] {
            assert!(!DatabaseError::of("db", error).is_transient());
        }
    }
}
