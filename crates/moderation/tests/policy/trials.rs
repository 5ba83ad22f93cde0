//! What a policy would have done.

use domain::{LabelledOrigin, Verdict};
use moderation::{Action, Policy, Trial, TrialReport, Tried};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::drafts::{drafts, file};
use crate::verdicts::{numbered, verdict, verdicts};

const POLICY: &str = r#"
    [[rules]]
    name = "sure"
    score.at_least = 0.9
    action = "block"
    because = "Almost certainly synthetic."
    [[rules]]
    name = "likely"
    score.at_least = 0.5
    action = "review"
    because = "Somebody should look."
    [[rules]]
    name = "zenith"
    tenant = "zenith"
    action = "label"
    because = "By contract."
"#;

struct Stored {
    verdict: Verdict,
    before: Option<Action>,
    label: Option<LabelledOrigin>,
}

fn stored(number: u32, score: f32, before: Option<Action>, label: Option<LabelledOrigin>) -> Stored {
    let mut verdict = numbered(number, verdict());
    verdict.score.synthetic = score;
    Stored { verdict, before, label }
}

fn trial<'p, 's>(policy: &'p Policy, stored: impl IntoIterator<Item = &'s Stored>) -> Trial<'p> {
    let mut trial = Trial::of(policy, "since 7d");
    for Stored { verdict, before, label } in stored {
        trial.count(Tried { verdict, before: *before, label: *label });
    }
    trial
}

fn twenty() -> Vec<Stored> {
    let (real, synthetic) = (Some(LabelledOrigin::Real), Some(LabelledOrigin::Synthetic));
    let mut all: Vec<_> = (0..9).map(|number| stored(number, 0.95, None, synthetic)).collect();
    all.push(stored(9, 0.95, Some(Action::None), real));
    all.push(stored(10, 0.95, Some(Action::Block), None));
    all.extend((11..14).map(|number| stored(number, 0.6, Some(Action::Block), None)));
    all.extend((14..20).map(|number| stored(number, 0.1, None, real)));
    all
}

#[test]
fn actions_rules_and_changes_are_counted() {
    let policy = Policy::read(POLICY).unwrap();
    let report = trial(&policy, &twenty()).report();
    assert_eq!((report.verdicts, report.unchanged, report.no_rule), (20, 7, 6));
    let actions: Vec<_> = report.actions.iter().map(|count| (count.action.as_str(), count.verdicts)).collect();
    assert_eq!(actions, [("none", 6), ("label", 0), ("limit", 0), ("review", 3), ("block", 11)]);
    let rules: Vec<_> = report.rules.iter().map(|rule| (rule.number, rule.rule.as_str(), rule.verdicts)).collect();
    assert_eq!(rules, [(1, "sure", 11), (2, "likely", 3), (3, "zenith", 0)]);
    let changes: Vec<_> = report.changes.iter().map(|change| (change.from, change.to, change.verdicts)).collect();
    assert_eq!(changes, [(Action::None, Action::Block, 10), (Action::Block, Action::Review, 3)]);
    let examples: Vec<_> = report.changes.iter().map(|change| change.examples.len()).collect();
    assert_eq!(examples, [5, 3]);
    assert_eq!(report.changes[1].examples[0].tenant, "acme");
}

#[test]
fn the_precision_of_an_action_is_the_share_of_synthetic_labels() {
    let policy = Policy::read(POLICY).unwrap();
    let report = trial(&policy, &twenty()).report();
    let [label, limit, review, block] = report.precision[..] else { panic!("{:?}", report.precision) };
    assert_eq!((block.action, block.labelled, block.synthetic, block.precision), (Action::Block, 10, 9, Some(0.9)));
    // Wilson's interval for 9 of 10, by hand: (0.9 + z²/20 ± z √(0.09/10 + z²/400)) / (1 + z²/10), z = 1.96.
    let [low, high] = block.interval.unwrap();
    assert!((low - 0.5958).abs() < 5e-4 && (high - 0.9821).abs() < 5e-4, "{low} {high}");
    for (unlabelled, action) in [(label, Action::Label), (limit, Action::Limit), (review, Action::Review)] {
        assert_eq!((unlabelled.action, unlabelled.labelled), (action, 0));
        assert_eq!((unlabelled.precision, unlabelled.interval), (None, None));
    }
}

