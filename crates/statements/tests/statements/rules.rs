//! The published field rules, each broken once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use statements::{Completeness, FIELDS, Problem, Rule, Statement, check};

use super::samples::completed;

/// A text field of a statement.
type Access = fn(&mut Statement) -> &mut Option<String>;

/// What is wrong with a complete statement that was changed.
fn broken(change: impl FnOnce(&mut Statement)) -> Vec<(&'static str, Rule)> {
    let mut statement = completed();
    change(&mut statement);
    check(&statement).into_iter().map(|problem| (problem.field, problem.rule)).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

fn list(codes: &[&str]) -> Option<Vec<String>> {
    Some(codes.iter().map(|code| (*code).into()).collect())
}

#[test]
fn what_is_required_has_to_be_there() {
    let missing = check(&Statement::default());
    let fields = missing.iter().map(|problem| problem.field).collect::<Vec<_>>();
    let required = [
        "decision_visibility",
        "decision_facts",
        "decision_ground",
        "content_type",
        "category",
        "territorial_scope",
        "content_date",
        "application_date",
        "source_type",
        "automated_detection",
        "automated_decision",
        "puid",
    ];
    assert_eq!(fields, required);
    assert!(missing.iter().all(|problem| problem.mend.contains("required")));
    assert_eq!(broken(|it| it.content_type = list(&[])), [("content_type", Rule::Required)]);
    assert_eq!(broken(|it| it.puid = text(" ")), [("puid", Rule::Required)]);
}

#[test]
fn one_of_four_restrictions_is_enough() {
    assert_eq!(broken(|it| it.decision_visibility = None), [("decision_visibility", Rule::RequiredIf)]);
    let instead = |change: fn(&mut Statement)| {
        broken(|it| {
            it.decision_visibility = None;
            change(it);
        })
    };
    assert_eq!(instead(|it| it.decision_monetary = text("DECISION_MONETARY_SUSPENSION")), []);
    assert_eq!(instead(|it| it.decision_provision = text("DECISION_PROVISION_TOTAL_SUSPENSION")), []);
    assert_eq!(instead(|it| it.decision_account = text("DECISION_ACCOUNT_SUSPENDED")), []);
    assert_eq!(
        instead(|it| it.account_type = text("ACCOUNT_TYPE_PRIVATE")),
        [("decision_visibility", Rule::RequiredIf)]
    );
}

#[test]
fn other_wants_to_be_specified() {
    let visibility = broken(|it| it.decision_visibility = list(&["DECISION_VISIBILITY_OTHER"]));
    assert_eq!(visibility, [("decision_visibility_other", Rule::RequiredIf)]);
    let monetary = broken(|it| it.decision_monetary = text("DECISION_MONETARY_OTHER"));
    assert_eq!(monetary, [("decision_monetary_other", Rule::RequiredIf)]);
    let content = broken(|it| it.content_type = list(&["CONTENT_TYPE_IMAGE", "CONTENT_TYPE_OTHER"]));
    assert_eq!(content, [("content_type_other", Rule::RequiredIf)]);
    assert_eq!(
        broken(|it| it.category_specification_other = text("x")),
        [("category_specification_other", Rule::OnlyIf)]
    );
    let keyword = broken(|it| {
        it.category_specification = list(&["KEYWORD_NUDITY", "KEYWORD_OTHER"]);
        it.category_specification_other = text("x");
    });
    assert_eq!(keyword, []);
}

#[test]
fn a_ground_wants_its_own_fields() {
    let illegal = broken(|it| it.decision_ground = text("DECISION_GROUND_ILLEGAL_CONTENT"));
    let wanted =
        [("illegal_content_legal_ground", Rule::RequiredIf), ("illegal_content_explanation", Rule::RequiredIf)];
    assert_eq!(illegal, wanted);
    let explained = broken(|it| {
        it.decision_ground = text("DECISION_GROUND_ILLEGAL_CONTENT");
        it.illegal_content_legal_ground = text("a law");
        it.illegal_content_explanation = text("why");
    });
    assert_eq!(explained, []);
}

#[test]
fn codes_that_are_not_listed_are_refused_also_those_of_the_schema_before() {
    let allowed = |field| [(field, Rule::Allowed)];
    let visibility = broken(|it| it.decision_visibility = list(&["CONTENT_REMOVED"]));
    assert_eq!(visibility, allowed("decision_visibility"));
    assert_eq!(broken(|it| it.decision_monetary = text("x")), allowed("decision_monetary"));
    assert_eq!(broken(|it| it.decision_provision = text("x")), allowed("decision_provision"));
    assert_eq!(broken(|it| it.decision_account = text("x")), allowed("decision_account"));
    assert_eq!(broken(|it| it.account_type = text("x")), allowed("account_type"));
    assert_eq!(broken(|it| it.decision_ground = text("x")), allowed("decision_ground"));
    assert_eq!(broken(|it| it.incompatible_content_illegal = text("yes")), allowed("incompatible_content_illegal"));
    assert_eq!(broken(|it| it.content_type = list(&[""])), allowed("content_type"));
    let category = broken(|it| it.category = text("STATEMENT_CATEGORY_SCOPE_OF_PLATFORM_SERVICE"));
    assert_eq!(category, allowed("category"));
    assert_eq!(broken(|it| it.category_addition = list(&["x"])), allowed("category_addition"));
    let keyword = broken(|it| it.category_specification = list(&["KEYWORD_DISINFORMATION"]));
    assert_eq!(keyword, allowed("category_specification"));
    assert_eq!(broken(|it| it.territorial_scope = list(&["DE", "CH"])), allowed("territorial_scope"));
    assert_eq!(broken(|it| it.content_language = text("en")), allowed("content_language"));
    assert_eq!(broken(|it| it.source_type = text("x")), allowed("source_type"));
    assert_eq!(broken(|it| it.automated_detection = text("true")), allowed("automated_detection"));
    assert_eq!(broken(|it| it.automated_decision = text("FULLY")), allowed("automated_decision"));
    let number = |kind: &str, number: &str| Some(BTreeMap::from([(kind.into(), number.into())]));
    assert_eq!(broken(|it| it.content_id = number("EAN-13", "0123456789123")), []);
    assert_eq!(broken(|it| it.content_id = number("ISBN", "0123456789123")), allowed("content_id"));
    assert_eq!(broken(|it| it.content_id = number("EAN-13", "123")), [("content_id", Rule::Format)]);
}

#[test]
fn lengths_count_characters() {
    let limits: [(&str, usize, Access); 9] = [
        ("decision_facts", 5000, |it| &mut it.decision_facts),
        ("illegal_content_legal_ground", 500, |it| &mut it.illegal_content_legal_ground),
        ("illegal_content_explanation", 2000, |it| &mut it.illegal_content_explanation),
        ("incompatible_content_ground", 500, |it| &mut it.incompatible_content_ground),
        ("incompatible_content_explanation", 2000, |it| &mut it.incompatible_content_explanation),
        ("decision_visibility_other", 500, |it| &mut it.decision_visibility_other),
        ("decision_monetary_other", 500, |it| &mut it.decision_monetary_other),
        ("content_type_other", 500, |it| &mut it.content_type_other),
        ("source_identity", 500, |it| &mut it.source_identity),
    ];
    for (field, most, access) in limits {
        assert_eq!(broken(|it| *access(it) = text(&"ü".repeat(most))), [], "{field}");
        assert_eq!(broken(|it| *access(it) = text(&"ü".repeat(most + 1))), [(field, Rule::TooLong)]);
        assert_eq!(broken(|it| *access(it) = text("jo@example.com")), [(field, Rule::PersonalData)]);
    }
    assert_eq!(broken(|it| it.puid = text(&"a".repeat(500))), []);
    assert_eq!(broken(|it| it.puid = text(&"a".repeat(501))), [("puid", Rule::TooLong)]);
    let url = |length: usize| text(&format!("https://example.com/{}", "a".repeat(length - 20)));
    assert_eq!(broken(|it| it.decision_ground_reference_url = url(500)), []);
    assert_eq!(
        broken(|it| it.decision_ground_reference_url = url(501)),
        [("decision_ground_reference_url", Rule::TooLong)]
    );
}

#[test]
fn urls_and_puids_have_their_forms() {
    let url = |url: &str| broken(|it| it.decision_ground_reference_url = text(url));
    assert_eq!(url("https://example.com/@acme/terms"), []);
    for wrong in ["example.com/terms", "mailto:jo", "https://", "terms"] {
        assert_eq!(url(wrong), [("decision_ground_reference_url", Rule::Format)], "{wrong}");
    }
    let puid = |puid: &str| broken(|it| it.puid = text(puid));
    assert_eq!(puid("344ndbd_3338383-11aST"), []);
    for wrong in ["123.STATE", "a b", "a\n", "ü", "jo@example"] {
        assert_eq!(puid(wrong), [("puid", Rule::Format)], "{wrong}");
    }
}

#[test]
fn dates_are_days_within_bounds() {
    let content = |day: &str| broken(|it| it.content_date = text(day));
    assert_eq!((content("2000-01-01"), content("2038-01-01")), (vec![], vec![]));
    assert_eq!(content("1999-12-31"), [("content_date", Rule::TooEarly)]);
    assert_eq!(content("2038-01-02"), [("content_date", Rule::TooLate)]);
    for wrong in ["2026-6-1", "2026-06-31", "01.06.2026", "2026-06-01T00:00:00Z", "+2026-06-01", "2026-06-01 "] {
        assert_eq!(content(wrong), [("content_date", Rule::Format)], "{wrong}");
    }
    let application = |day: &str| broken(|it| it.application_date = text(day));
    assert_eq!(application("2020-01-01"), []);
    assert_eq!(application("2019-12-31"), [("application_date", Rule::TooEarly)]);
    let ends: [(&str, Access); 4] = [
        ("end_date_account_restriction", |it| &mut it.end_date_account_restriction),
        ("end_date_monetary_restriction", |it| &mut it.end_date_monetary_restriction),
        ("end_date_service_restriction", |it| &mut it.end_date_service_restriction),
        ("end_date_visibility_restriction", |it| &mut it.end_date_visibility_restriction),
    ];
    for (field, access) in ends {
        assert_eq!(broken(|it| *access(it) = text("2026-06-02")), [], "{field}: the day on which it began");
        assert_eq!(broken(|it| *access(it) = text("2026-06-01")), [(field, Rule::TooEarly)]);
        assert_eq!(broken(|it| *access(it) = text("soon")), [(field, Rule::Format)]);
    }
}

#[test]
fn a_problem_names_its_field_and_says_how_to_mend_it() {
    let mut statement = completed();
    statement.decision_ground = text(&"x".repeat(100));
    let problems = check(&statement).iter().map(Problem::to_string).collect::<Vec<_>>();
    let expected = format!(
        "`decision_ground` is \"{}\"…, which is not allowed: give one of DECISION_GROUND_ILLEGAL_CONTENT, \
         DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "x".repeat(64)
    );
    assert_eq!(problems, [expected]);
    let Completeness::Faulty { problems } = Completeness::of(&statement) else {
        panic!("a code that isn't one passed")
    };
    let document = serde_json::to_value(&problems[0]).unwrap();
    assert_eq!((&document["field"], &document["rule"]), (&"decision_ground".into(), &"allowed".into()));
}

#[test]
fn attributes_that_the_api_does_not_know_are_refused_on_reading() {
    let misspelt = completed().to_line().replace("content_date", "content_dat");
    let refused = serde_json::from_str::<Statement>(&misspelt).unwrap_err().to_string();
    assert!(refused.contains("unknown field `content_dat`"), "{refused}");
}

proptest! {
    #[test]
    fn whatever_is_written_into_a_statement_the_check_names_fields_that_there_are(texts in prop::collection::vec("\\PC{0,40}", 6)) {
        let problems = broken(|it| {
            let mut texts = texts.into_iter();
            it.decision_visibility = texts.next().map(|text| vec![text]);
            it.decision_ground_reference_url = texts.next();
            it.category = texts.next();
            it.content_date = texts.next();
            it.end_date_visibility_restriction = texts.next();
            it.puid = texts.next();
        });
        for (field, _) in problems {
            prop_assert!(FIELDS.iter().any(|known| known.name == field), "{}", field);
        }
    }
}
