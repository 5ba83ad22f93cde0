//! A policy: ordered rules, of which the first that matches decides, and the version that follows from what they say.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{PolicyErrors, Rule, reading};

/// What the canonical text begins with. Another meaning of the same rules would be another schema, and so another digest.
const SCHEMA: &str = "assay.policy.v1";
/// Hexadecimal digits of the digest that make a version.
const VERSION_DIGITS: usize = 12;

/// An organisation's policy, read and valid.
///
/// Its digest is the SHA-256 of its canonical text, so that files which say the same are one version. That text is JSON without
/// whitespace: `{"schema":"assay.policy.v1","rules":[…]}`, the rules in their order, each
/// `{"action":…,"because":…,"name":…,"when":{…}}` with the conditions that are there under `when` in alphabetical order. A list
/// is sorted, and a single text is a list of one. Bounds are texts: the shortest decimal that names the 32-bit float, without an
/// exponent. The keys of `metadata` are sorted; strings are lists, booleans booleans, and numbers texts (`15e-1` for 1.5).
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    canonical: String,
    digest: String,
}

impl Policy {
    /// Reads a file. The errors are all there are in it: each names the rule, the line, the field and the fix.
    pub fn read(text: &str) -> Result<Policy, PolicyErrors> {
        let rules = reading::rules(text)?;
        let canonical = canonical(&rules);
        let digest = hex::encode(Sha256::digest(&canonical));
        Ok(Policy { rules, canonical, digest })
    }

    /// In their order; at least one.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first 12 digits of the digest.
    pub fn version(&self) -> &str {
        &self.digest[..VERSION_DIGITS]
    }

    /// SHA-256 of the canonical text: 64 hexadecimal digits, in lower case.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What the rules say, in the one way in which it is written: JSON (see above).
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

#[derive(Serialize)]
struct Canonical<'r> {
    schema: &'static str,
    rules: &'r [Rule],
}

fn canonical(rules: &[Rule]) -> String {
    let text = serde_json::to_string(&Canonical { schema: SCHEMA, rules });
    text.expect("strings, booleans and lists with keys that are strings are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        [[rules]]
        name = "certain"
        tenant = ["zenith", "acme"]
        decision = "synthetic"
        score = { at_least = 0.90 }
        family = "flux"
        novelty = { below = 0.5, at_least = 0 }
        quality = ["damaged", "animated"]
        no_quality = "greyscale"
        provenance = ["none", "claimed_edit"]
        purpose = "live"
        metadata.channel = "ads"
        metadata.age = 1.50
        metadata.paid = true
        action = "review"
        because = "Sicher \"künstlich\"."
    "#;

    /// A change of it would give every stored policy another version.
    #[test]
    fn the_canonical_text_and_its_digest_stay_as_they_are() {
        let policy = Policy::read(WHOLE).unwrap();
        let expected = concat!(
            r#"{"schema":"assay.policy.v1","rules":[{"action":"review","because":"Sicher \"künstlich\".","name":"certain","#,
            r#""when":{"decision":["synthetic"],"family":["flux"],"metadata":{"age":"15e-1","channel":["ads"],"paid":true},"#,
            r#""no_quality":["greyscale"],"novelty":{"at_least":"0","below":"0.5"},"provenance":["claimed_edit","none"],"#,
            r#""purpose":["live"],"quality":["animated","damaged"],"score":{"at_least":"0.9"},"tenant":["acme","zenith"]}}]}"#
        );
        assert_eq!(policy.canonical(), expected);
        assert_eq!(policy.digest(), "56bd37eebdfe1a828781ea6c970432de89a9f9cb0d6caebd053649addb21e181");
        assert_eq!(policy.version(), &policy.digest()[..12]);
    }

    #[test]
    fn files_that_say_the_same_are_one_version() {
        let other = r#"
            rules = [{
                because = "Sicher \u0022k\u00FCnstlich\u0022.", action = "review",
                metadata = { "paid" = true, age = 15e-1, channel = ["ads"] }, purpose = ["live"],
                provenance = ["claimed_edit", "none"], no_quality = ["greyscale"], quality = ["animated", "damaged"],
                novelty = { at_least = -0.0, below = 5e-1 }, family = ["flux"], score.at_least = 9e-1,   # the same
                decision = ["synthetic"], tenant = ["acme", "zenith"], name = "certain",
            }]
        "#;
        assert_eq!(Policy::read(other).unwrap().digest(), Policy::read(WHOLE).unwrap().digest());
    }

    #[test]
    fn whatever_a_rule_says_is_part_of_the_version() {
        let whole = Policy::read(WHOLE).unwrap();
        for (said, instead) in [
            ("\"certain\"", "\"uncertain\""),
            ("\"zenith\", ", ""),
            ("\"synthetic\"", "[\"synthetic\", \"uncertain\"]"),
            ("0.90", "0.91"),
            ("\"flux\"", "\"sdxl\""),
            ("below = 0.5, ", ""),
            (", \"animated\"", ""),
            ("no_quality = \"greyscale\"", ""),
            ("\"none\", ", ""),
            ("\"live\"", "\"backfill\""),
            ("\"ads\"", "\"feed\""),
            ("1.50", "1.51"),
            ("= true", "= false"),
            ("\"review\"", "\"limit\""),
            ("Sicher", "sicher"),
        ] {
            assert_eq!(WHOLE.matches(said).count(), 1, "{said}");
            let changed = Policy::read(&WHOLE.replace(said, instead)).unwrap();
            assert_ne!(changed.digest(), whole.digest(), "{said} {instead}");
        }
    }

    #[test]
    fn the_order_of_rules_is_part_of_the_version() {
        let rule = |name: &str| format!("[[rules]]\nname = \"{name}\"\naction = \"none\"\nbecause = \"-\"\n");
        let [forth, back] = [["a", "b"], ["b", "a"]].map(|names| Policy::read(&names.map(rule).concat()).unwrap());
        assert_ne!(forth.digest(), back.digest());
    }
}
