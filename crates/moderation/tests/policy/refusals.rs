//! Files that are refused, and what is said of each.

use moderation::{Fault, MAX_BYTES, MAX_RULES, Policy};

/// A file of one rule, which begins in line 1; the lines of `more` follow from line 2.
fn rule(more: &str) -> String {
    format!("[[rules]]\n{more}\nname = \"first\"\naction = \"review\"\nbecause = \"A person should look.\"\n")
}

fn faults(text: &str) -> Vec<Fault> {
    Policy::read(text).unwrap_err().faults().to_vec()
}

/// The one fault of a file.
fn fault(text: &str) -> String {
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].to_string()
}

#[track_caller]
fn assert_says(text: &str, expected: &str) {
    let said = fault(text);
    assert!(said.starts_with(expected), "{said}");
}

/// Of a field in line 2 of rule 1.
#[track_caller]
fn assert_refused(field_and_value: &str, expected: &str) {
    assert_says(&rule(field_and_value), &format!("line 2, rule 1 `first`: {expected}"));
}

#[test]
fn a_file_without_rules_is_refused() {
    for text in ["", "# nothing\n"] {
        assert_says(text, "the policy has no rules; write each of them under its own [[rules]]");
    }
    assert_says("rules = []", "line 1: `rules` is empty");
    assert_says("rules = \"all\"", "line 1: `rules` is a text; write each rule under its own [[rules]]");
    assert_says("rules = [1]", "line 1, rule 1: this is a number; write each rule as a table");
    assert_says("[rules]\nname = \"a\"", "line 1: `rules` is a table; write each rule under its own [[rules]]");
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    assert_says(&rule("decision = synthetic"), "line 2: this is not TOML: ");
    assert_says(&rule("purpose = \"live\"\npurpose = \"live\""), "line 3: this is not TOML: duplicate key");
    let lines: Vec<_> = faults("a = 1 2\nb = = 3\n").iter().map(|fault| fault.line).collect();
    assert!(lines.contains(&Some(1)) && lines.contains(&Some(2)), "{lines:?}");
}

#[test]
fn a_key_that_is_not_known_is_refused() {
    assert_refused("decisions = \"real\"", "`decisions` is not known; a rule may have name, action, because, tenant, ");
    assert_refused(
        "score.above = 0.5",
        "`score.above` is not known; a range has `at_least` (included) and `below` (not included)",
    );
    assert_says(
        &format!("version = 1\n{}", rule("")),
        "line 1: `version` is not known; a policy is a list of [[rules]]",
    );
    let misnamed = faults("[[rule]]\nname = \"a\"");
    assert_eq!(misnamed.iter().map(|fault| fault.field.as_deref()).collect::<Vec<_>>(), [None, Some("rule")]);
}

#[test]
fn what_a_rule_needs_is_asked_for() {
    let said: Vec<_> = faults("\n[[rules]]\ntenant = \"acme\"\n").iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "line 2, rule 1: `name` is missing; name the rule, as verdicts will name it",
            "line 2, rule 1: `action` is missing; say what follows: none, label, limit, review, block",
            "line 2, rule 1: `because` is missing; say why, for the people whom it concerns",
        ]
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    let texts = "; write a text in quotes, or a list of texts";
    for field in ["tenant", "decision", "family", "quality", "no_quality", "provenance", "purpose"] {
        assert_refused(&format!("{field} = 1"), &format!("`{field}` is a number{texts}"));
        assert_refused(&format!("{field} = true"), &format!("`{field}` is a boolean{texts}"));
        assert_refused(&format!("{field} = {{}}"), &format!("`{field}` is a table{texts}"));
        assert_refused(&format!("{field} = [1]"), &format!("`{field}` lists a number; write texts only, in quotes"));
        assert_refused(&format!("{field} = []"), &format!("`{field}` is an empty list, which nothing is in"));
        assert_refused(&format!("{field} = [[]]"), &format!("`{field}` lists a list; write texts only, in quotes"));
    }
    for field in ["score", "novelty"] {
        assert_refused(
            &format!("{field} = 0.5"),
            &format!("`{field}` is a number; write {field} = {{ at_least = 0.5 }}"),
        );
        assert_refused(
            &format!("{field} = {{}}"),
            &format!("`{field}` has no bound; give `at_least`, `below` or both"),
        );
        assert_refused(
            &format!("{field}.below = \"0.5\""),
            &format!("`{field}.below` is a text; write a number, without quotes"),
        );
        assert_refused(&format!("{field}.at_least = [0.5]"), &format!("`{field}.at_least` is a list; write a number"));
    }
    assert_refused("metadata = \"ads\"", "`metadata` is a text; write metadata.KEY = \"value\"");
    for field in ["name", "action", "because"] {
        let text = rule("").replace(&format!("\n{field} = \""), &format!("\n{field} = 1 # \""));
        assert!(fault(&text).ends_with(&format!("`{field}` is a number; write a text, in quotes")), "{}", fault(&text));
    }
}

