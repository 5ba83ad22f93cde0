//! The metadata of a request as pairs of text.

use serde::Serialize;
use serde_json::{Map, Value};

/// How many pairs a page shows, and how much of each.
const MOST_PAIRS: usize = 100;
const MOST_CHARACTERS: usize = 1000;

/// One thing that the platform said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Said {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Flattened: `{"a": {"b": [1]}}` is `a.b.0` with the value `1`.
pub(crate) fn said(metadata: &Map<String, Value>) -> Vec<Said> {
    let mut pairs = Vec::new();
    for (key, value) in metadata {
        add(&mut pairs, key.clone(), value);
    }
    pairs
}

fn add(pairs: &mut Vec<Said>, key: String, value: &Value) {
    if pairs.len() == MOST_PAIRS {
        return;
    }
    let text = match value {
        Value::Object(members) if !members.is_empty() => {
            return members.iter().for_each(|(name, member)| add(pairs, format!("{key}.{name}"), member));
        }
        Value::Array(items) if !items.is_empty() => {
            return items.iter().enumerate().for_each(|(at, item)| add(pairs, format!("{key}.{at}"), item));
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    pairs.push(Said { key: short(key), value: short(text) });
}

fn short(text: String) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_nested_is_flattened_and_numbers_keep_their_digits() {
        let document: Map<String, Value> =
            serde_json::from_str(r#"{"a": {"b": [1.50, "x"], "c": {}}, "n": null, "big": 12345678901234567890}"#)
                .unwrap();
        let pairs: Vec<_> = said(&document).into_iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        assert_eq!(pairs, ["a.b.0=1.50", "a.b.1=x", "a.c={}", "big=12345678901234567890", "n=null"]);
    }

    #[test]
    fn much_of_it_is_cut() {
        let many = json!({"list": vec!["é".repeat(5000); 500]});
        let pairs = said(many.as_object().unwrap());
        assert_eq!(pairs.len(), MOST_PAIRS);
        assert_eq!(pairs[0].value.chars().count(), MOST_CHARACTERS + 1);
    }
}
