//! From a verdict to what follows from it.

use domain::{Decision, Verdict};

use crate::rule::{Conditions, Rule};
use crate::{Action, AppliedPolicy, Policy};

impl Policy {
    /// What follows from a verdict: what the first rule says that matches it, or [`Action::None`]. It depends on the policy and
    /// on the verdict alone, and nothing is allocated but what is returned.
    pub fn apply(&self, verdict: &Verdict) -> AppliedPolicy {
        let rule = self.first_match(verdict).map(|(_, rule)| rule);
        AppliedPolicy {
            version: self.version().into(),
            rule: rule.map(|rule| rule.name.clone()),
            action: rule.map_or(Action::None, |rule| rule.action),
            because: rule.map(|rule| rule.because.clone()),
        }
    }

    /// With its index among the rules.
    pub(crate) fn first_match(&self, verdict: &Verdict) -> Option<(usize, &Rule)> {
        self.rules().iter().enumerate().find(|(_, rule)| rule.when.hold_for(verdict))
    }
}

impl Conditions {
    /// Whether each of them holds.
    pub(crate) fn hold_for(&self, verdict: &Verdict) -> bool {
        let generator = || verdict.generator.as_ref().filter(|_| verdict.decision == Decision::Synthetic);
        self.decision.as_ref().is_none_or(|wanted| wanted.contains(verdict.decision))
            && self.purpose.as_ref().is_none_or(|wanted| wanted.contains(verdict.purpose))
            && self.score.is_none_or(|range| range.holds(verdict.score.synthetic))
            && self.novelty.is_none_or(|range| {
                generator().and_then(|generator| generator.novelty).is_some_and(|novelty| range.holds(novelty))
            })
            && self.quality.as_ref().is_none_or(|wanted| verdict.quality.iter().any(|flag| wanted.contains(*flag)))
            && self
                .no_quality
                .as_ref()
                .is_none_or(|ruled_out| !verdict.quality.iter().any(|flag| ruled_out.contains(*flag)))
            && self.provenance.as_ref().is_none_or(|wanted| {
                verdict.provenance.as_ref().is_some_and(|provenance| wanted.contains(provenance.class))
            })
            && self.tenant.as_ref().is_none_or(|wanted| wanted.contains(&verdict.tenant))
            && self
                .family
                .as_ref()
                .is_none_or(|wanted| generator().is_some_and(|generator| wanted.contains(&generator.family)))
            && self
                .metadata
                .iter()
                .all(|(key, wanted)| verdict.metadata.get(key).is_some_and(|value| wanted.accepts(value)))
    }
}
