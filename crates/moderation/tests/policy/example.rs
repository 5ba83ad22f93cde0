//! The policy of the documents.

use domain::Decision;
use moderation::{Action, Policy, check};

use crate::verdicts::{generator, verdict};

const EXAMPLE: &str = include_str!("../../example.toml");

#[test]
fn the_example_is_a_policy_that_may_be_put_in_force() {
    let policy = Policy::read(EXAMPLE).unwrap();
    assert_eq!(check(&policy), []);
    for action in Action::ALL {
        assert!(policy.rules().iter().any(|rule| rule.action() == action), "{}", action.as_str());
    }
}

#[test]
fn every_field_of_a_rule_is_shown_in_the_example() {
    let canonical: serde_json::Value = serde_json::from_str(Policy::read(EXAMPLE).unwrap().canonical()).unwrap();
    let rules = canonical["rules"].as_array().unwrap();
    for field in [
        "tenant",
        "decision",
        "score",
        "family",
        "novelty",
        "quality",
        "no_quality",
        "provenance",
        "purpose",
        "metadata",
    ] {
        assert!(rules.iter().any(|rule| rule["when"].get(field).is_some()), "{field}");
    }
}

#[test]
fn the_example_does_what_its_comments_say() {
    let policy = Policy::read(EXAMPLE).unwrap();
    let rule = |change: fn(&mut domain::Verdict)| {
        let mut verdict = verdict();
        change(&mut verdict);
        policy.apply(&verdict).rule.unwrap_or_default()
    };
    assert_eq!(rule(|verdict| verdict.score.synthetic = 0.995), "certain-synthetic");
    assert_eq!(rule(|_| {}), "synthetic");
    assert_eq!(rule(|verdict| verdict.generator = generator("unknown", Some(0.95))), "unknown-generator");
    assert_eq!(rule(|verdict| verdict.decision = Decision::Uncertain), "uncertain");
    assert_eq!(rule(|verdict| verdict.decision = Decision::Real), "");
}
