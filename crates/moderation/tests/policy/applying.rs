//! What follows from verdicts.

use domain::{Claim, Decision, Provenance, QualityFlag, Verdict};
use moderation::{Action, AppliedPolicy, Policy};
use serde_json::json;

use crate::verdicts::{claim, generator, verdict};

fn rule(conditions: &str) -> Policy {
    let text = format!("[[rules]]\nname = \"only\"\naction = \"block\"\nbecause = \"So it is.\"\n{conditions}\n");
    Policy::read(&text).unwrap()
}

fn matches(conditions: &str, change: impl Fn(&mut Verdict)) -> bool {
    let mut verdict = verdict();
    change(&mut verdict);
    rule(conditions).apply(&verdict).rule.is_some()
}

#[test]
fn the_first_rule_that_matches_says_what_follows_and_why() {
    let policy = Policy::read(
        r#"
        [[rules]]
        name = "elsewhere"
        tenant = "zenith"
        action = "block"
        because = "Not here."
        [[rules]]
        name = "sure"
        score.at_least = 0.9
        action = "label"
        because = "Almost certainly synthetic."
        [[rules]]
        name = "rest"
        action = "review"
        because = "Somebody should look."
        "#,
    )
    .unwrap();
    let applied = policy.apply(&verdict());
    let expected = AppliedPolicy {
        version: policy.version().into(),
        rule: Some("sure".into()),
        action: Action::Label,
        because: Some("Almost certainly synthetic.".into()),
    };
    assert_eq!(applied, expected);
    let json = json!({
        "version": policy.version(), "rule": "sure", "action": "label", "because": "Almost certainly synthetic.",
    });
    assert_eq!(serde_json::to_value(&applied).unwrap(), json);
    assert_eq!(serde_json::from_value::<AppliedPolicy>(json).unwrap(), applied);
}

#[test]
fn where_no_rule_matches_nothing_follows() {
    let policy = rule("tenant = \"zenith\"");
    let applied = policy.apply(&verdict());
    assert_eq!((applied.rule, applied.action, applied.because), (None, Action::None, None));
    assert_eq!(applied.version, policy.version());
}

#[test]
fn a_rule_without_conditions_matches_everything() {
    assert!(matches("", |_| {}));
    assert!(matches("", |verdict| verdict.score.synthetic = f32::NAN));
}

#[test]
fn a_bound_is_the_number_that_the_document_shows() {
    // As 64-bit floats the verdict's 0.9 is less than 0.9.
    assert!(f64::from(verdict().score.synthetic) < 0.9);
    assert!(matches("score.at_least = 0.9", |_| {}) && !matches("score.below = 0.9", |_| {}));
    assert!(!matches("score.at_least = 0.9", |verdict| verdict.score.synthetic = 0.9_f32.next_down()));
    assert!(matches("score.at_least = 1", |verdict| verdict.score.synthetic = 1.0));
    assert!(!matches("score.below = 1", |verdict| verdict.score.synthetic = 1.0));
    assert!(!matches("score.at_least = 0", |verdict| verdict.score.synthetic = f32::NAN));
}

#[test]
fn what_a_verdict_lacks_lies_in_no_range_and_no_list() {
    let flux = |verdict: &mut Verdict| verdict.generator = generator("flux", None);
    assert!(matches("family = \"flux\"", flux) && !matches("family = \"flux\"", |_| {}));
    assert!(!matches("novelty.at_least = 0", flux) && !matches("novelty.at_least = 0", |_| {}));
    assert!(matches("novelty.below = 0.5", |verdict| verdict.generator = generator("flux", Some(0.4))));
    assert!(matches("family = \"unknown\"", |verdict| verdict.generator = generator("unknown", Some(0.9))));
    // Null says less than `none`, which is what is said of a file without any words.
    let all = "provenance = [\"claimed_synthetic\", \"claimed_edit\", \"claimed_capture\", \"none\"]";
    assert!(!matches(all, |_| {}) && matches(all, |verdict| verdict.provenance = Some(Provenance::default())));
    assert!(!matches("provenance = \"none\"", |verdict| verdict.provenance = claim(Claim::ClaimedEdit)));
    assert!(!matches("metadata.channel = \"\"", |_| {}));
}

#[test]
fn a_generator_counts_for_synthetic_images_only() {
    assert!(!matches("family = \"flux\"", |verdict| {
        verdict.decision = Decision::Real;
        verdict.generator = generator("flux", Some(0.1));
    }));
}

#[test]
fn quality_wants_one_of_its_flags_and_no_quality_none() {
    let wanted = "quality = [\"damaged\", \"animated\"]\nno_quality = [\"greyscale\", \"animated\"]";
    let flagged = |flags: &[QualityFlag]| matches(wanted, |verdict| verdict.quality = flags.to_vec());
    assert!(flagged(&[QualityFlag::Damaged]) && flagged(&[QualityFlag::Transparent, QualityFlag::Damaged]));
    assert!(!flagged(&[]) && !flagged(&[QualityFlag::Transparent]) && !flagged(&[QualityFlag::Animated]));
    assert!(!flagged(&[QualityFlag::Damaged, QualityFlag::Greyscale]));
}

#[test]
fn metadata_is_equal_by_type_and_value() {
    let given = |toml: &str, json: &str| {
        matches(&format!("metadata.\"a b\" = {toml}"), |verdict| {
            verdict.metadata.insert("a b".into(), serde_json::from_str(json).unwrap());
        })
    };
    assert!(given("[\"x\", \"ads\"]", "\"ads\"") && !given("\"ads\"", "[\"ads\"]") && !given("\"1\"", "1"));
    assert!(given("1", "1.00") && given("0x10", "16") && given("1_000", "1e3") && !given("1", "true"));
    // More digits than any float has.
    assert!(!given("0.1", "0.1000000000000000000000000000001") && !given("9007199254740993", "9007199254740992"));
    assert!(given("false", "false") && !given("false", "null"));
}

#[test]
fn the_verdict_is_the_same_as_before() {
    let (before, after) = (verdict(), verdict());
    rule("").apply(&after);
    assert_eq!(before, after);
}
