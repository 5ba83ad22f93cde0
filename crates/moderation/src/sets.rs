//! The values of which a condition wants any: texts that somebody chose, or words of a closed vocabulary.

use serde::{Serialize, Serializer};

use crate::words::Word;

/// Texts, sorted, each once, at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Texts(Vec<String>);

impl Texts {
    pub(crate) fn of(mut texts: Vec<String>) -> Texts {
        texts.sort_unstable();
        texts.dedup();
        Texts(texts)
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.0.binary_search_by(|own| own.as_str().cmp(text)).is_ok()
    }

    pub(crate) fn is_within(&self, other: &Texts) -> bool {
        // Both are sorted, so one walk along the other finds all.
        let mut others = other.0.iter();
        self.0.len() <= other.0.len() && self.0.iter().all(|text| others.any(|other| other == text))
    }
}

/// Words of one vocabulary in alphabetical order, each once, at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Words<T>(Vec<T>);

impl<T: Word> Words<T> {
    pub(crate) fn of(mut words: Vec<T>) -> Words<T> {
        words.sort_unstable_by_key(|value| value.word());
        words.dedup();
        Words(words)
    }

    pub(crate) fn contains(&self, value: T) -> bool {
        self.0.contains(&value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn is_within(&self, other: &Words<T>) -> bool {
        self.iter().all(|value| other.contains(value))
    }
}

impl<T: Word> Serialize for Words<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(T::word))
    }
}

#[cfg(test)]
mod tests {
    use domain::Decision;

    use super::*;

    #[test]
    fn the_order_in_which_values_are_listed_does_not_matter() {
        let texts = |listed: &[&str]| Texts::of(listed.iter().map(ToString::to_string).collect());
        assert_eq!(texts(&["zenith", "acme", "zenith"]), texts(&["acme", "zenith"]));
        assert!(texts(&["acme"]).is_within(&texts(&["zenith", "acme"])));
        assert!(!texts(&["acme", "other"]).is_within(&texts(&["zenith", "acme"])));
        let words = Words::of(vec![Decision::Uncertain, Decision::Real]);
        assert_eq!(serde_json::to_string(&words).unwrap(), r#"["real","uncertain"]"#);
        assert!(words.contains(Decision::Real) && !words.contains(Decision::Synthetic));
    }
}
