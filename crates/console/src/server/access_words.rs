//! Errors of those parts that the console stands on, as refusals.

use access::AccessError;
use axum::http::StatusCode;
use database::DatabaseError;
use review::{Refused, RefusedKind};

use super::refusal::Refusal;

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Refusal {
        if error.is_transient() { Refusal::away(error) } else { Refusal::fault(error) }
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Refusal {
        let status = error.status();
        match &error {
            AccessError::Database(_) | AccessError::Settings(_) | AccessError::Random(_) => match status {
                StatusCode::SERVICE_UNAVAILABLE => Refusal::away(error),
                _ => Refusal::fault(error),
            },
            AccessError::IssuerAway { .. } => Refusal::of(status)
                .title("Nobody can sign in just now")
                .what("the sign-in of your organisation does not answer")
                .because(error),
            AccessError::NoSuchToken => Refusal::of(status).what(error.to_string()),
            _ => Refusal::of(status).what(error.to_string()),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused.kind() {
            RefusedKind::NotFound => Refusal::not_found(),
            RefusedKind::Conflict => Refusal::conflict(refused.to_string()),
            RefusedKind::Forbidden => Refusal::forbidden(refused.to_string()),
            RefusedKind::Invalid => Refusal::invalid(refused.to_string()),
            RefusedKind::Failed => match refused {
                Refused::Database(error) => error.into(),
                other => Refusal::fault(other),
            },
        }
    }
}
