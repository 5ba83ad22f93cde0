//! One rule: conditions, of which each must hold, and what follows where they do.

use std::collections::BTreeMap;

use domain::{Claim, Decision, Purpose, QualityFlag};
use serde::Serialize;

use crate::metadata::Wanted;
use crate::range::Range;
use crate::sets::{Texts, Words};
use crate::{Action, RuleRef};

/// One rule of a policy.
// The order of the fields, and of those of `Conditions`, is part of the canonical text: see `Policy`.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    pub(crate) action: Action,
    pub(crate) because: String,
    pub(crate) name: String,
    pub(crate) when: Conditions,
    /// Where it begins in the file, from 1.
    #[serde(skip)]
    pub(crate) line: usize,
}

impl Rule {
    /// Unlike that of any other rule of the policy: 1 to 64 letters, digits, `_`, `.` and `-` of ASCII.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn action(&self) -> Action {
        self.action
    }

    /// For people: 1 to 500 characters in one line.
    pub fn because(&self) -> &str {
        &self.because
    }

    /// As messages name it; `index` counts from 0.
    pub(crate) fn reference(&self, index: usize) -> RuleRef {
        RuleRef { number: index + 1, name: Some(self.name.clone()) }
    }
}

/// What a rule wants of a verdict. What is absent is no condition; a rule without any matches every verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Conditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<Words<Decision>>,
    /// Of the generator, which only synthetic verdicts have; `unknown` is a family too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) family: Option<Texts>,
    /// By key; a key that the verdict lacks does not match.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, Wanted>,
    /// None of these flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) no_quality: Option<Words<QualityFlag>>,
    /// Of the generator; a verdict without it lies in no range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) novelty: Option<Range>,
    /// Verdicts that say nothing of provenance (null, of earlier versions) match none; `none` is what newer ones say of a file
    /// that claims nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provenance: Option<Words<Claim>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<Words<Purpose>>,
    /// At least one of these flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quality: Option<Words<QualityFlag>>,
    /// Of `score.synthetic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<Texts>,
}
