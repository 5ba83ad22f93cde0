//! From verdicts to statements.

use domain::{Action, Decision, LabelledOrigin, Verdict};
use proptest::prelude::*;
use statements::{Completeness, Facts, NoStatement, Resolution, Review, Statement, check, puid};

use super::samples::{DEFAULT, completed, policy, restricted, review, statement, verdict};

fn of(verdict: &Verdict, review: Option<Review>) -> Result<Statement, NoStatement> {
    Statement::of(&Facts { verdict, review }, &DEFAULT)
}

/// A verdict with this score and decision.
fn decided(score: f32, decision: Decision) -> Verdict {
    let mut verdict = verdict();
    verdict.score.synthetic = score;
    verdict.decision = decision;
    verdict
}

#[test]
fn a_statement_is_one_line_of_json_in_the_order_of_the_api() {
    let facts = concat!(
        r"The image was examined by automated means. The model 2026-05 put the probability that a generative model made it at 0.9,",
        r" which reaches the threshold of 0.65 from which an image is called synthetic.\n",
        r"Of the known generators it resembles midjourney most.\n",
        r"The file says nothing of where it comes from.\n",
        r"No person took part in the decision.\n",
        r"Access to the image was therefore disabled by the rule synthetic-images (policy 0123456789ab).\n",
        r"Reason of the rule: Generated images are not shown here.",
    );
    let line = concat!(
        r#"{"decision_visibility":["DECISION_VISIBILITY_CONTENT_DISABLED"],"decision_facts":"FACTS","decision_ground":null,"#,
        r#""content_type":["CONTENT_TYPE_IMAGE","CONTENT_TYPE_SYNTHETIC_MEDIA"],"category":null,"territorial_scope":null,"#,
        r#""content_date":null,"application_date":"2026-06-02","source_type":null,"automated_detection":"Yes","#,
        r#""automated_decision":"AUTOMATED_DECISION_FULLY","puid":"PUID"}"#,
    );
    let expected = line.replace("FACTS", facts).replace("PUID", &puid(&verdict()));
    assert_eq!(statement().to_line(), expected);
}

#[test]
fn each_restriction_has_its_code_and_what_restricts_nothing_has_no_statement() {
    let visibility = |action| {
        let mut verdict = verdict();
        verdict.policy = Some(policy(action));
        of(&verdict, None).map(|statement| statement.decision_visibility.unwrap().join(","))
    };
    assert_eq!(visibility(Action::Label).unwrap(), "DECISION_VISIBILITY_CONTENT_LABELLED");
    assert_eq!(visibility(Action::Limit).unwrap(), "DECISION_VISIBILITY_CONTENT_DEMOTED");
    assert_eq!(visibility(Action::Block).unwrap(), "DECISION_VISIBILITY_CONTENT_DISABLED");
    assert_eq!(visibility(Action::None), Err(NoStatement::NoRestriction(Action::None)));
    assert_eq!(visibility(Action::Review), Err(NoStatement::NoRestriction(Action::Review)));
    let without = Verdict { policy: None, ..verdict() };
    let refused = of(&without, None).unwrap_err();
    assert!(refused == NoStatement::NoPolicy && !refused.is_fault());
}

#[test]
fn who_decided_says_how_automated_the_decision_was() {
    let automation = |verdict: Verdict, found: Option<LabelledOrigin>| {
        of(&verdict, found.map(review)).unwrap().automated_decision.unwrap()
    };
    let (real, synthetic) = (Some(LabelledOrigin::Real), Some(LabelledOrigin::Synthetic));
    assert_eq!(automation(decided(0.9, Decision::Synthetic), None), "AUTOMATED_DECISION_FULLY");
    assert_eq!(automation(decided(0.5, Decision::Uncertain), None), "AUTOMATED_DECISION_FULLY");
    assert_eq!(automation(decided(0.9, Decision::Synthetic), synthetic), "AUTOMATED_DECISION_PARTIALLY");
    assert_eq!(automation(decided(0.1, Decision::Real), real), "AUTOMATED_DECISION_PARTIALLY");
    assert_eq!(automation(decided(0.1, Decision::Synthetic), synthetic), "AUTOMATED_DECISION_NOT_AUTOMATED");
    assert_eq!(automation(decided(0.9, Decision::Real), real), "AUTOMATED_DECISION_NOT_AUTOMATED");
    assert_eq!(automation(decided(0.5, Decision::Synthetic), synthetic), "AUTOMATED_DECISION_NOT_AUTOMATED");
    assert_eq!(review(LabelledOrigin::Real).resolution(&decided(0.5, Decision::Real).score), Resolution::Decided);
}

