//! The published field rules (see the crate's first page for name and date of the document).

use time::Date;
use time::macros::date;
use url::Url;

use crate::findings::{Findings, given};
use crate::{MAX_FACTS, Problem, Rule, Statement, codes};

/// Longest of the short texts, of the explanations and of `puid`, in characters.
const SHORT: usize = 500;
const EXPLANATION: usize = 2000;

/// The first days that `content_date` and `application_date` may name.
const FIRST_CONTENT: Date = date!(2000 - 01 - 01);
const FIRST_APPLICATION: Date = date!(2020 - 01 - 01);

/// Every published rule that a statement breaks, in the order of the API's fields; none where it could be submitted.
///
/// Whether a `puid` was used before only the database knows. Beyond the documentation dates end with 2038-01-01, as in the
/// database's published source, and texts with an at sign are refused as personal data (article 24(5)).
pub fn check(statement: &Statement) -> Vec<Problem> {
    let mut findings = Findings::default();
    check_restrictions(statement, &mut findings);
    findings.required("decision_facts", statement.decision_facts.as_deref(), "facts and circumstances in words");
    findings.text("decision_facts", statement.decision_facts.as_deref(), MAX_FACTS);
    check_ground(statement, &mut findings);
    check_content(statement, &mut findings);
    check_dates(statement, &mut findings);
    check_origin(statement, &mut findings);
    findings.problems
}

/// At least one of four, and what each may be.
fn check_restrictions(statement: &Statement, findings: &mut Findings) {
    let visibility = statement.decision_visibility.as_deref();
    let others = [&statement.decision_monetary, &statement.decision_provision, &statement.decision_account];
    if is_empty(visibility) && others.iter().all(|other| given(other.as_deref()).is_none()) {
        let mend = "is required where none of `decision_monetary`, `decision_provision` and `decision_account` is given: \
                    give one of the four";
        findings.add("decision_visibility", Rule::RequiredIf, mend);
    }
    findings.codes("decision_visibility", visibility, codes::DECISION_VISIBILITY);
    if has(visibility, codes::VISIBILITY_OTHER) {
        let cause = "`decision_visibility` has DECISION_VISIBILITY_OTHER";
        findings.required_by("decision_visibility_other", statement.decision_visibility_other.as_deref(), cause);
    }
    findings.text("decision_visibility_other", statement.decision_visibility_other.as_deref(), SHORT);
    findings.code("decision_monetary", statement.decision_monetary.as_deref(), codes::DECISION_MONETARY);
    if statement.decision_monetary.as_deref() == Some(codes::MONETARY_OTHER) {
        let cause = "`decision_monetary` is DECISION_MONETARY_OTHER";
        findings.required_by("decision_monetary_other", statement.decision_monetary_other.as_deref(), cause);
    }
    findings.text("decision_monetary_other", statement.decision_monetary_other.as_deref(), SHORT);
    findings.code("decision_provision", statement.decision_provision.as_deref(), codes::DECISION_PROVISION);
    findings.code("decision_account", statement.decision_account.as_deref(), codes::DECISION_ACCOUNT);
    findings.code("account_type", statement.account_type.as_deref(), codes::ACCOUNT_TYPE);
}

fn check_ground(statement: &Statement, findings: &mut Findings) {
    let ground = statement.decision_ground.as_deref();
    findings.required("decision_ground", ground, "the law's or the terms' code, and the ground that it asks for");
    findings.code("decision_ground", ground, codes::DECISION_GROUND);
    let url = statement.decision_ground_reference_url.as_deref();
    if given(url).is_some_and(|url| !Url::parse(url).is_ok_and(|url| url.has_host())) {
        let mend = "is no URL: write it whole, such as https://example.com/terms, or leave it out";
        findings.add("decision_ground_reference_url", Rule::Format, mend);
    }
    // URLs have at signs of their own: example.com/@name/terms.
    findings.length("decision_ground_reference_url", url, SHORT);
    let illegal = [
        ("illegal_content_legal_ground", &statement.illegal_content_legal_ground, SHORT),
        ("illegal_content_explanation", &statement.illegal_content_explanation, EXPLANATION),
    ];
    let incompatible = [
        ("incompatible_content_ground", &statement.incompatible_content_ground, SHORT),
        ("incompatible_content_explanation", &statement.incompatible_content_explanation, EXPLANATION),
    ];
    for (wanting, fields) in [(codes::GROUND_ILLEGAL, illegal), (codes::GROUND_INCOMPATIBLE, incompatible)] {
        for (field, text, most) in fields {
            if ground == Some(wanting) {
                findings.required_by(field, text.as_deref(), &format!("`decision_ground` is {wanting}"));
            }
            findings.text(field, text.as_deref(), most);
        }
    }
    let also_illegal = statement.incompatible_content_illegal.as_deref();
    findings.code("incompatible_content_illegal", also_illegal, codes::YES_OR_NO);
}

