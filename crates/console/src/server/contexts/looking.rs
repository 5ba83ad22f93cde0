//! Search, the history of a submission, and the audit log.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SearchPage {
    pub(crate) by: &'static str,
    pub(crate) q: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) results: Option<Vec<Found>>,
    pub(crate) more: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) submission_id: String,
    pub(crate) tenant: String,
    pub(crate) generation: u32,
    pub(crate) decision: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) synthetic: Option<f32>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) key: String,
    pub(crate) href: String,
    pub(crate) review: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HistoryPage {
    pub(crate) tenant: String,
    pub(crate) submission_id: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) erased_at: Option<OffsetDateTime>,
    pub(crate) hidden: bool,
    pub(crate) generations: Vec<HistoryGeneration>,
    pub(crate) labels: Vec<HistoryLabel>,
    pub(crate) reviews: Vec<HistoryReview>,
    pub(crate) appeals: Vec<HistoryAppeal>,
    pub(crate) trail: Option<Vec<AuditEntry>>,
    pub(crate) filing: Option<Filing>,
    pub(crate) form: super::common::Form,
}

/// What may be begun from the verdict in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Filing {
    pub(crate) outcome_id: Uuid,
    pub(crate) may_appeal: bool,
    pub(crate) may_golden: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HistoryGeneration {
    #[serde(flatten)]
    pub(crate) generation: super::verdict::Generation,
    pub(crate) policy: Option<HistoryPolicy>,
    pub(crate) outcome_id: Uuid,
    pub(crate) href: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HistoryPolicy {
    pub(crate) action: String,
    pub(crate) rule: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HistoryLabel {
    #[serde(flatten)]
    pub(crate) label: super::verdict::KnownLabel,
    pub(crate) drawn_as: Option<String>,
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HistoryReview {
    pub(crate) answer: String,
    pub(crate) ground: Option<String>,
    pub(crate) generator: Option<String>,
    pub(crate) who: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) blind: bool,
    pub(crate) state: String,
    pub(crate) comment: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HistoryAppeal {
    pub(crate) id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) state: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditPage {
    pub(crate) filter: AuditFilter,
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) tenants: Vec<String>,
    pub(crate) problem: Option<String>,
    pub(crate) entries: Vec<AuditEntry>,
    pub(crate) export_href: String,
    pub(crate) newer: Option<String>,
    pub(crate) older: Option<String>,
}

/// As it was asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AuditFilter {
    pub(crate) who: Option<String>,
    pub(crate) what: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) submission: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditEntry {
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) tenant: Option<String>,
    pub(crate) about: Option<String>,
    pub(crate) href: Option<String>,
    pub(crate) detail: Option<String>,
}
