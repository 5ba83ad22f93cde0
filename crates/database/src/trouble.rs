//! What an error of the database means to whoever waits for it.

use super::DatabaseError;

/// How authorities are made known to the database's client; libpq's own names.
const ROOTS: &str = "ledger.url, as ?sslmode=verify-full&sslrootcert=FILE";

/// The five letters by which PostgreSQL names an error; none where it was not the server that spoke.
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

pub(super) fn of(address: &str, error: &sqlx::Error) -> DatabaseError {
    if let Some(detail) = distrust(error) {
        return DatabaseError::Untrusted { address: address.into(), detail };
    }
    let detail = match error {
        // Without what sqlx puts in front.
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Database(error) => error.message().to_string(),
        error => error.to_string(),
    };
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {}
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {}
        _ => match code(error).as_str() {
            // Undefined schema, table or column.
            "3F000" | "42P01" | "42703" => return DatabaseError::NotMigrated { detail },
            // Connection trouble, wrong login, no such database, too many clients, going down or coming up.
            code if code.starts_with("08") || code.starts_with("28") || code.starts_with("57P") => {}
            "3D000" | "53300" => {}
            _ => return DatabaseError::Failed { detail },
        },
    }
    DatabaseError::Unreachable { address: address.into(), detail }
}

fn distrust(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Io(error) => tls::distrust(error, ROOTS),
        sqlx::Error::Tls(error) => tls::distrust(error.as_ref(), ROOTS)
            .or_else(|| Some(format!("{error}; have it offer TLS, or set sslmode in ledger.url to what it offers"))),
        _ => None,
    }
}

/// Whether the connection may be out of step, or may lead to a server that no longer takes writes.
pub(super) fn spoils_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => matches!(code(error).as_str(), "25006" | "57P01" | "57P02" | "57P03"),
        _ => true,
    }
}

/// Serialization failure or deadlock: the transaction was undone, and may succeed now.
pub fn wants_another_try(error: &sqlx::Error) -> bool {
    matches!(code(error).as_str(), "40001" | "40P01")
}

/// Somebody else has written a row with this key before.
pub fn is_taken(error: &sqlx::Error) -> bool {
    code(error) == "23505"
}