fn check_content(statement: &Statement, findings: &mut Findings) {
    let content = statement.content_type.as_deref();
    if is_empty(content) {
        findings.add("content_type", Rule::Required, "is required: give one or more kinds of content");
    }
    findings.codes("content_type", content, codes::CONTENT_TYPE);
    if has(content, codes::CONTENT_OTHER) {
        let cause = "`content_type` has CONTENT_TYPE_OTHER";
        findings.required_by("content_type_other", statement.content_type_other.as_deref(), cause);
    }
    findings.text("content_type_other", statement.content_type_other.as_deref(), SHORT);
    findings.required("category", statement.category.as_deref(), "the category of what was infringed");
    findings.code("category", statement.category.as_deref(), codes::CATEGORY);
    findings.codes("category_addition", statement.category_addition.as_deref(), codes::CATEGORY);
    let keywords = statement.category_specification.as_deref();
    findings.codes("category_specification", keywords, codes::KEYWORD);
    for (kind, number) in statement.content_id.iter().flatten() {
        if kind != codes::EAN_13 {
            findings.add(
                "content_id",
                Rule::Allowed,
                "has a kind of identifier that is not allowed: give EAN-13 alone",
            );
        } else if number.len() != 13 || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            findings.add(
                "content_id",
                Rule::Format,
                "has an EAN-13 that is not of 13 digits: give the product's number",
            );
        }
    }
    let keyword = statement.category_specification_other.as_deref();
    if given(keyword).is_some() && !has(keywords, codes::KEYWORD_OTHER) {
        let mend = "is given, but `category_specification` lacks KEYWORD_OTHER: add that, or leave this out";
        findings.add("category_specification_other", Rule::OnlyIf, mend);
    }
    findings.text("category_specification_other", keyword, SHORT);
    let countries = statement.territorial_scope.as_deref();
    if is_empty(countries) {
        let mend = "is required: give the countries in which the restriction holds, by two letters";
        findings.add("territorial_scope", Rule::Required, mend);
    }
    findings.codes("territorial_scope", countries, codes::COUNTRY);
    findings.code("content_language", statement.content_language.as_deref(), codes::LANGUAGE);
}

fn check_dates(statement: &Statement, findings: &mut Findings) {
    let content = statement.content_date.as_deref();
    findings.required("content_date", content, "the day on which the content was uploaded");
    findings.day("content_date", content, FIRST_CONTENT);
    let application = statement.application_date.as_deref();
    findings.required("application_date", application, "the day from which the restriction holds");
    let start = findings.day("application_date", application, FIRST_APPLICATION).unwrap_or(FIRST_APPLICATION);
    let ends = [
        ("end_date_account_restriction", &statement.end_date_account_restriction),
        ("end_date_monetary_restriction", &statement.end_date_monetary_restriction),
        ("end_date_service_restriction", &statement.end_date_service_restriction),
        ("end_date_visibility_restriction", &statement.end_date_visibility_restriction),
    ];
    for (field, end) in ends {
        findings.day(field, end.as_deref(), start);
    }
}

/// Where the matter came from, who decided, and under which id.
fn check_origin(statement: &Statement, findings: &mut Findings) {
    findings.required("source_type", statement.source_type.as_deref(), "what led to the examination");
    findings.code("source_type", statement.source_type.as_deref(), codes::SOURCE_TYPE);
    findings.text("source_identity", statement.source_identity.as_deref(), SHORT);
    findings.required("automated_detection", statement.automated_detection.as_deref(), "Yes or No");
    findings.code("automated_detection", statement.automated_detection.as_deref(), codes::YES_OR_NO);
    findings.required("automated_decision", statement.automated_decision.as_deref(), "who decided");
    findings.code("automated_decision", statement.automated_decision.as_deref(), codes::AUTOMATED_DECISION);
    findings.length("puid", statement.puid.as_deref(), SHORT);
    let puid = findings.required("puid", statement.puid.as_deref(), "an identifier of its own").unwrap_or_default();
    if !puid.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_')) {
        findings.add("puid", Rule::Format, "may have letters and digits of ASCII, `-` and `_` only: take the rest out");
    }
}

fn is_empty(list: Option<&[String]>) -> bool {
    list.is_none_or(<[String]>::is_empty)
}

fn has(list: Option<&[String]>, code: &str) -> bool {
    list.is_some_and(|list| list.iter().any(|given| given == code))
}
