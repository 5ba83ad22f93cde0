//! How each field of a rule is read. A function that returns nothing has said why.

use std::collections::{BTreeMap, BTreeSet};

use domain::request::{MAX_LABEL, MAX_METADATA, validate_tenant};
use toml::Spanned;
use toml::de::DeValue;

use crate::faults::{RuleFaults, shortened};
use crate::metadata::Wanted;
use crate::number::Decimal;
use crate::range::Range;
use crate::sets::{Texts, Words};
use crate::words::Word;

/// Longest name of a rule, in characters.
const MAX_NAME: usize = 64;
/// Longest reason, in characters.
const MAX_BECAUSE: usize = 500;

type Value<'i> = Spanned<DeValue<'i>>;

pub(crate) fn read_name(value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<String> {
    let name = read_text("name", value, faults)?;
    let at = value.span().start;
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
    let count = name.chars().count();
    if name.is_empty() {
        faults.refuse(at, "name", "is empty; name the rule, as verdicts will name it");
    } else if count > MAX_NAME {
        faults.refuse(at, "name", format!("is {count} characters long; at most {MAX_NAME} are allowed: shorten it"));
    } else if !name.chars().all(plain) {
        faults.refuse(
            at,
            "name",
            "may hold letters of a to z, digits, `_`, `.` and `-` only; put `-` for anything else",
        );
    } else {
        return Some(name.into());
    }
    None
}

pub(crate) fn read_because(value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<String> {
    let because = read_text("because", value, faults)?;
    let at = value.span().start;
    let count = because.chars().count();
    if because.trim().is_empty() {
        faults.refuse(at, "because", "is empty; say why, for the people whom it concerns");
    } else if count > MAX_BECAUSE {
        let problem = format!("is {count} characters long; at most {MAX_BECAUSE} are allowed: shorten it");
        faults.refuse(at, "because", problem);
    } else if let Some(character) = because.chars().find(|character| character.is_control()) {
        let problem = format!("holds the control character {character:?}; write it as one line");
        faults.refuse(at, "because", problem);
    } else {
        return Some(because.into());
    }
    None
}

pub(crate) fn read_tenants(value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<Texts> {
    read_texts("tenant", value, faults, |tenant| {
        let fix = "is no name of a tenant; these have 1 to 64 letters of a to z, digits, `_` and `-`";
        validate_tenant(tenant).is_err().then(|| fix.into())
    })
}

pub(crate) fn read_families(value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<Texts> {
    read_texts("family", value, faults, |family| match family.len() {
        0 => Some("is empty; name the family as verdicts do".into()),
        n if n > MAX_LABEL => {
            Some(format!("is {n} bytes long; no family has more than {MAX_LABEL}: name it as verdicts do"))
        }
        _ if family.contains(char::is_control) => {
            Some("holds a control character; name the family as verdicts do".into())
        }
        _ => None,
    })
}

/// One word of a vocabulary.
pub(crate) fn read_word<T: Word>(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<T> {
    let word = read_text(field, value, faults)?;
    let known = T::of(word);
    if known.is_none() {
        let problem = format!("is `{}`, which is none of {}; choose one of them", shortened(word), T::list());
        faults.refuse(value.span().start, field, problem);
    }
    known
}

/// Any of some words of a vocabulary.
pub(crate) fn read_words<T: Word>(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<Words<T>> {
    let unknown = |word: &str| match T::of(word) {
        None => Some(format!("is none of {}; choose among them", T::list())),
        Some(_) => None,
    };
    let listed = read_list(field, value, faults, unknown)?;
    Some(Words::of(listed.into_iter().filter_map(T::of).collect()))
}

pub(crate) fn read_range(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<Range> {
    let at = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        let kind = kind(value.get_ref());
        faults.refuse(at, field, format!("is {kind}; write {field} = {{ at_least = 0.5 }}, or `below`, or both"));
        return None;
    };
    if table.is_empty() {
        faults.refuse(at, field, "has no bound; give `at_least`, `below` or both, or leave it out");
        return None;
    }
    let mut range = Range { at_least: None, below: None };
    let mut whole = true;
    for (key, value) in table {
        let name = format!("{field}.{}", shortened(key.get_ref()));
        let bound = match key.get_ref().as_ref() {
            "at_least" => &mut range.at_least,
            "below" => &mut range.below,
            _ => {
                let problem = "is not known; a range has `at_least` (included) and `below` (not included)";
                faults.refuse(key.span().start, &name, problem);
                whole = false;
                continue;
            }
        };
        *bound = read_bound(&name, value, faults);
        whole &= bound.is_some();
    }
    whole.then_some(range)
}

/// By key what is wanted of it; empty if something is wrong.
pub(crate) fn read_metadata(value: &Value<'_>, faults: &mut RuleFaults<'_>) -> BTreeMap<String, Wanted> {
    let at = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        let kind = kind(value.get_ref());
        faults.refuse(at, "metadata", format!("is {kind}; write metadata.KEY = \"value\""));
        return BTreeMap::new();
    };
    if table.is_empty() {
        faults.refuse(at, "metadata", "names no key; write metadata.KEY = \"value\", or leave it out");
    }
    let mut wanted = BTreeMap::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let field = format!("metadata.{}", shortened(name));
        if name.len() > MAX_METADATA {
            faults.refuse(key.span().start, &field, "is a key longer than all metadata may be; shorten it");
        }
        if let Some(value) = read_wanted(&field, value, faults) {
            wanted.insert(name.to_string(), value);
        }
    }
    wanted
}

fn read_wanted(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<Wanted> {
    let at = value.span().start;
    match value.get_ref() {
        DeValue::Boolean(boolean) => Some(Wanted::Boolean(*boolean)),
        DeValue::Integer(_) | DeValue::Float(_) => read_number(field, value, faults)
            .and_then(|number| Decimal::of(&number).or_else(|| refuse_number(field, value, faults)))
            .map(Wanted::Number),
        DeValue::String(_) | DeValue::Array(_) => read_texts(field, value, faults, |text| {
            (text.len() > MAX_METADATA).then(|| "is longer than all metadata may be; shorten it".into())
        })
        .map(Wanted::Texts),
        DeValue::Table(_) => {
            let problem = "is a table, but only keys at the top of metadata are compared; put a key with dots in quotes: \
                           metadata.\"a.b\"";
            faults.refuse(at, field, problem);
            None
        }
        DeValue::Datetime(_) => {
            faults.refuse(at, field, "is a date, which JSON has none of; put it in quotes, as the metadata has it");
            None
        }
    }
}

/// A bound from 0 to 1, as the nearest 32-bit float.
fn read_bound(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<f32> {
    let number = read_number(field, value, faults)?;
    let exact = number.parse::<f64>().unwrap_or(f64::NAN);
    let bound = number.parse::<f32>().ok().filter(|_| (0.0..=1.0).contains(&exact));
    if bound.is_none() {
        let open = exact > 1.0 && field.ends_with(".below");
        let fix = if open { "to include 1, leave `below` out" } else { "set it within these" };
        faults.refuse(value.span().start, field, format!("is {}; bounds lie from 0 to 1: {fix}", shortened(&number)));
    }
    // -0 is 0.
    bound.map(f32::abs)
}

/// A finite number's text.
fn read_number(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Some(number.to_string()),
            Err(_) => refuse_number(field, value, faults),
        },
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Some(float.as_str().into()),
            _ => refuse_number(field, value, faults),
        },
        other => {
            let kind = kind(other);
            faults.refuse(value.span().start, field, format!("is {kind}; write a number, without quotes"));
            None
        }
    }
}

fn refuse_number<T>(field: &str, value: &Value<'_>, faults: &mut RuleFaults<'_>) -> Option<T> {
    let problem = "is infinite, not a number, or beyond 64 bits; write a number that JSON can hold";
    faults.refuse(value.span().start, field, problem);
    None
}

fn read_text<'v>(field: &str, value: &'v Value<'_>, faults: &mut RuleFaults<'_>) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        let kind = kind(value.get_ref());
        faults.refuse(value.span().start, field, format!("is {kind}; write a text, in quotes"));
    }
    text
}

