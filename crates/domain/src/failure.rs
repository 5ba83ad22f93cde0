//! A submission that can't be judged, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::request::{ImageRef, Purpose, Request};
use super::{OutcomeId, SubmissionKey};

/// Where the work stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Intake,
    Fetch,
    Decode,
    Infer,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Intake => "intake",
            Stage::Fetch => "fetch",
            Stage::Decode => "decode",
            Stage::Infer => "infer",
        }
    }
}

macro_rules! failure_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $stage:ident, $title:literal;)*) => {
        /// Why a submission can't be judged: a word for machines and a title for people.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum FailureCode { $(#[doc = $title] $(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl FailureCode {
            pub const ALL: &'static [FailureCode] = &[$(FailureCode::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(FailureCode::$name => $text,)* }
            }

            /// The stage in which it is found.
            pub fn stage(self) -> Stage {
                match self { $(FailureCode::$name => Stage::$stage,)* }
            }

            /// One sentence for a person.
            pub fn title(self) -> &'static str {
                match self { $(FailureCode::$name => $title,)* }
            }
        }
    };
}

failure_codes! {
    /// Nothing but its key is kept of what was found then (`[retention]`), and there is never a second verdict under one key.
    Expired = "expired", Intake, "The submission had an outcome before, which is not kept any more";
    /// Somebody asked for it to be deleted (`assay erase`), and it is not judged again.
    Erased = "erased", Intake, "What was known of the submission was erased on demand";
    DeadlineExceeded = "deadline_exceeded", Intake, "The deadline passed before the image could be judged";
    BucketNotAllowed = "bucket_not_allowed", Intake, "The bucket or the key is not on the allow-list";
    ObjectNotFound = "object_not_found", Fetch, "The object does not exist";
    AccessDenied = "access_denied", Fetch, "The worker may not read the object";
    /// The bytes are not those that the submitter described (etag or sha256).
    ContentMismatch = "content_mismatch", Fetch, "The object is not the one that was submitted";
    TooLarge = "too_large", Decode, "The image is larger than the limits allow";
    /// Transient trouble that outlasted the retry schedule.
    ObjectStoreUnavailable = "object_store_unavailable", Fetch, "The object store did not answer in time";
    UnsupportedFormat = "unsupported_format", Decode, "The bytes are no image of a supported format";
    /// Trouble of the worker that outlasted the retry schedule.
    DecoderUnavailable = "decoder_unavailable", Decode, "The worker could not start its decoder";
    DecodeFailed = "decode_failed", Decode, "The image is damaged and cannot be decoded";
    /// A defect of this program that met this submission through the whole retry schedule, or a value of it that the database refuses.
    InternalError = "internal_error", Intake, "The worker failed on the submission";
    /// The network could not score this one image, though it scored its neighbours.
    InferenceFailed = "inference_failed", Infer, "The detector could not score the image";
}

impl FailureCode {
    /// Whether asking again later, with the next generation, can end otherwise with the same image.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            FailureCode::ObjectStoreUnavailable
                | FailureCode::DecoderUnavailable
                | FailureCode::InternalError
                | FailureCode::InferenceFailed
        )
    }
}

/// The document `assay.failure.v1`: that a submission can't be judged, and why. It is the submission's one outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    #[schemars(extend("const" = Failure::SCHEMA))]
    pub schema: String,
    /// The same on every repetition; it follows from tenant, submission and generation.
    pub failure_id: OutcomeId,
    pub submission_id: String,
    pub tenant: String,
    pub generation: u32,
    /// As it was asked for.
    pub image: ImageRef,
    pub code: FailureCode,
    pub stage: Stage,
    /// The code in a sentence for a person.
    pub title: String,
    /// What was found, in words, for whoever looks into it.
    pub detail: String,
    /// Whether asking again with the next generation can end otherwise with the same image.
    pub retryable: bool,
    /// Which try it was that ended so, from 1.
    pub attempt: u32,
    pub purpose: Purpose,
    /// The outcome of the latest earlier generation, if there is one.
    pub supersedes: Option<OutcomeId>,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: OffsetDateTime,
    /// What the request said, as it was.
    pub metadata: Map<String, Value>,
}

impl Failure {
    pub const SCHEMA: &'static str = "assay.failure.v1";

    pub fn new(request: &Request, code: FailureCode, detail: impl Into<String>, at: OffsetDateTime) -> Failure {
        Failure {
            schema: Self::SCHEMA.into(),
            failure_id: OutcomeId::of(&request.key),
            submission_id: request.key.submission_id.clone(),
            tenant: request.key.tenant.clone(),
            generation: request.key.generation,
            image: request.image.clone(),
            code,
            stage: code.stage(),
            title: code.title().into(),
            detail: detail.into(),
            retryable: code.retryable(),
            attempt: request.context.attempt,
            purpose: request.purpose,
            supersedes: None,
            at,
            metadata: request.metadata.clone(),
        }
    }

    pub fn key(&self) -> SubmissionKey {
        SubmissionKey {
            tenant: self.tenant.clone(),
            submission_id: self.submission_id.clone(),
            generation: self.generation,
        }
    }
}
