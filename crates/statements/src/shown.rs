//! What a template of facts is shown: a closed list of values, none of which names a submission, an object or a person.

use domain::{Action, AppliedPolicy, Claim, LabelledOrigin, QualityFlag, Verdict};
use minijinja::{Value, context};
use time::{Date, OffsetDateTime, UtcOffset};

use crate::facts::{Resolution, Review, model_decision};

/// The names of all of it, as templates write them.
pub(crate) const NAMES: &[&str] = &[
    "action",
    "calibrated",
    "decided_on",
    "decision",
    "generator",
    "generator.confidence",
    "generator.family",
    "generator.label",
    "model",
    "model.digest",
    "model.trained",
    "model.version",
    "model_decision",
    "policy",
    "policy.because",
    "policy.rule",
    "policy.version",
    "provenance",
    "quality",
    "review",
    "review.date",
    "review.found",
    "review.resolution",
    "score",
    "threshold_high",
    "threshold_low",
];

/// The values of one statement. Metadata, tenant, ids, bucket, key, etag, digest and worker are not among them, and never
/// become so by accident: what a template can see is built here, field by field.
pub(crate) fn values(verdict: &Verdict, policy: &AppliedPolicy, review: Option<Review>) -> Value {
    let score = &verdict.score;
    context! {
        action => policy.action.as_str(),
        calibrated => score.calibrated,
        decided_on => day(verdict.decided_at).to_string(),
        decision => verdict.decision.as_str(),
        generator => verdict.generator.as_ref().map(|guess| context! {
            label => &guess.label,
            family => &guess.family,
            confidence => guess.confidence.map(shortest),
        }),
        model => context! {
            version => &verdict.model.version,
            digest => &verdict.model.sha256,
            trained => verdict.model.trained,
        },
        model_decision => model_decision(score).as_str(),
        policy => context! { version => &policy.version, rule => &policy.rule, because => &policy.because },
        provenance => verdict.provenance.as_ref().map(|provenance| claim(provenance.class)),
        quality => verdict.quality.iter().copied().map(quality).collect::<Vec<_>>(),
        review => review.map(|review| review_values(review, review.resolution(score))),
        score => shortest(score.synthetic),
        threshold_high => shortest(score.threshold_high),
        threshold_low => shortest(score.threshold_low),
    }
}

/// The day in UTC.
pub(crate) fn day(at: OffsetDateTime) -> Date {
    at.checked_to_offset(UtcOffset::UTC).unwrap_or(at).date()
}

/// Every kind of statement that there is, with texts as long as they may be: what a template is tried on.
pub(crate) fn samples() -> Vec<Value> {
    let decisions = [("synthetic", 0.9), ("real", 0.1), ("uncertain", 0.5)];
    let claims = ["claimed_synthetic", "claimed_edit", "claimed_capture", "none"].map(Some);
    let resolutions = [Resolution::Confirmed, Resolution::Overruled, Resolution::Decided].map(Some);
    let mut samples = Vec::new();
    for decision in decisions {
        for provenance in [None].into_iter().chain(claims) {
            for resolution in [None].into_iter().chain(resolutions) {
                for action in [Action::Label, Action::Limit, Action::Block] {
                    for label in [None, Some("midjourney"), Some("unknown")] {
                        samples.push(sample(decision, provenance, resolution, action, label));
                    }
                }
            }
        }
    }
    samples
}

fn sample(
    (decision, score): (&str, f64),
    provenance: Option<&str>,
    resolution: Option<Resolution>,
    action: Action,
    label: Option<&str>,
) -> Value {
    let found = Review { found: LabelledOrigin::Synthetic, decided_at: OffsetDateTime::UNIX_EPOCH };
    // What may be absent is so together with something else that may: each branch is taken, not each pair of them.
    let (because, rule) = (provenance.map(|_| "b".repeat(500)), provenance.map(|_| "r".repeat(64)));
    let confidence = label.filter(|label| *label != "unknown").map(|_| 0.9);
    context! {
        action => action.as_str(),
        calibrated => label.is_some(),
        decided_on => "1970-01-01",
        decision,
        generator => label.map(|label| context! { label, family => label, confidence }),
        model => context! { version => "m".repeat(64), digest => "0".repeat(64), trained => provenance.is_some() },
        model_decision => decision,
        policy => context! { version => "0".repeat(12), rule, because },
        provenance,
        quality => ["animated", "greyscale"],
        review => resolution.map(|resolution| review_values(found, resolution)),
        score,
        threshold_high => 0.65,
        threshold_low => 0.35,
    }
}

fn review_values(review: Review, resolution: Resolution) -> Value {
    context! {
        date => day(review.decided_at).to_string(),
        found => review.found.as_str(),
        resolution => resolution.as_str(),
    }
}

/// The number as people write it: widened as it is, 0.9 would become 0.8999999761581421.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

fn claim(class: Claim) -> &'static str {
    match class {
        Claim::ClaimedSynthetic => "claimed_synthetic",
        Claim::ClaimedEdit => "claimed_edit",
        Claim::ClaimedCapture => "claimed_capture",
        Claim::None => "none",
    }
}

fn quality(flag: QualityFlag) -> &'static str {
    match flag {
        QualityFlag::LowResolution => "low_resolution",
        QualityFlag::Animated => "animated",
        QualityFlag::Transparent => "transparent",
        QualityFlag::Greyscale => "greyscale",
        QualityFlag::Damaged => "damaged",
        QualityFlag::UnfamiliarCodec => "unfamiliar_codec",
    }
}