fn read_texts(
    field: &str,
    value: &Value<'_>,
    faults: &mut RuleFaults<'_>,
    wrong: impl Fn(&str) -> Option<String>,
) -> Option<Texts> {
    let listed = read_list(field, value, faults, wrong)?;
    Some(Texts::of(listed.into_iter().map(String::from).collect()))
}

/// A list of texts, or one text, which is the same as a list of one. `wrong` says what is wrong with an entry.
fn read_list<'v>(
    field: &str,
    value: &'v Value<'_>,
    faults: &mut RuleFaults<'_>,
    wrong: impl Fn(&str) -> Option<String>,
) -> Option<Vec<&'v str>> {
    let at = value.span().start;
    let entries: Vec<&Value<'_>> = match value.get_ref() {
        DeValue::Array(entries) => entries.iter().collect(),
        DeValue::String(_) => vec![value],
        other => {
            let kind = kind(other);
            faults.refuse(at, field, format!("is {kind}; write a text in quotes, or a list of texts"));
            return None;
        }
    };
    if entries.is_empty() {
        faults.refuse(at, field, "is an empty list, which nothing is in; name a value, or leave the field out");
    }
    let mut texts = Vec::with_capacity(entries.len());
    let mut seen = BTreeSet::new();
    for entry in &entries {
        let at = entry.span().start;
        let Some(text) = entry.get_ref().as_str() else {
            let kind = kind(entry.get_ref());
            faults.refuse(at, field, format!("lists {kind}; write texts only, in quotes"));
            continue;
        };
        if let Some(problem) = wrong(text) {
            faults.refuse(at, field, format!("has `{}`, which {problem}", shortened(text)));
        } else if seen.insert(text) {
            texts.push(text);
        } else {
            faults.refuse(at, field, format!("lists `{}` twice; leave one out", shortened(text)));
        }
    }
    (!texts.is_empty() && texts.len() == entries.len()).then_some(texts)
}

/// What a value is, for a message.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
