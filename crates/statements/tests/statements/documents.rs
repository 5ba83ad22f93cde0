//! The lists of fields and codes agree with the document and with each other.

use std::collections::{BTreeMap, BTreeSet};

use statements::{FIELDS, FilledBy, Need, Statement, codes, table};

use super::samples::statement;

const DOCUMENT: &str = include_str!("../../STATEMENTS.md");

#[test]
fn the_document_has_the_table_of_all_fields() {
    assert!(DOCUMENT.contains(&table()), "put this into STATEMENTS.md:\n{}", table());
}

#[test]
fn the_fields_are_those_of_the_statement_in_its_order() {
    let (text, list) = (|| Some("x".to_owned()), || Some(vec!["x".to_owned()]));
    let full = Statement {
        decision_visibility: list(),
        decision_visibility_other: text(),
        decision_monetary: text(),
        decision_monetary_other: text(),
        decision_provision: text(),
        decision_account: text(),
        account_type: text(),
        decision_facts: text(),
        decision_ground: text(),
        decision_ground_reference_url: text(),
        illegal_content_legal_ground: text(),
        illegal_content_explanation: text(),
        incompatible_content_ground: text(),
        incompatible_content_explanation: text(),
        incompatible_content_illegal: text(),
        content_type: list(),
        content_type_other: text(),
        category: text(),
        category_addition: list(),
        category_specification: list(),
        content_id: Some(BTreeMap::new()),
        category_specification_other: text(),
        territorial_scope: list(),
        content_language: text(),
        content_date: text(),
        application_date: text(),
        end_date_account_restriction: text(),
        end_date_monetary_restriction: text(),
        end_date_service_restriction: text(),
        end_date_visibility_restriction: text(),
        source_type: text(),
        source_identity: text(),
        automated_detection: text(),
        automated_decision: text(),
        puid: text(),
    };
    let line = full.to_line();
    let places = FIELDS.iter().map(|field| line.find(&format!("\"{}\":", field.name)).unwrap()).collect::<Vec<_>>();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(FIELDS.len(), line.matches("\":").count());
}

#[test]
fn assay_fills_in_its_own_fields_and_shows_the_gaps_that_are_required() {
    let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&statement().to_line()).unwrap();
    for field in FIELDS {
        let expected = match (field.filled_by, field.need) {
            (FilledBy::Assay, _) => "a value",
            (FilledBy::Platform, Need::Required) => "null",
            (FilledBy::Platform, _) => "nothing",
        };
        let found = match line.get(field.name) {
            None => "nothing",
            Some(serde_json::Value::Null) => "null",
            Some(_) => "a value",
        };
        assert_eq!(found, expected, "{}", field.name);
    }
}

#[test]
fn no_code_is_listed_twice_and_each_has_the_prefix_of_its_list() {
    let lists = [
        ("DECISION_VISIBILITY_", codes::DECISION_VISIBILITY, 7),
        ("DECISION_MONETARY_", codes::DECISION_MONETARY, 3),
        ("DECISION_PROVISION_", codes::DECISION_PROVISION, 4),
        ("DECISION_ACCOUNT_", codes::DECISION_ACCOUNT, 2),
        ("ACCOUNT_TYPE_", codes::ACCOUNT_TYPE, 2),
        ("DECISION_GROUND_", codes::DECISION_GROUND, 2),
        ("CONTENT_TYPE_", codes::CONTENT_TYPE, 8),
        ("STATEMENT_CATEGORY_", codes::CATEGORY, 16),
        ("KEYWORD_", codes::KEYWORD, 69),
        ("", codes::COUNTRY, 30),
        ("", codes::LANGUAGE, 184),
        ("SOURCE_", codes::SOURCE_TYPE, 4),
        ("AUTOMATED_DECISION_", codes::AUTOMATED_DECISION, 3),
    ];
    for (prefix, list, length) in lists {
        assert_eq!(BTreeSet::from_iter(list).len(), list.len(), "{prefix}");
        assert_eq!(list.len(), length, "{prefix}");
        assert!(list.iter().all(|code| code.starts_with(prefix)), "{prefix}");
    }
    assert!(codes::COUNTRY.iter().chain(codes::LANGUAGE).all(|code| code.len() == 2));
}
