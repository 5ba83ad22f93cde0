//! Templates of an operator: what they can say, and how they are refused.

use domain::{Action, Claim, Decision, LabelledOrigin, Provenance, Verdict};
use statements::{Facts, FactsTemplate, MAX_FACTS, NoStatement, Review, Statement};

use super::samples::{guess, policy, review, verdict};

fn facts(template: &FactsTemplate<'_>, verdict: &Verdict, review: Option<Review>) -> String {
    Statement::of(&Facts { verdict, review }, template).unwrap().decision_facts.unwrap()
}

fn refusal(source: &str) -> String {
    FactsTemplate::new(source).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_default_names_model_score_threshold_provenance_policy_and_review() {
    let template = FactsTemplate::default();
    let mut verdict = verdict();
    verdict.score.synthetic = 0.2;
    verdict.score.calibrated = false;
    verdict.decision = Decision::Synthetic;
    verdict.model.trained = false;
    verdict.generator = guess("unknown");
    verdict.provenance = Some(Provenance { class: Claim::ClaimedCapture, hints: Vec::new(), c2pa: None });
    verdict.policy = Some(policy(Action::Label));
    let overruled = facts(&template, &verdict, Some(review(LabelledOrigin::Synthetic)));
    let expected = "The image was examined by automated means. The model 2026-05 put the uncalibrated probability that a \
                    generative model made it at 0.2, which is below the threshold of 0.35 under which an image is called real.\n\
                    This model was not trained, so its scores say nothing about the image.\n\
                    It resembles none of the known generators.\n\
                    The file says of itself that a camera took it; anybody can write or remove such words.\n\
                    People looked at the image and decided on 2026-06-03, against the model, that it is synthetic.\n\
                    The image was therefore labelled by the rule synthetic-images (policy 0123456789ab).\n\
                    Reason of the rule: Generated images are not shown here.";
    assert_eq!(overruled, expected);
    verdict.score.synthetic = 0.9;
    let confirmed = facts(&template, &verdict, Some(review(LabelledOrigin::Synthetic)));
    assert!(confirmed.contains("People looked at the image and confirmed on 2026-06-03 that it is synthetic."));
    verdict.score.synthetic = 0.5;
    let decided = facts(&template, &verdict, Some(review(LabelledOrigin::Synthetic)));
    assert!(decided.contains("lies between the thresholds of 0.35 and 0.65 and decides nothing."), "{decided}");
    assert!(decided.contains("decided on 2026-06-03, where the model had not, that it is synthetic."), "{decided}");
}

#[test]
fn the_default_passes_the_trial_that_templates_of_operators_pass() {
    assert_eq!(refusal(FactsTemplate::DEFAULT), "");
}

#[test]
fn a_template_of_an_operator_takes_the_place_of_the_default() {
    let source = "Modell {{ model.version }}: {{ score }} ({{ threshold_low }}–{{ threshold_high }}), {{ provenance }}\
                  {% if review %}, geprüft am {{ review.date }}{% endif %}{% for flag in quality %}, {{ flag }}{% endfor %}.";
    let template = FactsTemplate::new(source).unwrap();
    assert_eq!(facts(&template, &verdict(), None), "Modell 2026-05: 0.9 (0.35–0.65), none.");
    let reviewed = facts(&template, &verdict(), Some(review(LabelledOrigin::Synthetic)));
    assert_eq!(reviewed, "Modell 2026-05: 0.9 (0.35–0.65), none, geprüft am 2026-06-03.");
}

#[test]
fn a_template_that_cannot_be_filled_in_is_refused_with_its_line() {
    let unclosed = refusal("The score is\n{{ score }\n");
    assert!(unclosed.starts_with("line 2 of the template: syntax error"), "{unclosed}");
    let unknown = refusal("{{ model.version }}\n{% if review %}\n{{ review.reviewer }}\n{% endif %}");
    assert!(
        unknown.starts_with("line 3 of the template: there is no `review.reviewer`; there are action, "),
        "{unknown}"
    );
    assert!(refusal("{{ metadata.email }}").contains("there is no `metadata"));
    assert!(refusal("{% if false %}{{ submission_id }}{% endif %}").contains("there is no `submission_id`"));
    let filter = refusal("The score is\n\n{{ score | percent }}");
    assert!(filter.starts_with("line 3 of the template: unknown filter"), "{filter}");
    let failing = refusal("x\n{% if action == 'limit' %}\n{{ score + provenance }}\n{% endif %}");
    assert!(failing.starts_with("line 3 of the template: "), "{failing}");
}

#[test]
fn a_template_that_makes_no_facts_too_many_or_an_address_is_refused() {
    assert!(refusal("{# nothing #}\n").contains("makes an empty text"));
    assert!(refusal("{% if review %}Reviewed.{% endif %}").contains("makes an empty text"));
    let long = "{{ policy.because }}".repeat(MAX_FACTS / 500);
    assert_eq!(refusal(&long), "");
    let longer = refusal(&format!("{long}!"));
    assert!(longer.contains("makes 5001 characters, of which `decision_facts` takes 5000"), "{longer}");
    let address = refusal("Objections:\nhelp@example.com");
    assert!(address.starts_with("line 2 of the template: has an at sign"), "{address}");
    let joined = FactsTemplate::new("Facts: {{ decision ~ '%' ~ '40example.com' }}").unwrap();
    assert_eq!(facts(&joined, &verdict(), None), "Facts: [address removed]");
}

#[test]
fn what_only_one_verdict_makes_too_long_is_an_error_of_its_statement() {
    let source = "{{ model.version }}";
    let template = FactsTemplate::new(source).unwrap();
    let mut verdict = verdict();
    verdict.model.version = "m".repeat(MAX_FACTS + 1);
    let refused = Statement::of(&Facts { verdict: &verdict, review: None }, &template).unwrap_err();
    assert!(matches!(&refused, NoStatement::Facts(error) if error.line.is_none()) && refused.is_fault());
}
