//! The closed vocabularies of a rule: the words by which documents name decisions, purposes, quality flags and the like.

use domain::{Claim, Decision, Purpose, QualityFlag};

use crate::Action;

/// A value that a document names by one of a few words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// Each value, in the order in which messages list them.
    const ALL: &'static [Self];

    /// As JSON has it.
    fn word(self) -> &'static str;

    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }

    /// All words, for a message.
    fn list() -> String {
        let words: Vec<_> = Self::ALL.iter().map(|value| value.word()).collect();
        words.join(", ")
    }
}

impl Word for Action {
    const ALL: &'static [Self] = &Action::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for Decision {
    const ALL: &'static [Self] = &[Decision::Real, Decision::Synthetic, Decision::Uncertain];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for Purpose {
    const ALL: &'static [Self] = &[Purpose::Live, Purpose::Backfill, Purpose::Reverdict];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for QualityFlag {
    const ALL: &'static [Self] = &[
        QualityFlag::LowResolution,
        QualityFlag::Animated,
        QualityFlag::Transparent,
        QualityFlag::Greyscale,
        QualityFlag::Damaged,
        QualityFlag::UnfamiliarCodec,
    ];

    fn word(self) -> &'static str {
        match self {
            QualityFlag::LowResolution => "low_resolution",
            QualityFlag::Animated => "animated",
            QualityFlag::Transparent => "transparent",
            QualityFlag::Greyscale => "greyscale",
            QualityFlag::Damaged => "damaged",
            QualityFlag::UnfamiliarCodec => "unfamiliar_codec",
        }
    }
}

impl Word for Claim {
    const ALL: &'static [Self] = &[Claim::ClaimedSynthetic, Claim::ClaimedEdit, Claim::ClaimedCapture, Claim::None];

    fn word(self) -> &'static str {
        match self {
            Claim::ClaimedSynthetic => "claimed_synthetic",
            Claim::ClaimedEdit => "claimed_edit",
            Claim::ClaimedCapture => "claimed_capture",
            Claim::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemars::{JsonSchema, schema_for};
    use serde::Serialize;
    use serde_json::Value;

    use super::*;

    /// The words of an enumeration's schema, which names every variant.
    fn words_of_schema(schema: &Value) -> BTreeSet<String> {
        let alternatives = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut words: BTreeSet<String> = alternatives.iter().flat_map(words_of_schema).collect();
        words.extend(schema.get("const").and_then(Value::as_str).map(String::from));
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        words.extend(listed.filter_map(Value::as_str).map(String::from));
        words
    }

    fn assert_complete<T: Word + Serialize + JsonSchema>() {
        let known: BTreeSet<String> = T::ALL.iter().map(|value| value.word().to_string()).collect();
        assert_eq!(known, words_of_schema(schema_for!(T).as_value()));
        for value in T::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert!(T::of(value.word()) == Some(*value));
        }
    }

    #[test]
    fn every_value_of_the_vocabulary_has_the_word_that_json_has() {
        assert_complete::<Action>();
        assert_complete::<Decision>();
        assert_complete::<Purpose>();
        assert_complete::<QualityFlag>();
        assert_complete::<Claim>();
    }
}
