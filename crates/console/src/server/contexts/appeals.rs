//! Appeals: the list, and one of them.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::common::Form;
use super::item::{Item, Picture};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AppealsPage {
    pub(crate) state: &'static str,
    pub(crate) appeals: Vec<AppealRow>,
    pub(crate) newer: Option<String>,
    pub(crate) older: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AppealRow {
    pub(crate) id: Uuid,
    pub(crate) submission_id: String,
    pub(crate) tenant: String,
    pub(crate) decision: &'static str,
    pub(crate) beginning: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) state: String,
    pub(crate) why_not: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AppealPage {
    pub(crate) item: Item,
    pub(crate) appeal: Appeal,
    pub(crate) form: Form,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Appeal {
    pub(crate) id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) text: String,
    pub(crate) evidence: Option<Picture>,
    pub(crate) evidence_problem: Option<String>,
    pub(crate) decided: Option<DecidedAppeal>,
    pub(crate) choices: Option<Vec<Choice>>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DecidedAppeal {
    pub(crate) result: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) who: String,
    pub(crate) ground: Option<String>,
    pub(crate) reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) text: String,
}
