use serde_json::json;
use uuid::Uuid;

use super::*;
use domain::{Failure, FailureCode, ReviewGround};

fn verdict_of(generation: u32, decision: Decision) -> Verdict {
    let key = SubmissionKey { tenant: "acme".into(), submission_id: "post-1".into(), generation };
    let mut document = json!({
        "schema": Verdict::SCHEMA, "verdict_id": OutcomeId::of(&key), "submission_id": "post-1", "tenant": "acme",
        "image": {"bucket": "uploads", "key": "a.jpg", "version_id": null, "etag": null, "sha256": "a".repeat(64), "bytes": 7,
            "format": "jpeg", "width": 8, "height": 8},
        "decision": decision, "score": {"synthetic": 0.5, "logit": 0.0, "calibrated": false, "threshold_low": 0.35,
            "threshold_high": 0.65},
        "generator": null, "model": {"version": "m1", "sha256": "b".repeat(64), "labels": "none", "trained": true},
        "quality": [], "purpose": "live", "generation": generation, "reused_from": null, "supersedes": null,
        "attempt": 3, "timing_ms": {"queue": 1, "fetch": 1, "decode": 1, "batch": 1, "infer": 1, "record": 1},
        "batch_size": 4, "decided_at": "2026-11-24T09:00:00Z", "worker": {"version": "0", "device": "cpu"}, "metadata": {"a": 1},
    });
    if decision == Decision::Synthetic {
        document["generator"] = json!({"label": "midjourney", "family": "midjourney", "confidence": 0.9, "novelty": null,
            "candidates": [{"label": "midjourney", "score": 0.9}]});
    }
    serde_json::from_value(document).unwrap()
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome::Verdict(Box::new(verdict))
}

fn decision(of: &Verdict, origin: LabelledOrigin) -> ReviewDecision {
    ReviewDecision {
        schema: ReviewDecision::SCHEMA.into(),
        decision_id: Uuid::from_u128(9),
        tenant: of.tenant.clone(),
        submission_id: of.submission_id.clone(),
        outcome_id: of.verdict_id,
        generation: of.generation,
        decision: origin,
        generator: None,
        grounds: vec![ReviewGround::KnownSource],
        reviewers: vec!["r-1".into(), "r-2".into()],
        decided_at: of.decided_at + time::Duration::hours(1),
    }
}

fn worker() -> WorkerRef {
    WorkerRef { version: "1".into(), device: "cpu".into() }
}

fn becomes<'a>(decision: &ReviewDecision, known: &'a Generations) -> Next<'a> {
    next(decision, known, &worker(), OffsetDateTime::UNIX_EPOCH)
}

#[test]
fn a_decision_is_the_verdict_of_the_next_generation_with_the_scores_of_the_one_that_was_reviewed() {
    let first = verdict_of(0, Decision::Synthetic);
    let failure = {
        let mut failure = Failure::new(&request(), FailureCode::ObjectNotFound, "gone", OffsetDateTime::UNIX_EPOCH);
        failure.generation = 1;
        failure
    };
    let known = Generations { outcomes: vec![outcome(first.clone()), Outcome::Failure(Box::new(failure))], gone: None };
    let Next::Verdict(verdict) = becomes(&decision(&first, LabelledOrigin::Real), &known) else { panic!() };
    assert_eq!((verdict.generation, verdict.decision, verdict.decided_by), (2, Decision::Real, DecidedBy::Review));
    assert_eq!((&verdict.score, &verdict.image, &verdict.model), (&first.score, &first.image, &first.model));
    assert_eq!(verdict.verdict_id, OutcomeId::of(&verdict.key()));
    assert_eq!((verdict.supersedes, verdict.reused_from), (Some(known.outcomes[1].id()), Some(first.verdict_id)));
    assert_eq!(verdict.previous, Some(Previous::of(&first)));
    assert_eq!((verdict.generator.as_ref(), verdict.batch_size), (None, 0));
    assert_eq!(verdict.review.as_ref().unwrap().reviewers, ["r-1", "r-2"]);
}

