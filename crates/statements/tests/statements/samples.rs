//! Verdicts to make statements of, and a statement as a platform would complete it.

use std::sync::LazyLock;

use domain::{
    Action, AppliedPolicy, C2pa, Claim, Decision, GeneratorGuess, ImageFormat, JudgedImage, LabelledOrigin, ModelRef,
    OutcomeId, Provenance, Purpose, Score, SubmissionKey, Timing, Verdict, WorkerRef,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Map;
use statements::{Facts, FactsTemplate, Review, Statement};
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) static DEFAULT: LazyLock<FactsTemplate<'static>> = LazyLock::new(FactsTemplate::default);

/// A synthetic image with a score of 0.9, blocked.
pub(crate) fn verdict() -> Verdict {
    let key = SubmissionKey { tenant: "acme".into(), submission_id: "post-1".into(), generation: 0 };
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
            sha256: "0".repeat(64),
            bytes: 1,
            format: ImageFormat::Jpeg,
            width: 1,
            height: 1,
        },
        decision: Decision::Synthetic,
        score: Score { synthetic: 0.9, logit: 2.0, calibrated: true, threshold_low: 0.35, threshold_high: 0.65 },
        generator: guess("midjourney"),
        model: ModelRef { version: "2026-05".into(), sha256: "1".repeat(64), labels: "test@1".into(), trained: true },
        quality: Vec::new(),
        frames: None,
        provenance: Some(Provenance { class: Claim::None, hints: Vec::new(), c2pa: Some(C2pa::Present) }),
        purpose: Purpose::Live,
        generation: 0,
        reused_from: None,
        supersedes: None,
        previous: None,
        attempt: 1,
        timing_ms: Timing::default(),
        batch_size: 1,
        decided_at: datetime!(2026-06-01 23:30:00 -2),
        worker: WorkerRef { version: "test".into(), device: "cpu".into() },
        metadata: Map::new(),
        policy: Some(policy(Action::Block)),
        decided_by: domain::DecidedBy::Model,
        review: None,
    }
}

pub(crate) fn policy(action: Action) -> AppliedPolicy {
    AppliedPolicy {
        version: "0123456789ab".into(),
        rule: Some("synthetic-images".into()),
        action,
        because: Some("Generated images are not shown here.".into()),
    }
}

pub(crate) fn guess(label: &str) -> Option<GeneratorGuess> {
    Some(GeneratorGuess {
        label: label.into(),
        family: "diffusion".into(),
        confidence: (label != "unknown").then_some(0.8),
        novelty: None,
        candidates: Vec::new(),
    })
}

pub(crate) fn review(found: LabelledOrigin) -> Review {
    Review { found, decided_at: datetime!(2026-06-03 08:00:00 UTC) }
}

/// What the default template makes of a verdict that no person saw.
pub(crate) fn statement() -> Statement {
    Statement::of(&Facts { verdict: &verdict(), review: None }, &DEFAULT).unwrap()
}

/// With everything that a platform has to add.
pub(crate) fn completed() -> Statement {
    Statement {
        decision_ground: Some("DECISION_GROUND_INCOMPATIBLE_CONTENT".into()),
        incompatible_content_ground: Some("Terms of use, section 4.2".into()),
        incompatible_content_explanation: Some("The section excludes generated images.".into()),
        category: Some("STATEMENT_CATEGORY_OTHER_VIOLATION_TC".into()),
        territorial_scope: Some(vec!["DE".into(), "FR".into()]),
        content_date: Some("2026-06-01".into()),
        source_type: Some("SOURCE_VOLUNTARY".into()),
        ..statement()
    }
}

/// Verdicts on which a restriction followed, each with the review that it needs, on days that the API takes.
pub(crate) fn restricted() -> impl Strategy<Value = (Verdict, Option<Review>)> {
    let classes = [Claim::ClaimedSynthetic, Claim::ClaimedEdit, Claim::ClaimedCapture, Claim::None];
    let provenance = proptest::option::of(select(classes.to_vec()))
        .prop_map(|class| class.map(|class| Provenance { class, hints: Vec::new(), c2pa: None }));
    let generator = prop_oneof![Just(None), Just(guess("unknown")), "[\\PC]{1,64}".prop_map(|label| guess(&label))];
    let policy = (
        select(vec![Action::Label, Action::Limit, Action::Block]),
        proptest::option::of("[A-Za-z0-9_.-]{1,64}"),
        proptest::option::of("[\\PC]{1,500}"),
    )
        .prop_map(|(action, rule, because)| AppliedPolicy {
            version: "0123456789ab".into(),
            rule,
            action,
            because,
        });
    let found = proptest::option::of(select(vec![LabelledOrigin::Real, LabelledOrigin::Synthetic]));
    let days = datetime!(2020-01-02 00:00 UTC).unix_timestamp()..datetime!(2037-12-31 00:00 UTC).unix_timestamp();
    let model = ("[\\PC]{1,64}", any::<[bool; 2]>());
    (0.0_f32..=1.0, provenance, generator, policy, found, days, model).prop_map(
        |(score, provenance, generator, policy, found, day, (version, [trained, calibrated]))| {
            let mut verdict = verdict();
            verdict.score = Score { synthetic: score, calibrated, ..verdict.score };
            verdict.decision = match found {
                Some(LabelledOrigin::Real) => Decision::Real,
                Some(LabelledOrigin::Synthetic) => Decision::Synthetic,
                None => by_score(score),
            };
            verdict.provenance = provenance;
            verdict.generator = generator;
            verdict.model = ModelRef { version, trained, ..verdict.model };
            verdict.policy = Some(policy);
            verdict.decided_at = OffsetDateTime::from_unix_timestamp(day).unwrap();
            (verdict, found.map(review))
        },
    )
}

fn by_score(score: f32) -> Decision {
    if score >= 0.65 {
        Decision::Synthetic
    } else if score < 0.35 {
        Decision::Real
    } else {
        Decision::Uncertain
    }
}