#[test]
fn bounds_are_numbers_from_0_to_1() {
    for field in ["score", "novelty"] {
        for number in ["-0.1", "-1", "1.0001", "2", "1.01", "1e300", "0xff"] {
            assert!(
                fault(&rule(&format!("{field}.at_least = {number}")))
                    .contains("; bounds lie from 0 to 1: set it within these")
            );
        }
        for number in ["nan", "-nan", "inf", "-inf", "1e999", "99999999999999999999"] {
            let said = fault(&rule(&format!("{field}.below = {number}")));
            assert!(said.contains(&format!("`{field}.below` is infinite, not a number, or beyond 64 bits")), "{said}");
        }
        assert_refused(
            &format!("{field}.below = 1.01"),
            &format!("`{field}.below` is 1.01; bounds lie from 0 to 1: to include 1, leave `below` out"),
        );
        for number in ["0", "1", "-0.0", "1.0", "+0.5", "0.1_5", "5e-1", "0x1"] {
            Policy::read(&rule(&format!("{field}.at_least = {number}"))).unwrap();
        }
    }
}

#[test]
fn words_that_no_verdict_knows_are_refused() {
    assert_refused("decision = \"fake\"", "`decision` has `fake`, which is none of real, synthetic, uncertain;");
    assert_refused(
        "decision = [\"real\", \"Real\"]",
        "`decision` has `Real`, which is none of real, synthetic, uncertain;",
    );
    assert_refused("purpose = \"appeal\"", "`purpose` has `appeal`, which is none of live, backfill, reverdict;");
    let flags = "low_resolution, animated, transparent, greyscale, damaged, unfamiliar_codec";
    assert_refused("quality = \"broken\"", &format!("`quality` has `broken`, which is none of {flags};"));
    assert_refused("no_quality = \"broken\"", &format!("`no_quality` has `broken`, which is none of {flags};"));
    let claims = "claimed_synthetic, claimed_edit, claimed_capture, none";
    assert_refused("provenance = \"signed\"", &format!("`provenance` has `signed`, which is none of {claims};"));
    let text = rule("").replace("\"review\"", "\"delete\"");
    assert_says(
        &text,
        "line 4, rule 1 `first`: `action` is `delete`, which is none of none, label, limit, review, block;",
    );
}

#[test]
fn a_tenant_or_family_that_cannot_be_is_refused() {
    for tenant in ["", "a.b", "a b", &"x".repeat(65)] {
        let said = fault(&rule(&format!("tenant = [\"acme\", \"{tenant}\"]")));
        assert!(said.contains("is no name of a tenant; these have 1 to 64 letters"), "{said}");
    }
    assert_refused("family = \"\"", "`family` has ``, which is empty;");
    assert_refused("family = \"a\\u0000\"", "`family` has `a\\0`, which holds a control character;");
    assert!(
        fault(&rule(&format!("family = \"{}\"", "x".repeat(65))))
            .contains("is 65 bytes long; no family has more than 64")
    );
}

#[test]
fn a_list_that_names_a_value_twice_is_refused() {
    assert_refused("tenant = [\"acme\", \"acme\"]", "`tenant` lists `acme` twice; leave one out");
    assert_refused("quality = [\"damaged\", \"damaged\"]", "`quality` lists `damaged` twice; leave one out");
    assert_refused("metadata.a = [\"x\", \"x\"]", "`metadata.a` lists `x` twice; leave one out");
}

#[test]
fn metadata_is_compared_with_texts_numbers_and_booleans_at_its_top_only() {
    assert_refused("metadata = {}", "`metadata` names no key;");
    assert_refused("metadata.a = []", "`metadata.a` is an empty list");
    assert_refused("metadata.a = [1]", "`metadata.a` lists a number; write texts only");
    assert_refused(
        "metadata.a.b = 1",
        "`metadata.a` is a table, but only keys at the top of metadata are compared; put a key with dots",
    );
    assert_refused("metadata.a = 2024-05-01", "`metadata.a` is a date, which JSON has none of; put it in quotes");
    assert_refused("metadata.a = nan", "`metadata.a` is infinite, not a number, or beyond 64 bits");
    assert_refused("metadata.a = 1e-99999999999999999999", "`metadata.a` is infinite, not a number, or beyond 64 bits");
    let long = "x".repeat(4097);
    assert!(fault(&rule(&format!("metadata.a = \"{long}\""))).contains("which is longer than all metadata may be"));
    assert!(fault(&rule(&format!("metadata.{long} = 1"))).contains("is a key longer than all metadata may be"));
    Policy::read(&rule("metadata.\"a.b\" = \"\"\nmetadata.n = -5")).unwrap();
}

