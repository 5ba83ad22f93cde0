//! Rules as a test draws them: written as TOML for the policy, and evaluated by themselves, field by field.

use domain::Verdict;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Value;

pub(crate) const BOUNDS: [&str; 4] = ["0", "0.5", "0.90", "1.0"];
pub(crate) const ACTIONS: [&str; 3] = ["none", "review", "block"];

/// Lists of words; a range is `(at_least, below)`; values of metadata are TOML.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    tenant: Option<Vec<&'static str>>,
    decision: Option<Vec<&'static str>>,
    score: Option<(Option<&'static str>, Option<&'static str>)>,
    family: Option<Vec<&'static str>>,
    novelty: Option<(Option<&'static str>, Option<&'static str>)>,
    quality: Option<Vec<&'static str>>,
    no_quality: Option<Vec<&'static str>>,
    provenance: Option<Vec<&'static str>>,
    purpose: Option<Vec<&'static str>>,
    channel: Option<&'static str>,
    age: Option<&'static str>,
    pub(crate) action: &'static str,
}

type Words = BoxedStrategy<Option<Vec<&'static str>>>;

fn words(share: f64, words: &[&'static str]) -> Words {
    weighted(share, subsequence(words.to_vec(), 1..=words.len()).prop_shuffle()).boxed()
}

type Bounds = (Option<&'static str>, Option<&'static str>);

fn ranges(share: f64) -> BoxedStrategy<Option<Bounds>> {
    let bound = || proptest::option::of(select(BOUNDS.to_vec()));
    let range = (bound(), bound()).prop_filter("a range has a bound", |(low, high)| low.is_some() || high.is_some());
    weighted(share, range).boxed()
}

/// Each field is there with this chance.
pub(crate) fn drafts(share: f64) -> impl Strategy<Value = Draft> {
    let qualities = ["damaged", "animated", "greyscale"];
    let claims = ["claimed_synthetic", "claimed_edit", "claimed_capture", "none"];
    let first = (
        words(share, &["acme", "zenith"]),
        words(share, &["real", "synthetic", "uncertain"]),
        ranges(share),
        words(share, &["flux", "gan", "unknown"]),
        ranges(share / 2.0),
        words(share, &qualities),
    );
    let channels = vec![r#""ads""#, r#"["feed", "ads"]"#, "true", "1", "1.0", "0.1"];
    let second = (
        words(share, &qualities),
        words(share, &claims),
        words(share, &["live", "backfill", "reverdict"]),
        weighted(share, select(channels.clone())),
        weighted(share / 2.0, select(channels)),
        select(ACTIONS.to_vec()),
    );
    (first, second).prop_map(|(first, second)| {
        let (tenant, decision, score, family, novelty, quality) = first;
        let (no_quality, provenance, purpose, channel, age, action) = second;
        Draft {
            tenant,
            decision,
            score,
            family,
            novelty,
            quality,
            no_quality,
            provenance,
            purpose,
            channel,
            age,
            action,
        }
    })
}

/// The policy's file; rule `N` has the name `r-N`.
pub(crate) fn file(drafts: &[Draft]) -> String {
    drafts.iter().enumerate().map(|(index, draft)| draft.toml(&format!("r-{}", index + 1))).collect()
}

impl Draft {
    fn toml(&self, name: &str) -> String {
        let mut lines = vec![format!("[[rules]]\nname = \"{name}\"\naction = \"{}\"\nbecause = \"test\"", self.action)];
        for (field, words) in [
            ("tenant", &self.tenant),
            ("decision", &self.decision),
            ("family", &self.family),
            ("quality", &self.quality),
            ("no_quality", &self.no_quality),
            ("provenance", &self.provenance),
            ("purpose", &self.purpose),
        ] {
            lines.extend(words.as_ref().map(|words| format!("{field} = {words:?}")));
        }
        for (field, range) in [("score", self.score), ("novelty", self.novelty)] {
            let Some((low, high)) = range else { continue };
            lines.extend(low.map(|low| format!("{field}.at_least = {low}")));
            lines.extend(high.map(|high| format!("{field}.below = {high}")));
        }
        for (key, value) in [("channel", self.channel), ("age", self.age)] {
            lines.extend(value.map(|value| format!("metadata.{key} = {value}")));
        }
        lines.join("\n") + "\n"
    }

    /// Whether each field holds of the verdict's document.
    pub(crate) fn matches(&self, verdict: &Verdict) -> bool {
        let generator = verdict.generator.as_ref();
        let novelty = generator.and_then(|generator| generator.novelty);
        let flags: Vec<Value> = verdict.quality.iter().map(|flag| serde_json::to_value(flag).unwrap()).collect();
        let has = |flag: &&str| flags.iter().any(|own| own == flag);
        let class = verdict.provenance.as_ref().map(|provenance| serde_json::to_value(provenance.class).unwrap());
        let listed = |words: &Option<Vec<&str>>, word: Option<&str>| match (words, word) {
            (None, _) => true,
            (Some(words), Some(word)) => words.contains(&word),
            (Some(_), None) => false,
        };
        listed(&self.tenant, Some(&verdict.tenant))
            && listed(&self.decision, Some(verdict.decision.as_str()))
            && within(self.score, Some(verdict.score.synthetic))
            && listed(&self.family, generator.map(|generator| generator.family.as_str()))
            && within(self.novelty, novelty)
            && self.quality.as_ref().is_none_or(|wanted| wanted.iter().any(has))
            && self.no_quality.as_ref().is_none_or(|ruled_out| !ruled_out.iter().any(has))
            && listed(&self.provenance, class.as_ref().map(|class| class.as_str().unwrap()))
            && listed(&self.purpose, Some(verdict.purpose.as_str()))
            && wanted(self.channel, verdict.metadata.get("channel"))
            && wanted(self.age, verdict.metadata.get("age"))
    }

    /// The same in drafts that each speak of one thing only which verdicts say by itself, in the order of tenant, purpose,
    /// provenance, score, quality, image (decision and generator) and the two keys of metadata.
    pub(crate) fn parts(&self) -> [Draft; 8] {
        let Draft {
            tenant,
            decision,
            score,
            family,
            novelty,
            quality,
            no_quality,
            provenance,
            purpose,
            channel,
            age,
            ..
        } = self.clone();
        let nothing = Draft::default;
        [
            Draft { tenant, ..nothing() },
            Draft { purpose, ..nothing() },
            Draft { provenance, ..nothing() },
            Draft { score, ..nothing() },
            Draft { quality, no_quality, ..nothing() },
            Draft { decision, family, novelty, ..nothing() },
            Draft { channel, ..nothing() },
            Draft { age, ..nothing() },
        ]
    }
}

fn within(range: Option<Bounds>, number: Option<f32>) -> bool {
    let Some((low, high)) = range else { return true };
    let bound = |text: &str| text.parse::<f32>().unwrap();
    number.is_some_and(|number| {
        low.is_none_or(|low| number >= bound(low)) && high.is_none_or(|high| number < bound(high))
    })
}

/// By way of binary floats, which are exact enough for the few values that there are.
fn wanted(toml: Option<&str>, given: Option<&Value>) -> bool {
    let Some(toml) = toml else { return true };
    let (wanted, given): (Value, _) = (serde_json::from_str(toml).unwrap(), given.cloned().unwrap_or_default());
    let equal = |wanted: &Value| match (wanted, &given) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (left, right) => left == right,
    };
    wanted.as_array().map_or_else(|| equal(&wanted), |any| any.iter().any(equal))
}