#[test]
fn the_digest_is_of_policy_selection_and_counts() {
    let policy = Policy::read(POLICY).unwrap();
    let all = twenty();
    let digest = trial(&policy, &all).digest();
    assert_eq!(digest, "acfa812bfaf66343efba0bdebc8a1a54907589613876de84e61d2f5f4a084019");
    assert_eq!(trial(&policy, &all).report().digest, digest);
    let other_policy = Policy::read(&POLICY.replace("By contract", "By law")).unwrap();
    assert_ne!(trial(&other_policy, &all).digest(), digest);
    assert_ne!(Trial::of(&policy, "since 7d").digest(), Trial::of(&policy, "since 8d").digest());
    for index in 0..all.len() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, stored)| stored);
        assert_ne!(trial(&policy, others).digest(), digest);
    }
    for change in [
        |stored: &mut Stored| stored.before = Some(Action::Limit),
        |stored: &mut Stored| stored.label = Some(LabelledOrigin::Real),
        |stored: &mut Stored| stored.label = None,
        |stored: &mut Stored| stored.verdict.score.synthetic = 0.8,
    ] {
        let mut changed = twenty();
        change(&mut changed[0]);
        assert_ne!(trial(&policy, &changed).digest(), digest);
    }
    // Other submissions with the same counts are other examples, not another digest.
    let mut renamed = twenty();
    renamed[0].verdict = numbered(100, renamed[0].verdict.clone());
    assert_eq!(trial(&policy, &renamed).digest(), digest);
}

#[test]
fn a_report_has_a_form_for_programs() {
    let policy = Policy::read(POLICY).unwrap();
    let trial = trial(&policy, &[stored(1, 0.95, None, None)]);
    let report = serde_json::to_value(trial.report()).unwrap();
    let expected = json!({
        "digest": trial.digest(), "policy": policy.digest(), "version": policy.version(), "selection": "since 7d",
        "verdicts": 1, "unchanged": 0, "no_rule": 0,
        "actions": [
            {"action": "none", "verdicts": 0}, {"action": "label", "verdicts": 0}, {"action": "limit", "verdicts": 0},
            {"action": "review", "verdicts": 0}, {"action": "block", "verdicts": 1},
        ],
        "rules": [
            {"number": 1, "rule": "sure", "action": "block", "verdicts": 1},
            {"number": 2, "rule": "likely", "action": "review", "verdicts": 0},
            {"number": 3, "rule": "zenith", "action": "label", "verdicts": 0},
        ],
        "changes": [{
            "from": "none", "to": "block", "verdicts": 1,
            "examples": [{"tenant": "acme", "submission_id": "post-1", "generation": 0}],
        }],
        "precision": [
            {"action": "label", "labelled": 0, "synthetic": 0, "precision": null, "interval": null},
            {"action": "limit", "labelled": 0, "synthetic": 0, "precision": null, "interval": null},
            {"action": "review", "labelled": 0, "synthetic": 0, "precision": null, "interval": null},
            {"action": "block", "labelled": 0, "synthetic": 0, "precision": null, "interval": null},
        ],
    });
    assert_eq!(report, expected);
}

fn stores() -> impl Strategy<Value = Vec<Stored>> {
    let before = proptest::option::of(select(Action::ALL.to_vec()));
    let label = proptest::option::of(select(vec![LabelledOrigin::Real, LabelledOrigin::Synthetic]));
    proptest::collection::vec((verdicts(), before, label), 0..40).prop_map(|drawn| {
        let numbered = drawn.into_iter().zip(0..).map(|((verdict, before, label), number)| Stored {
            verdict: numbered(number, verdict),
            before,
            label,
        });
        numbered.collect()
    })
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.verdict, self.before, self.label)
    }
}

fn sums_agree(report: &TrialReport, count: u64) -> bool {
    let changed: u64 = report.changes.iter().map(|change| change.verdicts).sum();
    let by_action: u64 = report.actions.iter().map(|action| action.verdicts).sum();
    let by_rule: u64 = report.rules.iter().map(|rule| rule.verdicts).sum();
    [report.verdicts, report.unchanged + changed, by_action, by_rule + report.no_rule] == [count; 4]
}

proptest! {
    #[test]
    fn every_verdict_is_counted_once_in_each_table_and_in_any_order(
        rules in proptest::collection::vec(drafts(0.2), 1..5), stored in stores(),
    ) {
        let policy = Policy::read(&file(&rules)).unwrap();
        let report = trial(&policy, &stored).report();
        prop_assert!(sums_agree(&report, stored.len() as u64), "{report:?}");
        prop_assert_eq!(trial(&policy, stored.iter().rev()).report(), report.clone());
        for count in &report.actions {
            let applied = stored.iter().filter(|stored| policy.apply(&stored.verdict).action == count.action);
            prop_assert_eq!(applied.count() as u64, count.verdicts);
        }
        for change in &report.changes {
            prop_assert_eq!(change.examples.len() as u64, change.verdicts.min(5));
        }
    }
}
