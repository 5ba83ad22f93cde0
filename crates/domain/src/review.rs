//! What people decide of verdicts that they reviewed, and of appeals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LabelledOrigin, OutcomeId};

/// On what grounds somebody answers. It matters because people who go by the look of an image are right little more often than
/// chance: 62 % of 287,000 judgements (arXiv 2507.18640).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewGround {
    /// What the file says of where it comes from.
    Provenance,
    /// The image is known from elsewhere.
    KnownSource,
    /// The uploader has shown the original.
    UploadersOriginal,
    /// Something that can be pointed at.
    VisibleArtefact,
    /// The look of it.
    ByEye,
}

impl ReviewGround {
    pub const ALL: [ReviewGround; 5] = [
        ReviewGround::Provenance,
        ReviewGround::KnownSource,
        ReviewGround::UploadersOriginal,
        ReviewGround::VisibleArtefact,
        ReviewGround::ByEye,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ReviewGround::Provenance => "provenance",
            ReviewGround::KnownSource => "known_source",
            ReviewGround::UploadersOriginal => "uploaders_original",
            ReviewGround::VisibleArtefact => "visible_artefact",
            ReviewGround::ByEye => "by_eye",
        }
    }
}

/// Who decided: the thresholds on the model's score, or people who reviewed the verdict before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    #[default]
    Model,
    Review,
}

/// How people came to the decision of a verdict with `decided_by: "review"`. Its score, model and image are those of the verdict that they
/// reviewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reviewed {
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub decision_id: Uuid,
    /// The verdict that they reviewed.
    pub outcome_id: OutcomeId,
    pub grounds: Vec<ReviewGround>,
    /// Pseudonyms of those who decided.
    pub reviewers: Vec<String>,
}

/// One message of the queue `assay.decisions`, the document `assay.decision.v1`: what people decided of a verdict that they reviewed. A worker
/// records it as the verdict of the submission's next generation. The console sends it, and after an outage sends it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewDecision {
    #[schemars(extend("const" = ReviewDecision::SCHEMA))]
    pub schema: String,
    /// The same on every repetition.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub decision_id: Uuid,
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub tenant: String,
    pub submission_id: String,
    /// The verdict that was reviewed.
    pub outcome_id: OutcomeId,
    /// Its generation.
    pub generation: u32,
    pub decision: LabelledOrigin,
    /// Which generator made it, if those who decided name one; only of a synthetic image.
    pub generator: Option<String>,
    pub grounds: Vec<ReviewGround>,
    /// Pseudonyms of those who decided.
    pub reviewers: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub decided_at: OffsetDateTime,
}

impl ReviewDecision {
    pub const SCHEMA: &'static str = "assay.decision.v1";
}

/// The document `assay.appeal_decided.v1`: what became of an appeal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppealDecided {
    #[schemars(extend("const" = AppealDecided::SCHEMA))]
    pub schema: String,
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub appeal_id: Uuid,
    pub tenant: String,
    pub submission_id: String,
    /// The verdict that the appeal was against.
    pub outcome_id: OutcomeId,
    pub result: AppealResult,
    pub grounds: Vec<ReviewGround>,
    /// What is to be told to who appealed, in the words of those who decided.
    pub reason: String,
    /// Pseudonyms of those who decided.
    pub decided_by: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub decided_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppealResult {
    /// The verdict stands.
    Upheld,
    /// It was wrong: the next generation says what people found.
    Overturned,
}

impl AppealResult {
    pub fn as_str(self) -> &'static str {
        match self {
            AppealResult::Upheld => "upheld",
            AppealResult::Overturned => "overturned",
        }
    }
}

impl AppealDecided {
    pub const SCHEMA: &'static str = "assay.appeal_decided.v1";

    /// Topic under which it is published: `appeal.<tenant>.<result>`.
    pub fn routing_key(&self) -> String {
        format!("appeal.{}.{}", self.tenant, self.result.as_str())
    }
}
