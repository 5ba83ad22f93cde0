//! Verdicts to apply policies to.

use domain::{
    C2pa, Claim, Decision, GeneratorGuess, ImageFormat, JudgedImage, ModelRef, OutcomeId, Provenance, Purpose,
    QualityFlag, Score, SubmissionKey, Timing, Verdict, WorkerRef,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// A synthetic one of `acme`, with a score of 0.9, of which little else is known.
pub(crate) fn verdict() -> Verdict {
    let key = SubmissionKey { tenant: "acme".into(), submission_id: "post-1".into(), generation: 0 };
    let digest = "0".repeat(64);
    Verdict {
        schema: Verdict::SCHEMA.into(),
        verdict_id: OutcomeId::of(&key),
        submission_id: key.submission_id,
        tenant: key.tenant,
        image: JudgedImage {
            bucket: "uploads".into(),
            key: "u/1.jpg".into(),
            version_id: None,
            etag: None,
            sha256: digest.clone(),
            bytes: 1,
            format: ImageFormat::Jpeg,
            width: 1,
            height: 1,
        },
        decision: Decision::Synthetic,
        score: Score { synthetic: 0.9, logit: 2.0, calibrated: true, threshold_low: 0.35, threshold_high: 0.65 },
        generator: None,
        model: ModelRef { version: "1".into(), sha256: digest, labels: "test@1".into(), trained: true },
        quality: Vec::new(),
        frames: None,
        provenance: None,
        purpose: Purpose::Live,
        generation: 0,
        reused_from: None,
        supersedes: None,
        previous: None,
        policy: None,
        decided_by: domain::DecidedBy::Model,
        review: None,
        attempt: 1,
        timing_ms: Timing::default(),
        batch_size: 1,
        decided_at: OffsetDateTime::UNIX_EPOCH,
        worker: WorkerRef { version: "test".into(), device: "cpu".into() },
        metadata: Map::new(),
    }
}

/// Another submission.
pub(crate) fn numbered(number: u32, base: Verdict) -> Verdict {
    let key = SubmissionKey { tenant: base.tenant.clone(), submission_id: format!("post-{number}"), generation: 0 };
    Verdict { verdict_id: OutcomeId::of(&key), submission_id: key.submission_id, ..base }
}

pub(crate) fn generator(family: &str, novelty: Option<f32>) -> Option<GeneratorGuess> {
    Some(GeneratorGuess {
        label: family.into(),
        family: family.into(),
        confidence: None,
        novelty,
        candidates: Vec::new(),
    })
}

pub(crate) fn claim(class: Claim) -> Option<Provenance> {
    Some(Provenance { class, hints: Vec::new(), c2pa: Some(C2pa::Present) })
}

/// Values of `metadata` that rules may be after, and some that they are not.
const VALUES: [&str; 13] =
    [r#""ads""#, r#""feed""#, "true", "false", "1", "1.0", "0.10", "10e-1", "-1", "\"1\"", "null", "[1]", r#"{"a":1}"#];

/// Any that keeps the promises of verdicts: numbers from 0 to 1 or none at all, generators of synthetic images only.
pub(crate) fn verdicts() -> impl Strategy<Value = Verdict> {
    let number = || prop_oneof![3 => near_bounds(), 1 => 0.0_f32..=1.0];
    let score = prop_oneof![20 => number(), 1 => Just(f32::NAN)];
    let novelty = proptest::option::of(number());
    let guess =
        (select(vec!["flux", "gan", "unknown"]), novelty).prop_map(|(family, novelty)| generator(family, novelty));
    let generator = prop_oneof![1 => Just(None), 4 => guess];
    let flags = subsequence(vec![QualityFlag::Damaged, QualityFlag::Animated, QualityFlag::Greyscale], 0..=3);
    let classes = vec![Claim::ClaimedSynthetic, Claim::ClaimedEdit, Claim::ClaimedCapture, Claim::None];
    let provenance = proptest::option::weighted(0.8, select(classes)).prop_map(|class| class.and_then(claim));
    let value = || proptest::option::weighted(0.8, select(VALUES.to_vec()));
    let words = (
        select(vec!["acme", "zenith", "other"]),
        select(vec![Decision::Real, Decision::Synthetic, Decision::Uncertain]),
        select(vec![Purpose::Live, Purpose::Backfill, Purpose::Reverdict]),
    );
    (words, score, generator, flags, provenance, value(), value()).prop_map(
        |((tenant, decision, purpose), score, generator, quality, provenance, channel, age)| {
            let mut verdict = verdict();
            verdict.tenant = tenant.into();
            verdict.decision = decision;
            verdict.purpose = purpose;
            verdict.score.synthetic = score;
            verdict.generator = generator.filter(|_| decision == Decision::Synthetic);
            verdict.quality = quality;
            verdict.provenance = provenance;
            for (key, value) in [("channel", channel), ("age", age)] {
                if let Some(value) = value {
                    verdict.metadata.insert(key.into(), serde_json::from_str::<Value>(value).unwrap());
                }
            }
            verdict
        },
    )
}

/// The bounds that drafts have, and the floats beside them.
fn near_bounds() -> impl Strategy<Value = f32> {
    let bounds = super::drafts::BOUNDS.map(|bound| bound.parse::<f32>().unwrap());
    let near = bounds.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
    select(near.filter(|number| (0.0..=1.0).contains(number)).collect::<Vec<_>>())
}
