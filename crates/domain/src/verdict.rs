//! The document `assay.verdict.v1`: what was decided, on what grounds, by which weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    Action, AppliedPolicy, DecidedBy, Decision, ImageRef, OutcomeId, Provenance, Purpose, Reviewed, SubmissionKey,
};

/// What the bytes were, by their first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Format")]
pub enum ImageFormat {
    Jpeg,
    Png,
    Webp,
    Gif,
    Bmp,
    Tiff,
    Avif,
    Jxl,
    Heic,
}

impl ImageFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "jpeg",
            ImageFormat::Png => "png",
            ImageFormat::Webp => "webp",
            ImageFormat::Gif => "gif",
            ImageFormat::Bmp => "bmp",
            ImageFormat::Tiff => "tiff",
            ImageFormat::Avif => "avif",
            ImageFormat::Jxl => "jxl",
            ImageFormat::Heic => "heic",
        }
    }
}

/// What makes a verdict less sure than its score says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Quality")]
pub enum QualityFlag {
    /// A side is shorter than the crop, so it was filled up by reflection.
    LowResolution,
    /// There are several frames, of which some were judged: `frames` says how many.
    Animated,
    /// Alpha was dropped.
    Transparent,
    /// Stored with one channel.
    Greyscale,
    /// Data is missing or unreadable, so pixels of the crop may be made up.
    Damaged,
    /// The codec is one on whose images the detector has not been measured.
    UnfamiliarCodec,
}

/// How much of an animation was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frames {
    /// The first, the middle and the last, as far as they could be decoded.
    #[schemars(range(min = 1, max = 3))]
    pub judged: u32,
    /// How many the file shows.
    #[schemars(range(min = 1))]
    pub of: u32,
}

/// The image as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedImage {
    pub bucket: String,
    pub key: String,
    pub version_id: Option<String>,
    pub etag: Option<String>,
    /// Of the bytes that were judged, lower-case hexadecimal.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
    pub bytes: u64,
    pub format: ImageFormat,
    /// Pixels.
    pub width: u32,
    pub height: u32,
}

impl JudgedImage {
    pub fn reference(&self) -> ImageRef {
        ImageRef {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            version_id: self.version_id.clone(),
            etag: self.etag.clone(),
            sha256: Some(self.sha256.clone()),
        }
    }
}

/// How the decision came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Probability that the image is synthetic, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub synthetic: f32,
    /// What the network said, uncalibrated: above 0 leans synthetic. Of several frames it is the median.
    pub logit: f32,
    /// Whether the probability comes from a fitted calibration.
    pub calibrated: bool,
    /// Below it the decision is `real`.
    pub threshold_low: f32,
    /// At it or above the decision is `synthetic`.
    pub threshold_high: f32,
}

/// A generator that it may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    pub label: String,
    /// Its share among the known generators, 0 to 1.
    pub score: f32,
}

/// Which generator made it, as far as that can be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorGuess {
    /// `unknown` where the image fits no known generator.
    pub label: String,
    /// `unknown` with an unknown label.
    pub family: String,
    /// How sure the label is: the share of the best candidate among the known generators, 0 to 1. null with `unknown`, for
    /// which the shares among the known ones say nothing.
    pub confidence: Option<f32>,
    /// How little it resembles any known generator, 0 to 1; null if the model can't say.
    pub novelty: Option<f32>,
    /// The nearest of the known generators, the nearest first; with `unknown` it is none of them.
    pub candidates: Vec<Candidate>,
}

/// The weights that judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRef {
    pub version: String,
    /// Of the weights file, lower-case hexadecimal.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// The set of generators that it can name.
    pub labels: String,
    /// False for a network of random weights: its verdicts say nothing about the image.
    pub trained: bool,
}

/// Milliseconds spent in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// From publication to intake; null if the submitter gave no time.
    pub queue: Option<u64>,
    pub fetch: u64,
    pub decode: u64,
    /// Waiting for the device and for the rest of the batch.
    pub batch: u64,
    /// The whole batch on the device.
    pub infer: u64,
    /// Waiting to be recorded.
    pub record: u64,
}