#[test]
fn a_decision_that_people_changed_has_no_statement_and_one_of_people_is_never_called_automated() {
    let superseded = of(&decided(0.9, Decision::Synthetic), Some(review(LabelledOrigin::Real))).unwrap_err();
    assert_eq!(superseded, NoStatement::Superseded { found: Decision::Real, decision: Decision::Synthetic });
    assert!(!superseded.is_fault() && superseded.to_string().contains("generation that followed"));
    let nameless = of(&decided(0.9, Decision::Real), None).unwrap_err();
    assert_eq!(nameless, NoStatement::ReviewMissing { decision: Decision::Real, model: Decision::Synthetic });
    assert!(nameless.is_fault() && nameless.to_string().contains("give their review"));
}

#[test]
fn synthetic_media_is_what_the_decision_calls_synthetic() {
    let content = |verdict: Verdict, found| of(&verdict, Some(review(found))).unwrap().content_type.unwrap();
    let synthetic = content(decided(0.1, Decision::Synthetic), LabelledOrigin::Synthetic);
    assert_eq!(synthetic, ["CONTENT_TYPE_IMAGE", "CONTENT_TYPE_SYNTHETIC_MEDIA"]);
    assert_eq!(content(decided(0.9, Decision::Real), LabelledOrigin::Real), ["CONTENT_TYPE_IMAGE"]);
}

#[test]
fn a_clock_that_is_off_is_found_by_the_check() {
    let mut early = verdict();
    early.decided_at = time::OffsetDateTime::UNIX_EPOCH;
    let Completeness::Faulty { problems } = Completeness::of(&of(&early, None).unwrap()) else { panic!("1970 passed") };
    assert!(problems.iter().any(|problem| problem.to_string().contains("`application_date` is 1970-01-01")));
}

#[test]
fn what_the_platform_has_to_add_is_named_until_it_is_there() {
    let fields = |statement: &Statement| match Completeness::of(statement) {
        Completeness::NeedsPlatform { fields } => fields,
        other => panic!("{other:?}"),
    };
    let first = ["decision_ground", "category", "territorial_scope", "content_date", "source_type"];
    assert_eq!(fields(&statement()), first);
    let mut grounded = completed();
    grounded.incompatible_content_ground = None;
    grounded.incompatible_content_explanation = Some("  ".into());
    assert_eq!(fields(&grounded), ["incompatible_content_ground", "incompatible_content_explanation"]);
    assert_eq!(Completeness::of(&completed()), Completeness::Complete);
    let nameless = Statement { puid: None, ..statement() };
    assert!(matches!(Completeness::of(&nameless), Completeness::Faulty { .. }), "Assay's own fields are no gaps");
}

proptest! {
    #[test]
    fn every_statement_breaks_no_rule_but_what_the_platform_has_to_add((verdict, review) in restricted()) {
        let statement = of(&verdict, review).unwrap();
        let fields = ["decision_ground", "category", "territorial_scope", "content_date", "source_type"];
        prop_assert_eq!(Completeness::of(&statement), Completeness::NeedsPlatform { fields: fields.to_vec() });
        let full = Statement {
            decision_visibility: statement.decision_visibility,
            decision_facts: statement.decision_facts,
            content_type: statement.content_type,
            application_date: statement.application_date,
            automated_decision: statement.automated_decision,
            ..completed()
        };
        prop_assert_eq!(check(&full), vec![]);
        let line = full.to_line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Statement>(&line).unwrap(), full);
    }
}
