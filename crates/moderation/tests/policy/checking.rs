//! Rules that can never match.

use moderation::{Policy, check};
use serde_json::json;

/// What is said of rules with these conditions and actions; rule `N` is named `r-N` and stands in line 5 · N − 4.
fn findings(rules: &[(&str, &str)]) -> Vec<String> {
    let written = rules.iter().enumerate().map(|(index, (conditions, action))| {
        format!("[[rules]]\nname = \"r-{}\"\naction = \"{action}\"\nbecause = \"-\"\n{conditions}\n", index + 1)
    });
    let policy = Policy::read(&written.collect::<String>()).unwrap();
    check(&policy).iter().map(ToString::to_string).collect()
}

fn finding(rules: &[(&str, &str)]) -> String {
    let found = findings(rules);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn a_range_without_numbers_is_found() {
    for bounds in
        ["at_least = 0.5, below = 0.5", "at_least = 0.6, below = 0.5", "at_least = 0.50000001, below = 0.50000002"]
    {
        let found = finding(&[(&format!("score = {{ {bounds} }}"), "review")]);
        assert!(
            found.starts_with("line 1, rule 1 `r-1`: can never match: `score` holds no number: as 32-bit floats,"),
            "{found}"
        );
    }
    let found = finding(&[("novelty.below = 0", "review")]);
    assert!(found.contains("`novelty` holds no number: none is below 0;"), "{found}");
    assert_eq!(findings(&[("score = { at_least = 0.5, below = 0.5000001 }", "review")]), [""; 0]);
}

#[test]
fn a_generator_of_images_that_are_not_synthetic_is_found() {
    let found = findings(&[("decision = [\"real\", \"uncertain\"]\nfamily = \"flux\"\nnovelty.below = 0.5", "review")]);
    assert_eq!(found.len(), 2);
    assert!(
        found[0].contains("`family` is known of synthetic images only, and `decision` leaves them out; add"),
        "{}",
        found[0]
    );
    assert!(found[1].contains("`novelty` is known of synthetic images only"), "{}", found[1]);
    assert_eq!(findings(&[("decision = [\"real\", \"synthetic\"]\nfamily = \"flux\"", "review")]), [""; 0]);
}

#[test]
fn flags_that_are_wanted_and_ruled_out_are_found() {
    let found = finding(&[("quality = \"damaged\"\nno_quality = [\"animated\", \"damaged\"]", "review")]);
    assert!(found.contains("`quality` wants one of the flags that `no_quality` rules out"), "{found}");
    assert_eq!(findings(&[("quality = [\"damaged\", \"animated\"]\nno_quality = \"damaged\"", "review")]), [""; 0]);
}

#[test]
fn a_rule_behind_a_wider_one_is_found_with_that_one_named() {
    let found = finding(&[
        ("tenant = \"zenith\"", "none"),
        ("score.at_least = 0.5", "label"),
        ("score.at_least = 0.9", "block"),
    ]);
    let expected = "line 11, rule 3 `r-3`: can never match: rule 2 `r-2` comes first and matches whatever it matches; put it before \
                    that rule, narrow that rule, or leave it out";
    assert_eq!(found, expected);
    for (wider, narrower) in [
        ("", "tenant = \"acme\""),
        ("tenant = [\"acme\", \"zenith\"]", "tenant = \"acme\"\ndecision = \"real\""),
        ("decision = \"synthetic\"", "family = \"flux\""),
        ("decision = [\"real\", \"synthetic\", \"uncertain\"]", ""),
        ("purpose = [\"live\", \"backfill\", \"reverdict\"]", "score.below = 0.5"),
        ("score.at_least = 0", "score.below = 0.5"),
        ("quality = [\"damaged\", \"animated\"]", "quality = \"damaged\""),
        ("quality = \"damaged\"", "quality = [\"damaged\", \"animated\"]\nno_quality = \"animated\""),
        ("no_quality = \"damaged\"", "no_quality = [\"damaged\", \"animated\"]"),
        ("provenance = [\"none\", \"claimed_edit\"]", "provenance = \"none\""),
        ("metadata.a = [\"x\", \"y\"]", "metadata.a = \"y\"\nmetadata.b = 1"),
        ("metadata.a = 1.0", "metadata.a = 1\nmetadata.b = true"),
    ] {
        let found = finding(&[(wider, "label"), (narrower, "label")]);
        assert!(
            found.contains("rule 2 `r-2`: can never match: rule 1 `r-1` comes first"),
            "{wider} / {narrower}: {found}"
        );
        assert!(
            findings(&[(narrower, "label"), (wider, "label")]).iter().all(|found| found.contains("same conditions"))
        );
    }
}

#[test]
fn rules_that_only_overlap_are_left_alone() {
    for (first, second) in [
        ("tenant = \"acme\"", "tenant = [\"acme\", \"zenith\"]"),
        ("score.at_least = 0", ""),
        ("family = \"flux\"", "decision = \"synthetic\""),
        ("provenance = [\"claimed_synthetic\", \"claimed_edit\", \"claimed_capture\", \"none\"]", ""),
        ("quality = \"damaged\"", "quality = [\"damaged\", \"animated\"]"),
        ("no_quality = [\"damaged\", \"animated\"]", "no_quality = \"damaged\""),
        ("quality = \"damaged\"", "no_quality = \"animated\""),
        ("metadata.a = 1", "metadata.a = \"1\""),
        ("metadata.a = true", "metadata.a = false"),
        ("novelty.below = 0.5", "family = \"flux\""),
    ] {
        assert_eq!(findings(&[(first, "label"), (second, "block")]), [""; 0], "{first} / {second}");
    }
}

#[test]
fn the_same_conditions_with_another_action_are_a_contradiction() {
    let first = "tenant = [\"acme\", \"zenith\"]\nscore = { at_least = 0.90 }\nmetadata.age = 1.0";
    let second = "metadata.age = 10e-1\nscore.at_least = 9e-1\ntenant = [\"zenith\", \"acme\"]";
    let found = finding(&[(first, "block"), (second, "review")]);
    assert!(
        found.ends_with(
            "rule 2 `r-2`: contradicts rule 1 `r-1`: the same conditions lead to `block` there and to `review` here; keep one of \
             them"
        ),
        "{found}"
    );
    let found = finding(&[(first, "block"), (second, "block")]);
    assert!(
        found.contains("rule 1 `r-1` comes first and has the same conditions and action; leave one of them out"),
        "{found}"
    );
    // A contradiction is said even where a wider rule hides both.
    let found = findings(&[("", "none"), (first, "block"), (second, "review")]);
    assert!(
        found.len() == 2 && found[0].contains("rule 1 `r-1` comes first") && found[1].contains("contradicts rule 2"),
        "{found:?}"
    );
}

#[test]
fn a_rule_that_can_never_match_hides_none() {
    let found = finding(&[
        ("score = { at_least = 0.5, below = 0.1 }", "label"),
        ("score = { at_least = 0.6, below = 0.7 }", "block"),
    ]);
    assert!(found.contains("rule 1 `r-1`"), "{found}");
}

#[test]
fn findings_have_a_form_for_programs() {
    let rule =
        |name: &str, action: &str| format!("[[rules]]\nname = {name:?}\naction = {action:?}\nbecause = \"-\"\n\n");
    let text = rule("a", "none") + &rule("b", "block");
    let found = serde_json::to_value(check(&Policy::read(&text).unwrap())).unwrap();
    let expected = json!([{
        "rule": {"number": 2, "name": "b"}, "line": 6, "cause": "contradicted", "by": {"number": 1, "name": "a"},
        "action": "block", "theirs": "none",
    }]);
    assert_eq!(found, expected);
}
