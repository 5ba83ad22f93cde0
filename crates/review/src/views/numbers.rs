//! Numbers about the queue, the detector and the reviewers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::numbers::{AuditNumbers, Estimate, PairAgreement, ReviewerAccuracy};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Numbers {
    /// Those that this person may ask for.
    pub tenants: Vec<String>,
    pub flow: Flow,
    /// By model version and week.
    pub audit: Vec<AuditNumbers>,
    /// How often two people give the same answer; none unless this person leads.
    pub agreement: Option<Estimate>,
    /// None unless this person leads.
    pub pairs: Option<Vec<PairAgreement>>,
    pub reviewers: Option<Vec<ReviewerNumbers>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flow {
    pub waiting: u64,
    pub oldest_s: Option<u64>,
    /// Items on which something was decided since then.
    pub reviewed: u64,
    pub not_reviewed: u64,
    /// Votes in an hour in which there were any.
    pub per_hour: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReviewerNumbers {
    /// A pseudonym.
    pub name: String,
    /// Counted.
    pub votes: u64,
    pub per_hour: Option<f64>,
    pub accuracy: Option<ReviewerAccuracy>,
    /// The mean over the others with whom they have common items, weighted by these.
    pub kappa: Option<f64>,
    /// Of the answers with a ground, the share that has no other than the look.
    pub by_eye: Option<f64>,
    pub undone: u64,
}

/// For a monitoring system: without tenants and without people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gauges {
    /// Open items by source.
    pub backlog: BTreeMap<String, u64>,
    /// Of the oldest of them by source.
    pub oldest_s: BTreeMap<String, u64>,
    /// Items on which something was decided, of all that are kept.
    pub reviewed: u64,
    pub not_reviewed: u64,
    /// Messages that were not sent yet.
    pub unsent: u64,
    /// Of the latest verdicts of the audit sample.
    pub model_version: Option<String>,
    /// Of this model, in the last four weeks.
    pub precision: Estimate,
    pub misses: Estimate,
}
