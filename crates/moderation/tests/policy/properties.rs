//! What holds of every policy and every verdict.

use std::collections::BTreeMap;

use domain::{Claim, Decision, Purpose, QualityFlag, Verdict};
use moderation::{Cause, Policy, check};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::drafts::{BOUNDS, Draft, drafts, file};
use crate::verdicts::{claim, generator, verdict, verdicts};

proptest! {
    #[test]
    fn the_first_rule_that_matches_decides(rules in vec(drafts(0.25), 1..6), verdicts in vec(verdicts(), 20)) {
        let policy = Policy::read(&file(&rules)).unwrap();
        for verdict in verdicts {
            let applied = policy.apply(&verdict);
            let expected = rules.iter().position(|rule| rule.matches(&verdict));
            prop_assert_eq!(applied.rule, expected.map(|index| format!("r-{}", index + 1)));
            prop_assert_eq!(applied.action.as_str(), expected.map_or("none", |index| rules[index].action));
            prop_assert_eq!(applied.because.is_some(), expected.is_some());
            prop_assert_eq!(applied.version, policy.version());
        }
    }

    #[test]
    fn what_is_called_dead_matches_nothing(rules in vec(drafts(0.2), 1..8), verdicts in vec(verdicts(), 40)) {
        let policy = Policy::read(&file(&rules)).unwrap();
        for finding in check(&policy) {
            let rule = &rules[finding.rule.number - 1];
            for verdict in verdicts.iter().filter(|verdict| rule.matches(verdict)) {
                match &finding.cause {
                    Cause::Impossible { .. } => prop_assert!(false, "{finding}"),
                    // Whatever it matches, the rule matches that is said to hide it.
                    Cause::Hidden { by } | Cause::Repeated { by } | Cause::Contradicted { by, .. } => {
                        prop_assert!(by.number < finding.rule.number && rules[by.number - 1].matches(verdict), "{finding}");
                    }
                }
                prop_assert_ne!(policy.apply(verdict).rule, finding.rule.name.clone());
            }
        }
    }

    #[test]
    fn a_rule_before_its_like_is_always_found(rule in drafts(0.3), others in vec(drafts(0.3), 0..4)) {
        let mut like = rule.clone();
        like.action = "label";
        let rules: Vec<_> = std::iter::once(rule).chain(others).chain([like]).collect();
        let policy = Policy::read(&file(&rules)).unwrap();
        let findings = check(&policy);
        let last = findings.iter().filter(|finding| finding.rule.number == rules.len()).collect::<Vec<_>>();
        let fits = |cause: &Cause| matches!(cause, Cause::Impossible { .. } | Cause::Contradicted { .. });
        prop_assert!(!last.is_empty() && last.iter().all(|finding| fits(&finding.cause)), "{last:?}");
    }

    #[test]
    fn comments_blank_lines_and_the_order_of_keys_are_no_part_of_the_version(
        rules in vec(drafts(0.3), 1..5), places in any::<u64>(),
    ) {
        let text = file(&rules);
        let policy = Policy::read(&text).unwrap();
        let moved: String = text
            .split_inclusive("[[rules]]\n")
            .map(|rule| {
                let (body, head) = rule.strip_suffix("[[rules]]\n").map_or((rule, ""), |body| (body, "[[rules]]\n"));
                let mut lines: Vec<_> = body.lines().collect();
                let by = places as usize % lines.len().max(1);
                lines.rotate_left(by);
                let body: String = lines.iter().map(|line| format!("  {line}   # {places}\n\n")).collect();
                body + head
            })
            .collect();
        let again = Policy::read(&moved).unwrap();
        prop_assert_eq!(policy.digest(), again.digest());
        prop_assert_eq!(policy.canonical(), again.canonical());
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[\\[\\]a-z=\"'{}.,0-9#\\n \\\\éλ-]{0,200}") {
        if let Err(errors) = Policy::read(&text) {
            prop_assert!(!errors.faults().is_empty() && !errors.to_string().is_empty());
        }
    }

    #[test]
    fn a_file_with_one_odd_character_is_read_or_refused(
        rules in vec(drafts(0.4), 1..3), at in any::<prop::sample::Index>(), odd in any::<char>(),
    ) {
        let mut characters: Vec<char> = file(&rules).chars().collect();
        let at = at.index(characters.len());
        characters[at] = odd;
        match Policy::read(&characters.into_iter().collect::<String>()) {
            Ok(policy) => prop_assert!(policy.rules().len() <= rules.len()),
            Err(errors) => prop_assert!(!errors.faults().is_empty()),
        }
    }
}

/// For each thing that a verdict says by itself, verdicts with everything that drafts can tell apart of it.
fn kinds() -> Vec<Vec<Verdict>> {
    let numbers = || BOUNDS.map(|bound| bound.parse::<f32>().unwrap()).into_iter();
    let mut images = vec![(Decision::Real, None), (Decision::Uncertain, None), (Decision::Synthetic, None)];
    for family in ["flux", "gan", "unknown", "other"] {
        let novelties = numbers().map(Some).chain([None]);
        images.extend(novelties.map(|novelty| (Decision::Synthetic, generator(family, novelty))));
    }
    let flags = [QualityFlag::Damaged, QualityFlag::Animated, QualityFlag::Greyscale];
    let sets = (0..8).map(|set| (0..3).filter(|bit| set >> bit & 1 == 1).map(|bit| flags[bit]).collect::<Vec<_>>());
    let claims = [
        None,
        claim(Claim::ClaimedSynthetic),
        claim(Claim::ClaimedEdit),
        claim(Claim::ClaimedCapture),
        claim(Claim::None),
    ];
    let values =
        || ["ads", "feed", "other"].map(Value::from).into_iter().chain([json!(true), json!(1), json!(0.1), json!(2)]);
    let with = |key: &'static str| {
        let given = values().map(move |value| changed(|verdict| drop(verdict.metadata.insert(key.into(), value))));
        given.chain([verdict()]).collect()
    };
    vec![
        ["acme", "zenith", "other"].map(|tenant| changed(|verdict| verdict.tenant = tenant.into())).into(),
        [Purpose::Live, Purpose::Backfill, Purpose::Reverdict]
            .map(|purpose| changed(|verdict| verdict.purpose = purpose))
            .into(),
        claims.map(|claim| changed(|verdict| verdict.provenance = claim)).into(),
        numbers().chain([f32::NAN]).map(|score| changed(|verdict| verdict.score.synthetic = score)).collect(),
        sets.map(|set| changed(|verdict| verdict.quality = set)).collect(),
        images.into_iter().map(|image| changed(|verdict| (verdict.decision, verdict.generator) = image)).collect(),
        with("channel"),
        with("age"),
    ]
}