#[test]
fn names_are_short_and_plain_and_each_is_given_once() {
    let named = |name: &str| rule("").replace("\"first\"", &format!("\"{name}\""));
    for (name, problem) in [
        ("", "is empty; name the rule"),
        ("a b", "may hold letters of a to z, digits, `_`, `.` and `-` only"),
        ("größe", "may hold letters of a to z"),
        (&"x".repeat(65), "is 65 characters long; at most 64 are allowed: shorten it"),
    ] {
        let said = fault(&named(name));
        assert!(said.starts_with("line 3, rule 1 `") && said.contains(&format!("`name` {problem}")), "{said}");
    }
    Policy::read(&named(&"x".repeat(64))).unwrap();
    Policy::read(&named("A-z_0.9")).unwrap();
    let twice = format!("{}{}", rule(""), rule("tenant = \"acme\""));
    assert_says(&twice, "line 8, rule 2 `first`: `name` is that of rule 1 too; give each rule a name of its own");
}

#[test]
fn a_reason_is_one_line_of_1_to_500_characters() {
    let because = |text: &str| rule("").replace("\"A person should look.\"", text);
    for (text, problem) in [
        ("\"\"", "is empty; say why"),
        ("\" \\t \"", "is empty; say why"),
        ("\"a\\nb\"", "holds the control character '\\n'; write it as one line"),
        ("\"a\\u0000\"", "holds the control character '\\0'"),
        (&format!("\"{}\"", "ü".repeat(501)), "is 501 characters long; at most 500 are allowed: shorten it"),
    ] {
        let said = fault(&because(text));
        assert!(said.starts_with(&format!("line 5, rule 1 `first`: `because` {problem}")), "{said}");
    }
    Policy::read(&because(&format!("\"{}\"", "ü".repeat(500)))).unwrap();
}

#[test]
fn a_policy_has_its_limits() {
    let many = |count: usize| -> String {
        let rule = |number| {
            format!("[[rules]]\nname = \"r{number}\"\naction = \"none\"\nbecause = \"-\"\nmetadata.n = {number}\n")
        };
        (0..count).map(rule).collect()
    };
    assert_eq!(Policy::read(&many(MAX_RULES)).unwrap().rules().len(), 1000);
    assert_says(&many(MAX_RULES + 1), "`rules` has 1001 entries; at most 1000 are allowed: join rules");
    let padded = |bytes: usize| format!("{}#{}", rule(""), "x".repeat(bytes - rule("").len() - 1));
    Policy::read(&padded(MAX_BYTES)).unwrap();
    assert_says(&padded(MAX_BYTES + 1), "the policy is 262145 bytes long; at most 262144 are allowed: join rules");
}

#[test]
fn all_that_is_wrong_is_said_at_once_from_the_top() {
    let text = "
[[rules]]
name = \"first\"
score = { below = 2, at_least = nan }
action = \"review\"
because = \"\"

[[rules]]
name = \"second rule\"
quality = [\"blurred\", \"damaged\", \"noisy\"]
action = \"reveiw\"
";
    let errors = Policy::read(text).unwrap_err();
    let found: Vec<_> = errors
        .faults()
        .iter()
        .map(|fault| (fault.line.unwrap(), fault.rule.as_ref().unwrap().number, fault.field.as_deref().unwrap()))
        .collect();
    let expected = [
        (4, 1, "score.at_least"),
        (4, 1, "score.below"),
        (6, 1, "because"),
        (8, 2, "because"),
        (9, 2, "name"),
        (10, 2, "quality"),
        (10, 2, "quality"),
        (11, 2, "action"),
    ];
    assert_eq!(found, expected);
    assert_eq!(errors.to_string().lines().count(), expected.len());
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json[0]["rule"], serde_json::json!({"number": 1, "name": "first"}));
}

#[test]
fn a_file_that_is_something_else_is_not_complained_of_without_end() {
    let faults = faults(&"=\n".repeat(3000));
    assert_eq!((faults.len(), faults[999].line), (1001, Some(334)));
    let last = faults[1000].to_string();
    assert!(last.ends_with(" more faults are not listed; mend these first"), "{last}");
}

#[test]
fn what_is_quoted_is_cut() {
    let long = "x".repeat(100_000);
    let text = format!(
        "[[rules]]\nname = \"{long}\"\n{long} = 1\naction = \"{long}\"\nbecause = \"-\"\ntenant = \"{long}\"\n"
    );
    for fault in faults(&text) {
        assert!(fault.to_string().len() < 500, "{fault}");
    }
}
