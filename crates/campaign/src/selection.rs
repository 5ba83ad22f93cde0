//! Which verdicts are to be judged again.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use domain::{Decision, LabelledOrigin};

/// Of the verdicts in force those for which all of this holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Recorded at this time or later.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// Recorded before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
    pub tenant: Option<String>,
    /// The version that judged.
    pub model: Option<String>,
    pub decision: Option<Decision>,
    /// Probabilities of synthetic, both included.
    pub min_score: Option<f32>,
    pub max_score: Option<f32>,
    pub generator: Option<String>,
    /// What people say of the image.
    pub label: Option<LabelledOrigin>,
    /// What the version at work has judged itself too: by other thresholds it may say something else.
    #[serde(default)]
    pub same_model: bool,
}

impl Selection {
    /// What can hold of nothing; the error says which.
    pub fn validate(&self) -> Result<(), String> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(format!("--since {since} is not before --until {until}: no verdict is in between"));
        }
        if self.min_score.zip(self.max_score).is_some_and(|(min, max)| min > max) {
            return Err("--min-score is above --max-score: no verdict is in between".into());
        }
        if self.generator.is_some() && self.decision.is_some_and(|decision| decision != Decision::Synthetic) {
            return Err("only synthetic verdicts name a generator: leave out --decision or --generator".into());
        }
        Ok(())
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |name: &str, score: Option<f32>| score.map(|score| format!("{name} {score}"));
        let parts = [
            self.since.map(|since| format!("since {since}")),
            self.until.map(|until| format!("until {until}")),
            self.tenant.as_ref().map(|tenant| format!("tenant {tenant}")),
            self.model.as_ref().map(|model| format!("judged by {model}")),
            self.decision.map(|decision| format!("decision {}", decision.as_str())),
            number("score from", self.min_score),
            number("score to", self.max_score),
            self.generator.as_ref().map(|generator| format!("generator {generator}")),
            self.label.map(|label| format!("labelled {}", label.as_str())),
            self.same_model.then(|| "those of the same model too".to_string()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { f.write_str("all verdicts in force") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_match_nothing_is_refused() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        let wrong = [
            Selection { since: at(2), until: at(1), ..Selection::default() },
            Selection { min_score: Some(0.9), max_score: Some(0.1), ..Selection::default() },
            Selection { generator: Some("a".into()), decision: Some(Decision::Real), ..Selection::default() },
        ];
        for selection in wrong {
            assert!(selection.validate().is_err(), "{selection}");
        }
        assert_eq!(Selection::default().validate(), Ok(()));
        assert_eq!(Selection::default().to_string(), "all verdicts in force");
    }

    #[test]
    fn it_is_kept_as_it_was_given() {
        let selection = Selection { tenant: Some("acme".into()), min_score: Some(0.5), ..Selection::default() };
        let text = serde_json::to_string(&selection).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), selection);
        assert_eq!(selection.to_string(), "tenant acme, score from 0.5");
    }
}
