//! What a policy would have done with verdicts that are there: the counting side of `assay policy try`.

use std::collections::BTreeMap;

use domain::{LabelledOrigin, OutcomeId, Verdict};
use figures::wilson_interval;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Action, Policy};

/// What the digest of a trial is of.
const SCHEMA: &str = "assay.policy-trial.v1";
/// Examples that are kept of each change.
const EXAMPLES: usize = 5;
/// Of the intervals around a precision.
const CONFIDENCE: f64 = 0.95;

type ByAction<T> = [T; Action::ALL.len()];

/// A verdict that a policy is tried on.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'v> {
    pub verdict: &'v Verdict,
    /// What followed from it by the policy of its time; without one nothing did, which counts as [`Action::None`].
    pub before: Option<Action>,
    /// What people say of the image, where a label is in force.
    pub label: Option<LabelledOrigin>,
}

/// Counts, verdict by verdict. Their order does not matter.
#[derive(Clone, Debug)]
pub struct Trial<'p> {
    policy: &'p Policy,
    selection: String,
    counts: Counts,
    /// By action before and after: those with the smallest ids. Ids are digests, so these are as good as drawn at random, and the
    /// same ones each time.
    examples: ByAction<ByAction<BTreeMap<OutcomeId, Example>>>,
}

#[derive(Clone, Debug)]
struct Counts {
    /// By action before and after.
    changes: ByAction<ByAction<u64>>,
    /// By the rule's index.
    rules: Vec<u64>,
    no_rule: u64,
    /// By action after.
    labelled: ByAction<Labelled>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Labelled {
    real: u64,
    synthetic: u64,
}

impl<'p> Trial<'p> {
    /// `selection` says which verdicts are meant, in the caller's words; it is part of the digest.
    pub fn of(policy: &'p Policy, selection: impl Into<String>) -> Trial<'p> {
        let rules = vec![0; policy.rules().len()];
        let counts = Counts { changes: Default::default(), rules, no_rule: 0, labelled: Default::default() };
        Trial { policy, selection: selection.into(), counts, examples: Default::default() }
    }

    pub fn count(&mut self, tried: Tried<'_>) {
        let Tried { verdict, before, label } = tried;
        let after = match self.policy.first_match(verdict) {
            Some((index, rule)) => {
                self.counts.rules[index] += 1;
                rule.action
            }
            None => {
                self.counts.no_rule += 1;
                Action::None
            }
        };
        let (from, to) = (place(before.unwrap_or_default()), place(after));
        self.counts.changes[from][to] += 1;
        match label {
            Some(LabelledOrigin::Real) => self.counts.labelled[to].real += 1,
            Some(LabelledOrigin::Synthetic) => self.counts.labelled[to].synthetic += 1,
            None => {}
        }
        if from != to {
            self.keep_example(from, to, verdict);
        }
    }

    /// SHA-256 in lower-case hexadecimal over the policy's digest, the selection's text and every count; the examples and what
    /// follows from the counts are not part of it.
    pub fn digest(&self) -> String {
        let labelled = self.counts.labelled.map(|labelled| [labelled.real, labelled.synthetic]);
        let counted = Counted {
            schema: SCHEMA,
            policy: self.policy.digest(),
            selection: &self.selection,
            actions: Action::ALL,
            changes: &self.counts.changes,
            rules: &self.counts.rules,
            no_rule: self.counts.no_rule,
            labelled,
        };
        let text = serde_json::to_vec(&counted).expect("strings and lists of numbers are always JSON");
        hex::encode(Sha256::digest(text))
    }

    pub fn report(&self) -> TrialReport {
        let Counts { changes, rules, no_rule, labelled } = &self.counts;
        let after = |to: usize| changes.iter().map(|row| row[to]).sum();
        let by_rule = self.policy.rules().iter().zip(rules).enumerate();
        TrialReport {
            digest: self.digest(),
            policy: self.policy.digest().into(),
            version: self.policy.version().into(),
            selection: self.selection.clone(),
            verdicts: changes.iter().flatten().sum(),
            unchanged: (0..changes.len()).map(|index| changes[index][index]).sum(),
            actions: actions().map(|(to, action)| ActionCount { action, verdicts: after(to) }).collect(),
            rules: by_rule
                .map(|(index, (rule, verdicts))| RuleCount {
                    number: index + 1,
                    rule: rule.name.clone(),
                    action: rule.action,
                    verdicts: *verdicts,
                })
                .collect(),
            no_rule: *no_rule,
            changes: self.changes(),
            precision: actions()
                .filter(|(_, action)| *action != Action::None)
                .map(|(to, action)| Precision::of(action, labelled[to]))
                .collect(),
        }
    }

    fn changes(&self) -> Vec<Change> {
        let pairs = actions().flat_map(|from| actions().map(move |to| (from, to)));
        let changes = pairs.filter(|((from, _), (to, _))| from != to).map(|((row, from), (column, to))| Change {
            from,
            to,
            verdicts: self.counts.changes[row][column],
            examples: self.examples[row][column].values().cloned().collect(),
        });
        changes.filter(|change| change.verdicts > 0).collect()
    }

    fn keep_example(&mut self, from: usize, to: usize, verdict: &Verdict) {
        let kept = &mut self.examples[from][to];
        let largest = kept.last_key_value().map(|(id, _)| *id);
        if kept.len() == EXAMPLES && largest.is_some_and(|largest| largest < verdict.verdict_id) {
            return;
        }
        kept.insert(verdict.verdict_id, Example::of(verdict));
        if kept.len() > EXAMPLES {
            kept.pop_last();
        }
    }
}

/// What a trial has counted, for people and for `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialReport {
    /// That of the trial, which activation asks for.
    pub digest: String,
    /// The whole digest of the policy.
    pub policy: String,
    /// That of the policy.
    pub version: String,
    pub selection: String,
    pub verdicts: u64,
    /// Of them, those that the same action follows from as before.
    pub unchanged: u64,
    /// For each action.
    pub actions: Vec<ActionCount>,
    /// For each rule of the policy in its order; also for those that matched nothing.
    pub rules: Vec<RuleCount>,
    /// Verdicts that no rule matched.
    pub no_rule: u64,
    /// From one action to another, as far as there are any.
    pub changes: Vec<Change>,
    /// For each action but none.
    pub precision: Vec<Precision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ActionCount {
    pub action: Action,
    pub verdicts: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// From 1.
    pub number: usize,
    pub rule: String,
    pub action: Action,
    pub verdicts: u64,
}

/// Verdicts from which something else would follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub from: Action,
    pub to: Action,
    pub verdicts: u64,
    /// At most 5 of them.
    pub examples: Vec<Example>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    pub tenant: String,
    pub submission_id: String,
    pub generation: u32,
}

impl Example {
    fn of(verdict: &Verdict) -> Example {
        let (tenant, submission_id) = (verdict.tenant.clone(), verdict.submission_id.clone());
        Example { tenant, submission_id, generation: verdict.generation }
    }
}

/// How often an action would meet what people call synthetic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Precision {
    pub action: Action,
    /// Verdicts with a label that it would follow from.
    pub labelled: u64,
    /// Of them, those labelled synthetic.
    pub synthetic: u64,
    /// The share of the latter, 0 to 1; null without labels.
    pub precision: Option<f64>,
    /// Wilson's, of 95 %; null without labels.
    pub interval: Option<[f64; 2]>,
}

impl Precision {
    fn of(action: Action, Labelled { real, synthetic }: Labelled) -> Precision {
        let labelled = real + synthetic;
        let precision = (labelled > 0).then(|| synthetic as f64 / labelled as f64);
        let interval = wilson_interval(synthetic, labelled, CONFIDENCE);
        Precision { action, labelled, synthetic, precision, interval }
    }
}

/// What the digest is over, as JSON without whitespace, in this order.
#[derive(Serialize)]
struct Counted<'t> {
    schema: &'static str,
    policy: &'t str,
    selection: &'t str,
    /// The order of all lists by action.
    actions: ByAction<Action>,
    changes: &'t ByAction<ByAction<u64>>,
    rules: &'t [u64],
    no_rule: u64,
    /// Real, synthetic.
    labelled: ByAction<[u64; 2]>,
}

/// With their places in tables.
fn actions() -> impl Iterator<Item = (usize, Action)> {
    Action::ALL.into_iter().enumerate()
}

fn place(action: Action) -> usize {
    match action {
        Action::None => 0,
        Action::Label => 1,
        Action::Limit => 2,
        Action::Review => 3,
        Action::Block => 4,
    }
}
