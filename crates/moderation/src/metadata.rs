//! What a rule wants of one key of the verdict's `metadata`.

use serde::Serialize;
use serde_json::Value;

use crate::number::Decimal;
use crate::sets::Texts;

/// The value must be of the same type and equal; there is no conversion, and null, arrays and objects equal nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Wanted {
    /// Any of these strings.
    Texts(Texts),
    Number(Decimal),
    Boolean(bool),
}

impl Wanted {
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Wanted::Texts(texts), Value::String(text)) => texts.contains(text),
            (Wanted::Number(wanted), Value::Number(number)) => wanted.equals(number.as_str()),
            (Wanted::Boolean(wanted), Value::Bool(given)) => wanted == given,
            _ => false,
        }
    }

    /// Whether `other` accepts whatever this accepts.
    pub(crate) fn is_within(&self, other: &Wanted) -> bool {
        match (self, other) {
            (Wanted::Texts(own), Wanted::Texts(others)) => own.is_within(others),
            (own, other) => own == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_equal_only_within_their_type() {
        let texts = Wanted::Texts(Texts::of(vec!["ads".into(), "1".into()]));
        assert!(texts.accepts(&json!("ads")) && texts.accepts(&json!("1")));
        let number = Wanted::Number(Decimal::of("1").unwrap());
        assert!(number.accepts(&json!(1)) && number.accepts(&json!(1.0)));
        let yes = Wanted::Boolean(true);
        assert!(yes.accepts(&json!(true)) && !yes.accepts(&json!(false)));
        for other in [json!(null), json!([1]), json!(["ads"]), json!({"ads": 1}), json!("ADS"), json!(2), json!("true")]
        {
            assert!(!texts.accepts(&other) && !number.accepts(&other) && !yes.accepts(&other), "{other}");
        }
        assert!(!texts.accepts(&json!(1)) && !number.accepts(&json!("1")) && !yes.accepts(&json!(1)));
    }
}
