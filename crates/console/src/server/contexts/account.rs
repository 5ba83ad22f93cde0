//! Signing in, and personal tokens.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::common::Form;

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct LoginPage {
    pub(crate) sign_in_href: Option<String>,
    pub(crate) issuer_name: Option<String>,
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct TokensPage {
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) made: Option<MadeToken>,
    pub(crate) role_choices: Vec<&'static str>,
    pub(crate) max_days: u32,
    pub(crate) form: Form,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct TokenRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) role: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) last_used_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) state: &'static str,
}

/// Shown once. Its `Debug` leaves the secret out.
#[derive(Clone, Serialize)]
pub(crate) struct MadeToken {
    pub(crate) name: String,
    pub(crate) secret: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) expires_at: OffsetDateTime,
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeToken").field("name", &self.name).finish_non_exhaustive()
    }
}