fn changed(change: impl FnOnce(&mut Verdict)) -> Verdict {
    let mut verdict = verdict();
    change(&mut verdict);
    verdict
}

/// What `check` should say of a rule, found by trying out all that verdicts can say.
#[derive(Debug, PartialEq)]
enum Expected {
    Impossible,
    Hidden,
    Repeated,
    Contradicted,
}

fn expected(rules: &[Draft]) -> BTreeMap<usize, Expected> {
    let kinds = kinds();
    // For each rule and each thing, the kinds that the rule accepts. The rule matches what is accepted in each of them.
    let accepted = |rule: &Draft| -> Vec<Vec<bool>> {
        let parts = rule.parts().into_iter().zip(&kinds);
        parts.map(|(part, kinds)| kinds.iter().map(|kind| part.matches(kind)).collect()).collect()
    };
    let accepted: Vec<_> = rules.iter().map(accepted).collect();
    let possible = |rule: usize| accepted[rule].iter().all(|kinds| kinds.contains(&true));
    let within = |inner: usize, outer: usize| {
        let mut pairs = accepted[inner].iter().flatten().zip(accepted[outer].iter().flatten());
        pairs.all(|(inner, outer)| *outer || !inner)
    };
    let judge = |rule: usize| {
        if !possible(rule) {
            return Some(Expected::Impossible);
        }
        let wider: Vec<_> = (0..rule).filter(|first| possible(*first) && within(rule, *first)).collect();
        match wider.iter().find(|first| within(**first, rule)) {
            Some(same) if rules[*same].action == rules[rule].action => Some(Expected::Repeated),
            Some(_) => Some(Expected::Contradicted),
            None => (!wider.is_empty()).then_some(Expected::Hidden),
        }
    };
    (0..rules.len()).filter_map(|rule| Some((rule + 1, judge(rule)?))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn exactly_those_rules_are_called_dead_that_one_other_or_their_own_conditions_keep_from_matching(
        rules in (0.05..0.4).prop_flat_map(|share| vec(drafts(share), 1..6)),
    ) {
        let policy = Policy::read(&file(&rules)).unwrap();
        let mut found = BTreeMap::new();
        for finding in check(&policy) {
            let kind = match finding.cause {
                Cause::Impossible { .. } => Expected::Impossible,
                Cause::Hidden { .. } => Expected::Hidden,
                Cause::Repeated { .. } => Expected::Repeated,
                Cause::Contradicted { .. } => Expected::Contradicted,
            };
            found.insert(finding.rule.number, kind);
        }
        prop_assert_eq!(found, expected(&rules));
    }
}
