//! `[review]` of the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::{AuditError, AuditSettings, AuditShares, AuditWeights};
use crate::item::{DoubleShare, DoubleShareError};
use crate::resolution::ByEye;

/// How much people review, and in what time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReviewSettings {
    /// The share of all verdicts that is drawn for the audit, 0 to 1.
    pub audit_share: f64,
    pub audit_weights: AuditWeights,
    /// The share of the items that two people look at though one would do, 0 to 1.
    pub double_share: f64,
    /// Of the claims, the share that is of a golden item which this person has not seen yet, 0 to 1.
    pub golden_share: f64,
    /// Whether labels are trained on for which only the look of the image speaks.
    pub train_by_eye: bool,
    /// How many items a tenant's people begin in a day (UTC); no limit unless it is given. Appeals are always taken.
    pub per_day: Option<u64>,
    /// Tenants for which something else holds.
    pub tenants: BTreeMap<String, TenantReview>,
    /// What nobody has begun after so many days is counted as not reviewed.
    pub wait_days: u32,
    /// How long a claim lasts unless it is renewed. The page renews it every 30 s.
    pub lease_s: u32,
    /// For how long a vote can be undone.
    pub undo_s: u32,
    /// Whether uncertain verdicts come into the queue.
    pub uncertain: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantReview {
    /// Instead of `review.per_day`.
    pub per_day: Option<u64>,
}

/// What is wrong in `[review]`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReviewSettingsError {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Double(#[from] DoubleShareError),
    #[error("`review.golden_share` is {0}: give a share from 0 to 1, such as 0.02")]
    Golden(f64),
    #[error("`review.wait_days` is {0}: give 1 to 365")]
    WaitDays(u32),
    #[error("`review.lease_s` is {0}: give 90 to 86400, for a page renews its leases every 30 s")]
    Lease(u32),
    #[error("`review.undo_s` is {0}: give at most 600")]
    Undo(u32),
}

impl Default for ReviewSettings {
    fn default() -> Self {
        let AuditSettings { audit_share, audit_weights } = AuditSettings::default();
        ReviewSettings {
            audit_share,
            audit_weights,
            double_share: 0.1,
            golden_share: 0.02,
            train_by_eye: false,
            per_day: None,
            tenants: BTreeMap::new(),
            wait_days: 7,
            lease_s: 120,
            undo_s: 10,
            uncertain: true,
        }
    }
}

impl ReviewSettings {
    /// What the types do not hold; the error names the key and how to fix it.
    pub fn validate(&self) -> Result<(), ReviewSettingsError> {
        self.audit_shares()?;
        self.double()?;
        if !(0.0..=1.0).contains(&self.golden_share) {
            return Err(ReviewSettingsError::Golden(self.golden_share));
        }
        if !(1..=365).contains(&self.wait_days) {
            return Err(ReviewSettingsError::WaitDays(self.wait_days));
        }
        if !(90..=86_400).contains(&self.lease_s) {
            return Err(ReviewSettingsError::Lease(self.lease_s));
        }
        if self.undo_s > 600 { Err(ReviewSettingsError::Undo(self.undo_s)) } else { Ok(()) }
    }

    pub fn audit_shares(&self) -> Result<AuditShares, AuditError> {
        AuditShares::of(&AuditSettings { audit_share: self.audit_share, audit_weights: self.audit_weights })
    }

    pub fn double(&self) -> Result<DoubleShare, DoubleShareError> {
        DoubleShare::new(self.double_share)
    }

    pub fn by_eye(&self) -> ByEye {
        if self.train_by_eye { ByEye::Trains } else { ByEye::Kept }
    }

    /// The budget of a tenant's day; `None`: no limit.
    pub fn per_day(&self, tenant: &str) -> Option<u64> {
        self.tenants.get(tenant).and_then(|own| own.per_day).or(self.per_day)
    }

    /// Whether any tenant has a budget.
    pub(crate) fn has_budgets(&self) -> bool {
        self.per_day.is_some() || self.tenants.values().any(|own| own.per_day.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_by_default_is_valid_and_what_is_wrong_is_named() {
        let given = ReviewSettings::default();
        assert_eq!(given.validate(), Ok(()));
        let named = |settings: ReviewSettings| settings.validate().unwrap_err().to_string();
        assert!(named(ReviewSettings { audit_share: 2.0, ..given.clone() }).contains("review.audit_share"));
        assert!(named(ReviewSettings { double_share: -1.0, ..given.clone() }).contains("review.double_share"));
        assert!(named(ReviewSettings { golden_share: f64::NAN, ..given.clone() }).contains("review.golden_share"));
        assert!(named(ReviewSettings { wait_days: 0, ..given.clone() }).contains("review.wait_days"));
        assert!(named(ReviewSettings { lease_s: 10, ..given.clone() }).contains("review.lease_s"));
        assert!(named(ReviewSettings { undo_s: 601, ..given.clone() }).contains("review.undo_s"));
    }

    #[test]
    fn a_tenants_budget_goes_before_that_of_all() {
        let own = TenantReview { per_day: Some(3) };
        let settings = ReviewSettings {
            per_day: Some(10),
            tenants: BTreeMap::from([("acme".into(), own), ("globex".into(), TenantReview::default())]),
            ..ReviewSettings::default()
        };
        assert_eq!(["acme", "globex", "other"].map(|tenant| settings.per_day(tenant)), [Some(3), Some(10), Some(10)]);
        assert!(settings.has_budgets() && !ReviewSettings::default().has_budgets());
    }
}
