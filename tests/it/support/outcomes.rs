//! Outcomes to record and publish.

use domain::{
    Candidate, Context, Decision, Failure, FailureCode, GeneratorGuess, ImageRef, JudgedImage, ModelRef, Outcome,
    OutcomeId, Provenance, Purpose, Request, Score, SubmissionKey, Timing, Verdict, WorkerRef,
};
use domain::{ImageFormat, QualityFlag};
use serde_json::Map;
use time::OffsetDateTime;

pub fn key(submission_id: &str, generation: u32) -> SubmissionKey {
    SubmissionKey { tenant: "acme".into(), submission_id: submission_id.into(), generation }
}

pub fn request(key: SubmissionKey) -> Request {
    Request {
        key,
        image: ImageRef { bucket: "uploads".into(), key: "u/1.jpg".into(), ..ImageRef::default() },
        deadline: None,
        purpose: Purpose::Live,
        metadata: Map::new(),
        context: Context::default(),
    }
}

pub fn verdict_of(key: SubmissionKey) -> Verdict {
    Verdict {
        schema: Verdict::SCHEMA.into(),
        verdict_id: OutcomeId::of(&key),
        image: JudgedImage {
            bucket: "uploads".into(),
            key: "u/1.jpg".into(),
            version_id: None,
            etag: Some("9b2cf535f27731c974343645a3985328".into()),
            sha256: "a".repeat(64),
            bytes: 183_220,
            format: ImageFormat::Jpeg,
            width: 1024,
            height: 768,
        },
        decision: Decision::Synthetic,
        score: Score { synthetic: 0.973, logit: 3.58, calibrated: true, threshold_low: 0.35, threshold_high: 0.65 },
        generator: Some(GeneratorGuess {
            label: "midjourney".into(),
            family: "midjourney".into(),
            confidence: Some(0.88),
            novelty: Some(0.12),
            candidates: vec![Candidate { label: "midjourney".into(), score: 0.88 }],
        }),
        model: ModelRef {
            version: "2026.11.1".into(),
            sha256: "b".repeat(64),
            labels: "imaginet-8@1".into(),
            trained: true,
        },
        quality: vec![QualityFlag::LowResolution],
        frames: None,
        provenance: Some(Provenance::default()),
        purpose: Purpose::Live,
        generation: key.generation,
        reused_from: None,
        supersedes: None,
        previous: None,
        policy: None,
        decided_by: domain::DecidedBy::Model,
        review: None,
        attempt: 1,
        timing_ms: Timing { queue: Some(120), fetch: 18, decode: 9, batch: 4, infer: 6, record: 4 },
        batch_size: 32,
        decided_at: OffsetDateTime::from_unix_timestamp_nanos(1_795_000_000_123_456_789).unwrap(),
        worker: WorkerRef { version: "test".into(), device: "cpu".into() },
        metadata: Map::new(),
        submission_id: key.submission_id,
        tenant: key.tenant,
    }
}

pub fn verdict(key: SubmissionKey) -> Outcome {
    Outcome::Verdict(Box::new(verdict_of(key)))
}

pub fn failure(key: SubmissionKey) -> Outcome {
    let at = OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
    Outcome::Failure(Box::new(Failure::new(&request(key), FailureCode::ObjectNotFound, "it's not there", at)))
}
