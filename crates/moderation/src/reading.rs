//! From TOML to rules: the file, its list of rules, and which field is read how.

use std::collections::BTreeMap;
use std::ops::Range as Span;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::faults::{Faults, RuleFaults, shortened};
use crate::rule::{Conditions, Rule};
use crate::words::Word;
use crate::{Action, PolicyErrors, RuleRef, fields};

/// Largest file, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most rules of a policy.
pub const MAX_RULES: usize = 1000;

const RULES: &str = "rules";
/// What a rule may say.
const FIELDS: &str = "name, action, because, tenant, decision, score, family, novelty, quality, no_quality, provenance, \
                      purpose, metadata";

/// The rules of a file in their order, at least one; or everything that is wrong with it.
pub(crate) fn rules(text: &str) -> Result<Vec<Rule>, PolicyErrors> {
    if text.len() > MAX_BYTES {
        return Err(PolicyErrors::of_file(format!(
            "the policy is {} bytes long; at most {MAX_BYTES} are allowed: join rules that differ in one value, by a list",
            text.len()
        )));
    }
    let mut faults = Faults::in_text(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map(|span| span.start);
        faults.refuse(at, None, format!("this is not TOML: {}", error.message()));
    }
    // What was made of a file that is not TOML is no basis for further complaints.
    if !faults.is_empty() {
        return faults.unless_any(Vec::new());
    }
    let mut rules = Vec::new();
    for (key, value) in document.get_ref() {
        if key.get_ref() == RULES {
            rules = read_list(value, &mut faults);
        } else {
            let field = shortened(key.get_ref());
            faults.refuse(
                Some(key.span().start),
                Some(&field),
                "is not known; a policy is a list of [[rules]] and nothing else".into(),
            );
        }
    }
    if !document.get_ref().contains_key(RULES) {
        faults.refuse(None, None, "the policy has no rules; write each of them under its own [[rules]]".into());
    }
    faults.unless_any(rules)
}

fn read_list(list: &Spanned<DeValue<'_>>, faults: &mut Faults) -> Vec<Rule> {
    let at = Some(list.span().start);
    let Some(items) = list.get_ref().as_array() else {
        let kind = fields::kind(list.get_ref());
        faults.refuse(at, Some(RULES), format!("is {kind}; write each rule under its own [[rules]]"));
        return Vec::new();
    };
    if items.is_empty() {
        faults.refuse(at, Some(RULES), "is empty; write each rule under its own [[rules]]".into());
    }
    if items.len() > MAX_RULES {
        let count = items.len();
        faults.refuse(
            None,
            Some(RULES),
            format!(
                "has {count} entries; at most {MAX_RULES} are allowed: join rules that differ in one value, by a list"
            ),
        );
    }
    let mut rules = Vec::new();
    // Of each name, the number of the rule that has it.
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, item) in items.iter().take(MAX_RULES).enumerate() {
        let given = item.get_ref().as_table().and_then(|table| table.get("name"));
        let name = given.and_then(|name| name.get_ref().as_str());
        let rule = RuleRef { number: index + 1, name: name.map(shortened) };
        let mut faults = RuleFaults { rule, faults };
        if let Some((name, given)) = name.zip(given) {
            match names.get(name) {
                Some(first) => faults.refuse(
                    given.span().start,
                    "name",
                    format!("is that of rule {first} too; give each rule a name of its own"),
                ),
                None => {
                    names.insert(name, index + 1);
                }
            }
        }
        rules.extend(read_rule(item, &mut faults));
    }
    rules
}

/// `None` if there is a fault in it that leaves no rule.
fn read_rule(item: &Spanned<DeValue<'_>>, faults: &mut RuleFaults<'_>) -> Option<Rule> {
    let at = item.span().start;
    let DeValue::Table(table) = item.get_ref() else {
        let kind = fields::kind(item.get_ref());
        faults.refuse_rule(at, format!("this is {kind}; write each rule as a table, under its own [[rules]]"));
        return None;
    };
    let (mut name, mut action, mut because) = (None, None, None);
    let mut when = Conditions::default();
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "name" => name = fields::read_name(value, faults),
            "action" => action = fields::read_word::<Action>("action", value, faults),
            "because" => because = fields::read_because(value, faults),
            "tenant" => when.tenant = fields::read_tenants(value, faults),
            "decision" => when.decision = fields::read_words("decision", value, faults),
            "score" => when.score = fields::read_range("score", value, faults),
            "family" => when.family = fields::read_families(value, faults),
            "novelty" => when.novelty = fields::read_range("novelty", value, faults),
            "quality" => when.quality = fields::read_words("quality", value, faults),
            "no_quality" => when.no_quality = fields::read_words("no_quality", value, faults),
            "provenance" => when.provenance = fields::read_words("provenance", value, faults),
            "purpose" => when.purpose = fields::read_words("purpose", value, faults),
            "metadata" => when.metadata = fields::read_metadata(value, faults),
            other => {
                let problem = format!("is not known; a rule may have {FIELDS}");
                faults.refuse(key.span().start, &shortened(other), problem);
            }
        }
    }
    refuse_missing(table, &item.span(), faults);
    let line = faults.faults.line(at);
    Some(Rule { action: action?, because: because?, name: name?, when, line })
}

fn refuse_missing(table: &DeTable<'_>, rule: &Span<usize>, faults: &mut RuleFaults<'_>) {
    let needed = [
        ("name", "is missing; name the rule, as verdicts will name it".to_string()),
        ("action", format!("is missing; say what follows: {}", Action::list())),
        ("because", "is missing; say why, for the people whom it concerns".to_string()),
    ];
    for (field, problem) in needed {
        if !table.contains_key(field) {
            faults.refuse(rule.start, field, problem);
        }
    }
}
