//! What a blind review hides of a verdict.

use serde::Serialize;
use time::OffsetDateTime;

use domain::{GeneratorGuess, Score, Verdict};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evidence {
    decision: &'static str,
    score: Score,
    model: Model,
    generator: Option<GeneratorGuess>,
    policy: Option<Policy>,
    generations: Vec<Generation>,
    labels: Vec<KnownLabel>,
}

#[derive(Clone, Debug, Serialize)]
struct Model {
    version: String,
    trained: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Policy {
    version: String,
    rule: String,
    action: &'static str,
    because: String,
}

/// One outcome of the submission.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Generation {
    pub(crate) generation: u32,
    pub(crate) decision: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) synthetic: Option<f32>,
    pub(crate) by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct KnownLabel {
    pub(crate) origin: String,
    pub(crate) generator: Option<String>,
    pub(crate) ground: Option<String>,
    pub(crate) actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

impl Evidence {
    /// All that is known, for those who may see it.
    pub(crate) fn of(verdict: &Verdict, generations: Vec<Generation>, labels: Vec<KnownLabel>) -> Evidence {
        let policy = verdict.policy.as_ref().map(|policy| Policy {
            version: policy.version.clone(),
            rule: policy.rule.clone().unwrap_or_else(|| "none".into()),
            action: policy.action.as_str(),
            because: policy.because.clone().unwrap_or_else(|| "no rule fits".into()),
        });
        Evidence {
            decision: verdict.decision.as_str(),
            score: verdict.score.clone(),
            model: Model { version: verdict.model.version.clone(), trained: verdict.model.trained },
            generator: verdict.generator.clone(),
            policy,
            generations,
            labels,
        }
    }
}