fn request() -> domain::Request {
    domain::Request {
        key: SubmissionKey { tenant: "acme".into(), submission_id: "post-1".into(), generation: 1 },
        image: domain::ImageRef { bucket: "uploads".into(), key: "a.jpg".into(), ..domain::ImageRef::default() },
        deadline: None,
        purpose: domain::Purpose::Live,
        metadata: serde_json::Map::new(),
        context: Context::default(),
    }
}

#[test]
fn a_decision_that_comes_twice_is_published_again_and_recorded_once() {
    let first = verdict_of(0, Decision::Uncertain);
    let decided = decision(&first, LabelledOrigin::Synthetic);
    let mut known = Generations { outcomes: vec![outcome(first)], gone: None };
    let Next::Verdict(second) = becomes(&decided, &known) else { panic!() };
    known.outcomes.push(Outcome::Verdict(second));
    assert_eq!(becomes(&decided, &known), Next::Standing(&known.outcomes[1]));
    // Also where the model has judged again since.
    known.outcomes.push(outcome(verdict_of(2, Decision::Uncertain)));
    assert_eq!(becomes(&decided, &known), Next::Standing(&known.outcomes[1]));
}

#[test]
fn a_generator_that_people_name_is_the_verdicts() {
    let first = verdict_of(0, Decision::Uncertain);
    let known = Generations { outcomes: vec![outcome(first.clone())], gone: None };
    let named = ReviewDecision { generator: Some("sdxl-1.0".into()), ..decision(&first, LabelledOrigin::Synthetic) };
    let Next::Verdict(verdict) = becomes(&named, &known) else { panic!() };
    let guess = verdict.generator.unwrap();
    assert_eq!((guess.label.as_str(), guess.confidence), ("sdxl-1.0", None));
}

#[test]
fn nothing_follows_from_what_is_said_already_or_decided_again_since() {
    let first = verdict_of(0, Decision::Uncertain);
    let synthetic = decision(&first, LabelledOrigin::Synthetic);
    let model_agrees =
        Generations { outcomes: vec![outcome(first.clone()), outcome(verdict_of(1, Decision::Synthetic))], gone: None };
    assert!(matches!(becomes(&synthetic, &model_agrees), Next::Nothing(_)));
    let again = Verdict {
        decided_by: DecidedBy::Review,
        decided_at: synthetic.decided_at + time::Duration::seconds(1),
        ..verdict_of(1, Decision::Real)
    };
    let known = Generations { outcomes: vec![outcome(first), outcome(again)], gone: None };
    assert!(matches!(becomes(&synthetic, &known), Next::Nothing(_)));
}

#[test]
fn a_decision_on_what_is_not_there_never_becomes_a_verdict() {
    let first = verdict_of(0, Decision::Uncertain);
    let real = decision(&first, LabelledOrigin::Real);
    let erased = Generations { outcomes: Vec::new(), gone: Some(Gone::Erased { at: OffsetDateTime::UNIX_EPOCH }) };
    let says = |next: Next<'_>| match next {
        Next::Never(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert!(says(becomes(&real, &erased)).contains("erased"));
    assert!(says(becomes(&real, &Generations::default())).contains("not there"));
    let known = Generations { outcomes: vec![outcome(first.clone())], gone: None };
    let others = ReviewDecision { tenant: "globex".into(), ..real.clone() };
    assert!(says(becomes(&others, &known)).contains("not there"), "another tenant's verdict");
    let mut other_image = verdict_of(1, Decision::Uncertain);
    other_image.image.sha256 = "c".repeat(64);
    let known = Generations { outcomes: vec![outcome(first), outcome(other_image)], gone: None };
    assert!(says(becomes(&real, &known)).contains("another image"));
}
