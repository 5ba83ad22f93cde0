//! Every attribute of the API: whether it is required, and who fills it in.

use std::fmt::Write as _;

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// As the API calls it.
    pub name: &'static str,
    pub need: Need,
    pub filled_by: FilledBy,
    /// What it follows from, where Assay fills it in; what the platform has to know, where that does.
    pub from: &'static str,
}

/// Whether the API wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Required,
    /// Required by what another field says, which is named.
    RequiredIf(&'static str),
    Optional,
}

/// Who knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilledBy {
    Assay,
    Platform,
}

/// Of those that Assay fills in.
const fn assay(name: &'static str, need: Need, from: &'static str) -> Field {
    Field { name, need, filled_by: FilledBy::Assay, from }
}

const fn platform(name: &'static str, need: Need, from: &'static str) -> Field {
    Field { name, need, filled_by: FilledBy::Platform, from }
}

use Need::{Optional, Required, RequiredIf};

/// All 35, in the order of the API documentation.
pub const FIELDS: &[Field] = &[
    assay(
        "decision_visibility",
        RequiredIf("none of `decision_monetary`, `decision_provision`, `decision_account` is given"),
        "the policy's action: `label` → `…_LABELLED`, `limit` → `…_DEMOTED`, `block` → `…_DISABLED`",
    ),
    platform(
        "decision_visibility_other",
        RequiredIf("`decision_visibility` has `DECISION_VISIBILITY_OTHER`"),
        "another restriction that it imposed",
    ),
    platform("decision_monetary", Optional, "whether it withheld payments as well"),
    platform(
        "decision_monetary_other",
        RequiredIf("`decision_monetary` is `DECISION_MONETARY_OTHER`"),
        "which restriction of payments",
    ),
    platform("decision_provision", Optional, "whether it suspended or ended the service as well"),
    platform("decision_account", Optional, "whether it suspended or ended the account as well"),
    platform("account_type", Optional, "whether the account is a business's"),
    assay(
        "decision_facts",
        Required,
        "a template over model version, score, thresholds, generator, provenance, policy and review",
    ),
    platform("decision_ground", Required, "whether law or its own terms were the ground"),
    platform("decision_ground_reference_url", Optional, "where its terms or the law can be read"),
    platform(
        "illegal_content_legal_ground",
        RequiredIf("`decision_ground` is `DECISION_GROUND_ILLEGAL_CONTENT`"),
        "the law",
    ),
    platform(
        "illegal_content_explanation",
        RequiredIf("`decision_ground` is `DECISION_GROUND_ILLEGAL_CONTENT`"),
        "why the law applies",
    ),
    platform(
        "incompatible_content_ground",
        RequiredIf("`decision_ground` is `DECISION_GROUND_INCOMPATIBLE_CONTENT`"),
        "the section of its terms",
    ),
    platform(
        "incompatible_content_explanation",
        RequiredIf("`decision_ground` is `DECISION_GROUND_INCOMPATIBLE_CONTENT`"),
        "why the section applies",
    ),
    platform("incompatible_content_illegal", Optional, "whether it holds the content to be illegal as well"),
    assay(
        "content_type",
        Required,
        "`CONTENT_TYPE_IMAGE`; where the verdict's decision is `synthetic` also `CONTENT_TYPE_SYNTHETIC_MEDIA`",
    ),
    platform(
        "content_type_other",
        RequiredIf("`content_type` has `CONTENT_TYPE_OTHER`"),
        "what else the content consists of",
    ),
    platform("category", Required, "what the law or the terms are about"),
    platform("category_addition", Optional, "further categories"),
    platform("category_specification", Optional, "keywords within the categories"),
    platform("content_id", Optional, "the number of a product (EAN-13)"),
    platform("category_specification_other", Optional, "a keyword that isn't listed; only beside `KEYWORD_OTHER`"),
    platform("territorial_scope", Required, "the countries of the EEA in which it restricted the content"),
    platform("content_language", Optional, "the language of what was posted"),
    platform("content_date", Required, "when it began to host the image"),
    assay("application_date", Required, "the day (UTC) on which the verdict was decided, from which its action holds"),
    platform("end_date_account_restriction", Optional, "when the restriction of the account ends"),
    platform("end_date_monetary_restriction", Optional, "when the restriction of payments ends"),
    platform("end_date_service_restriction", Optional, "when the restriction of the service ends"),
    platform(
        "end_date_visibility_restriction",
        Optional,
        "when the restriction of visibility ends; Assay's actions have no end",
    ),
    platform("source_type", Required, "whether a notice or its own initiative led to the examination"),
    platform("source_identity", Optional, "who gave notice, where that is strictly necessary; never a person"),
    assay("automated_detection", Required, "`Yes`: Assay examined the image"),
    assay(
        "automated_decision",
        Required,
        "no review → `…_FULLY`; people confirmed the model → `…_PARTIALLY`; people decided otherwise, or where the model \
         was uncertain → `…_NOT_AUTOMATED`",
    ),
    assay("puid", Required, "SHA-256 over the outcome's id and the digest of the judged bytes"),
];

/// All of it as a table in Markdown.
pub fn table() -> String {
    let mut table = String::from("| field | needed | filled by | from |\n| --- | --- | --- | --- |\n");
    for Field { name, need, filled_by, from } in FIELDS {
        let (need, condition) = match need {
            Required => ("yes", ""),
            RequiredIf(condition) => ("if ", *condition),
            Optional => ("no", ""),
        };
        let filled_by = match filled_by {
            FilledBy::Assay => "Assay",
            FilledBy::Platform => "platform",
        };
        // Writing into a text can't fail.
        let _ = writeln!(table, "| `{name}` | {need}{condition} | {filled_by} | {from} |");
    }
    table
}