/// Who judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRef {
    /// Of Assay.
    pub version: String,
    /// `cpu`, `cuda:0`, …
    pub device: String,
}

/// The document `assay.verdict.v1`: what was decided of an image. It is the submission's one outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    #[schemars(extend("const" = Verdict::SCHEMA))]
    pub schema: String,
    /// The same on every repetition; it follows from tenant, submission and generation.
    pub verdict_id: OutcomeId,
    pub submission_id: String,
    pub tenant: String,
    pub image: JudgedImage,
    pub decision: Decision,
    pub score: Score,
    /// null unless the decision is synthetic and the model names generators.
    pub generator: Option<GeneratorGuess>,
    pub model: ModelRef,
    /// What makes the verdict less sure than its score says.
    pub quality: Vec<QualityFlag>,
    /// null for a still image, and in verdicts of versions before this field.
    pub frames: Option<Frames>,
    /// What the file says of itself. Anybody can write or remove such words: the score does not know them. null in verdicts of
    /// versions before this field.
    pub provenance: Option<Provenance>,
    pub purpose: Purpose,
    pub generation: u32,
    /// The outcome whose scores were used again, if the same bytes were judged before by the same weights.
    pub reused_from: Option<OutcomeId>,
    /// The outcome of the latest earlier generation, if there is one.
    pub supersedes: Option<OutcomeId>,
    /// The latest verdict among earlier generations: what people have been told so far. null where there is none, and in verdicts of
    /// versions before this field.
    pub previous: Option<Previous>,
    /// What follows from it by the platform's own policy, which changes nothing of the decision. null where no policy is in force, and in
    /// verdicts of versions before this field.
    pub policy: Option<AppliedPolicy>,
    /// Whose decision it is. `model` in verdicts of versions before this field.
    #[serde(default)]
    pub decided_by: DecidedBy,
    /// null unless people decided.
    pub review: Option<Reviewed>,
    /// Which try it was that ended so, from 1.
    pub attempt: u32,
    pub timing_ms: Timing,
    /// Images that were scored together, each frame of an animation counted; 0 if scores were used again.
    pub batch_size: u32,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub decided_at: OffsetDateTime,
    pub worker: WorkerRef,
    /// What the request said, as it was.
    pub metadata: Map<String, Value>,
}

/// A verdict of an earlier generation, as far as those want it who tell people of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Previous {
    pub outcome_id: OutcomeId,
    pub decision: Decision,
    /// Its probability that the image is synthetic, from 0 to 1.
    pub synthetic: f32,
    pub model_version: String,
    /// What followed from it by the platform's policy of its time. null where none was in force, and in verdicts of versions before this
    /// field.
    pub action: Option<Action>,
}

impl Previous {
    pub fn of(verdict: &Verdict) -> Previous {
        Previous {
            outcome_id: verdict.verdict_id,
            decision: verdict.decision,
            synthetic: verdict.score.synthetic,
            model_version: verdict.model.version.clone(),
            action: verdict.policy.as_ref().map(|policy| policy.action),
        }
    }
}

impl Previous {
    /// Whether a later verdict decides the same, and the same follows from it. Without a policy nothing follows.
    pub fn says_as(&self, later: &Verdict) -> bool {
        let after = later.policy.as_ref().map(|policy| policy.action);
        self.decision == later.decision && self.action.unwrap_or_default() == after.unwrap_or_default()
    }
}

/// What there is of a submission's earlier generations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predecessors {
    /// The outcome of the latest of them.
    pub latest: Option<OutcomeId>,
    /// The latest verdict among them.
    pub verdict: Option<Previous>,
}

impl Verdict {
    pub const SCHEMA: &'static str = "assay.verdict.v1";

    pub fn key(&self) -> SubmissionKey {
        SubmissionKey {
            tenant: self.tenant.clone(),
            submission_id: self.submission_id.clone(),
            generation: self.generation,
        }
    }
}
