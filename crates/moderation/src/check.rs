//! Rules that can never match, and rules that contradict each other. A policy with any of them is refused.

use std::fmt;

use domain::Decision;
use serde::Serialize;

use crate::range::Range;
use crate::rule::Conditions;
use crate::sets::Words;
use crate::words::Word;
use crate::{Action, Policy, Rule, RuleRef};

/// A rule that can never match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: RuleRef,
    /// Where the rule begins, from 1.
    pub line: usize,
    #[serde(flatten)]
    pub cause: Cause,
}

/// Why a rule can never match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// Its own conditions can't hold together.
    Impossible { field: &'static str, problem: String },
    /// An earlier rule matches whatever it matches.
    Hidden { by: RuleRef },
    /// An earlier rule has the same conditions and the same action.
    Repeated { by: RuleRef },
    /// An earlier rule has the same conditions and another action.
    Contradicted { by: RuleRef, action: Action, theirs: Action },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { rule, line, cause } = self;
        write!(f, "line {line}, {rule}: ")?;
        match cause {
            Cause::Impossible { field, problem } => write!(f, "can never match: `{field}` {problem}"),
            Cause::Hidden { by } => write!(
                f,
                "can never match: {by} comes first and matches whatever it matches; put it before that rule, narrow that rule, \
                 or leave it out"
            ),
            Cause::Repeated { by } => {
                write!(
                    f,
                    "can never match: {by} comes first and has the same conditions and action; leave one of them out"
                )
            }
            Cause::Contradicted { by, action, theirs } => write!(
                f,
                "contradicts {by}: the same conditions lead to `{theirs}` there and to `{}` here; keep one of them",
                action.as_str(),
                theirs = theirs.as_str()
            ),
        }
    }
}

/// Every rule that can never match, in their order: because its own conditions can't hold together (each reason by itself), or
/// because one earlier rule matches whatever it matches (one such rule is named, and one with the same conditions rather than
/// another). Empty for a policy that may be put in force.
///
/// A rule that several earlier ones hide only together is not found. Scores and novelty are taken to lie from 0 to 1, and a
/// generator to be known of synthetic images only, as verdicts promise.
pub fn check(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, rule) in policy.rules().iter().enumerate() {
        let mut causes = rule.when.impossibilities();
        if causes.is_empty() {
            causes.extend(hiding(rule, &policy.rules()[..index]));
        }
        let finding = |cause| Finding { rule: rule.reference(index), line: rule.line, cause };
        findings.extend(causes.into_iter().map(finding));
    }
    findings
}

/// How an earlier rule keeps this one, which can match by itself, from matching; rules with the same conditions first.
fn hiding(rule: &Rule, earlier: &[Rule]) -> Option<Cause> {
    let wider: Vec<_> = earlier.iter().enumerate().filter(|(_, first)| rule.when.imply(&first.when)).collect();
    let same = wider.iter().find(|(_, first)| first.when.imply(&rule.when));
    if let Some((index, first)) = same {
        let by = first.reference(*index);
        return Some(if first.action == rule.action {
            Cause::Repeated { by }
        } else {
            Cause::Contradicted { by, action: rule.action, theirs: first.action }
        });
    }
    wider.first().map(|(index, first)| Cause::Hidden { by: first.reference(*index) })
}

impl Conditions {
    /// Why they can't hold together; empty if they can.
    fn impossibilities(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        let mut refuse = |field, problem: String| causes.push(Cause::Impossible { field, problem });
        for (field, range) in [("score", self.score), ("novelty", self.novelty)] {
            if let Some(problem) = range.filter(|range| range.is_empty()).map(emptiness) {
                refuse(field, problem);
            }
        }
        if self.decision.as_ref().is_some_and(|wanted| !wanted.contains(Decision::Synthetic)) {
            let asked = [("family", self.family.is_some()), ("novelty", self.novelty.is_some())];
            for (field, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                let problem = "is known of synthetic images only, and `decision` leaves them out; add `synthetic` there, or \
                               leave this out";
                refuse(field, problem.into());
            }
        }
        if let (Some(wanted), Some(ruled_out)) = (&self.quality, &self.no_quality)
            && wanted.is_within(ruled_out)
        {
            let problem =
                "wants one of the flags that `no_quality` rules out, and no other; leave it out of one of the two";
            refuse("quality", problem.into());
        }
        causes
    }

    /// Whether the other conditions hold whenever these do, which are possible. Since fields say nothing of each other but for
    /// the generator, which synthetic images alone have, that is so exactly if it is so field by field.
    fn imply(&self, other: &Conditions) -> bool {
        let flags = self.quality.as_ref().map(|wanted| {
            let ruled_out = |flag| self.no_quality.as_ref().is_some_and(|ruled_out| ruled_out.contains(flag));
            wanted.iter().filter(|flag| !ruled_out(*flag)).collect::<Vec<_>>()
        });
        all_within(|decision| self.admits(decision), other.decision.as_ref())
            && all_within(
                |purpose| self.purpose.as_ref().is_none_or(|own| own.contains(purpose)),
                other.purpose.as_ref(),
            )
            && implies(self.score, other.score, Range::is_within)
            && implies(self.novelty, other.novelty, Range::is_within)
            && other
                .metadata
                .iter()
                .all(|(key, others)| self.metadata.get(key).is_some_and(|own| own.is_within(others)))
            && implies(self.tenant.as_ref(), other.tenant.as_ref(), |own, others| own.is_within(others))
            && implies(self.family.as_ref(), other.family.as_ref(), |own, others| own.is_within(others))
            && implies(self.provenance.as_ref(), other.provenance.as_ref(), |own, others| own.is_within(others))
            && implies(flags, other.quality.as_ref(), |own, others| own.iter().all(|flag| others.contains(*flag)))
            && implies(self.no_quality.as_ref(), other.no_quality.as_ref(), |own, others| others.is_within(own))
    }

    /// Whether an image of this decision can match.
    fn admits(&self, decision: Decision) -> bool {
        let named = self.family.is_some() || self.novelty.is_some();
        (!named || decision == Decision::Synthetic) && self.decision.as_ref().is_none_or(|own| own.contains(decision))
    }
}

/// Where nothing is asked, nothing need be said.
fn implies<T, U>(own: Option<T>, other: Option<U>, is_within: impl Fn(T, U) -> bool) -> bool {
    match (own, other) {
        (_, None) => true,
        (Some(own), Some(other)) => is_within(own, other),
        (None, Some(_)) => false,
    }
}

/// Whether what is admitted of a vocabulary, of which every verdict has a word, is asked for. To list all is to ask for nothing.
fn all_within<T: Word>(admits: impl Fn(T) -> bool, asked: Option<&Words<T>>) -> bool {
    asked.is_none_or(|asked| T::ALL.iter().all(|value| asked.contains(*value) || !admits(*value)))
}

fn emptiness(range: Range) -> String {
    match range {
        Range { at_least: Some(least), below: Some(end) } => format!(
            "holds no number: as 32-bit floats, {least} (`at_least`) is not less than {end} (`below`); set them further apart, \
             or leave one out"
        ),
        _ => "holds no number: none is below 0; raise `below`, or leave it out".into(),
    }
}
