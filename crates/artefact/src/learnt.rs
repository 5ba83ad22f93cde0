//! Which images a model has learnt from: it is no judge of these.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hexadecimal digits that are kept of a digest. Among a million images that were learnt, another one is taken for one of them
/// once in a million times.
const DIGITS: usize = 10;

/// The first ten hexadecimal digits of the SHA-256 of each image's bytes, ascending, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^([0-9a-f]{10})*$"))]
pub struct LearntImages(BTreeSet<String>);

impl LearntImages {
    /// Of digests in lower-case hexadecimal.
    pub fn of<'a>(digests: impl IntoIterator<Item = &'a str>) -> LearntImages {
        LearntImages(digests.into_iter().filter_map(|digest| digest.get(..DIGITS)).map(str::to_owned).collect())
    }

    /// Whether the image with this digest is among them.
    pub fn contains(&self, sha256: &str) -> bool {
        sha256.get(..DIGITS).is_some_and(|digits| self.0.contains(digits))
    }

    /// With those of another model, whose weights training began with.
    pub fn and(mut self, earlier: &LearntImages) -> LearntImages {
        self.0.extend(earlier.0.iter().cloned());
        self
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<LearntImages> for String {
    fn from(images: LearntImages) -> String {
        images.0.into_iter().collect()
    }
}

impl TryFrom<String> for LearntImages {
    type Error = String;

    fn try_from(text: String) -> Result<LearntImages, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !text.len().is_multiple_of(DIGITS) || !text.bytes().all(is_digit) {
            return Err(format!("the images that were learnt are groups of {DIGITS} lower-case hexadecimal digits"));
        }
        Ok(LearntImages((0..text.len()).step_by(DIGITS).map(|at| text[at..at + DIGITS].to_owned()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_again_by_its_digest_and_a_model_has_learnt_what_the_one_before_it_had() {
        let digest = |digit: &str| digit.repeat(64);
        let earlier = LearntImages::of([digest("e").as_str()]);
        let learnt = LearntImages::of([digest("b").as_str(), &digest("a"), &digest("b"), "short"]).and(&earlier);
        assert_eq!(learnt.len(), 3);
        assert!(learnt.contains(&digest("a")) && learnt.contains(&digest("e")) && !learnt.contains(&digest("c")));
        assert!(!learnt.contains("short") && !learnt.contains(""));
        let text = serde_json::to_string(&learnt).unwrap();
        assert_eq!(text, r#""aaaaaaaaaabbbbbbbbbbeeeeeeeeee""#);
        assert_eq!(serde_json::from_str::<LearntImages>(&text).unwrap(), learnt);
    }

    #[test]
    fn what_is_no_list_of_digests_is_refused() {
        for text in ["\"abc\"", "\"ABCDEFABCD\"", "\"ééééé\""] {
            let error = serde_json::from_str::<LearntImages>(text).unwrap_err();
            assert!(error.to_string().contains("groups of 10"), "{error}");
        }
    }
}
