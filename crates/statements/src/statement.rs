//! The document: one statement of reasons with the attributes of the database's API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A statement of reasons, its fields in the order of the API documentation, by the API's names.
///
/// It holds whatever a platform may have written into it: [`check`](crate::check()) says whether that is allowed. Attributes that the
/// API requires are written even where they are empty, so that the gap shows (`null`); all others are left out where they are
/// empty, since the API takes `null` for some of them and refuses it for others. Attributes that the API does not know are refused
/// on reading: a misspelt one would be dropped in silence. Dates are `YYYY-MM-DD`, lengths count characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// One or more of [`DECISION_VISIBILITY`](crate::codes::DECISION_VISIBILITY).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_visibility: Option<Vec<String>>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_visibility_other: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_monetary: Option<String>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_monetary_other: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_provision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_type: Option<String>,
    /// At most 5000.
    pub decision_facts: Option<String>,
    pub decision_ground: Option<String>,
    /// A URL of at most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_ground_reference_url: Option<String>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub illegal_content_legal_ground: Option<String>,
    /// At most 2000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub illegal_content_explanation: Option<String>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incompatible_content_ground: Option<String>,
    /// At most 2000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incompatible_content_explanation: Option<String>,
    /// `Yes` or `No`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incompatible_content_illegal: Option<String>,
    /// One or more of [`CONTENT_TYPE`](crate::codes::CONTENT_TYPE).
    pub content_type: Option<Vec<String>>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type_other: Option<String>,
    pub category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_addition: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_specification: Option<Vec<String>>,
    /// By kind, of which there is [one](crate::codes::EAN_13) so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<BTreeMap<String, String>>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_specification_other: Option<String>,
    /// One or more of [`COUNTRY`](crate::codes::COUNTRY).
    pub territorial_scope: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// When the platform began to host the content; from 2000-01-01.
    pub content_date: Option<String>,
    /// When the restriction began; from 2020-01-01.
    pub application_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date_account_restriction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date_monetary_restriction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date_service_restriction: Option<String>,
    /// Without one the restriction has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date_visibility_restriction: Option<String>,
    pub source_type: Option<String>,
    /// At most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// `Yes` or `No`.
    pub automated_detection: Option<String>,
    pub automated_decision: Option<String>,
    /// At most 500 of ASCII's letters and digits, `-` and `_`; never the same for two statements of a platform.
    pub puid: Option<String>,
}

impl Statement {
    /// As one line of JSON, without the line break.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("texts, lists of texts and a map from text to text are JSON")
    }
}
