//! The document `assay.verdict.v1`: what was decided, on what grounds, by which weights.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Decision, ImageRef, OutcomeId, Purpose, SubmissionKey};
use crate::imaging::{Format, Quality};

/// The image as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedImage {
    pub bucket: String,
    pub key: String,
    pub version_id: Option<String>,
    pub etag: Option<String>,
    /// Of the bytes that were judged, lower-case hexadecimal.
    pub sha256: String,
    pub bytes: u64,
    pub format: Format,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Probability that the image is synthetic, 0 to 1.
    pub synthetic: f32,
    pub logit: f32,
    /// Whether the probability comes from a fitted calibration.
    pub calibrated: bool,
    pub threshold_low: f32,
    pub threshold_high: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub label: String,
    pub score: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorGuess {
    /// `unknown` where the image fits no known generator.
    pub label: String,
    pub family: String,
    pub confidence: f32,
    pub novelty: Option<f32>,
    /// The best few, best first.
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRef {
    pub version: String,
    /// Of the weights file.
    pub sha256: String,
    pub labels: String,
    /// False for a network of random weights: its verdicts say nothing about the image.
    pub trained: bool,
}

/// Milliseconds spent in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From publication to intake; `None` if the submitter gave no time.
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerRef {
    pub version: String,
    pub device: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub schema: String,
    pub verdict_id: OutcomeId,
    pub submission_id: String,
    pub tenant: String,
    pub image: JudgedImage,
    pub decision: Decision,
    pub score: Score,
    /// `None` unless the decision is synthetic and the model names generators.
    pub generator: Option<GeneratorGuess>,
    pub model: ModelRef,
    pub quality: Vec<Quality>,
    pub purpose: Purpose,
    pub generation: u32,
    /// The outcome whose scores were used again, if the same bytes were judged before by the same weights.
    pub reused_from: Option<OutcomeId>,
    /// The outcome of the latest earlier generation, if there is one.
    pub supersedes: Option<OutcomeId>,
    pub attempt: u32,
    pub timing_ms: Timing,
    pub batch_size: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub decided_at: OffsetDateTime,
    pub worker: WorkerRef,
    pub metadata: Map<String, Value>,
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
