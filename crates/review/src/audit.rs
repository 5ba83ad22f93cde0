//! Which verdicts are drawn for the audit, whose answers are the only unbiased way to precision, and to misses at all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domain::{Decision, OutcomeId};

use crate::draw::{Purpose, Salt};

/// How much is drawn, as `[review]` says it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// The share of all verdicts that is drawn, 0 to 1; 0 draws none. A thousandth unless it is given.
    pub audit_share: f64,
    pub audit_weights: AuditWeights,
}

/// By how much the share is multiplied for verdicts of each decision, above 0; 1 unless it is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditWeights {
    pub real: f64,
    pub uncertain: f64,
    pub synthetic: f64,
}

/// The probability with which a verdict of each decision is drawn, at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AuditShares {
    real: f64,
    uncertain: f64,
    synthetic: f64,
}

/// A verdict that was drawn. What it stands for is kept with it: settings change, and its weight must not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drawn {
    /// What the verdict decided.
    pub stratum: Decision,
    /// The probability with which verdicts of this stratum were drawn then, above 0. It stands for 1 / `inclusion` verdicts.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub inclusion: f64,
    /// From 0 to below 1, uniform among those drawn. Where the budget has no room for all of them, those with the lowest rank
    /// are taken: so it is chance that cuts, and what is reviewed is a sample still.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    pub rank: f64,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AuditError {
    #[error("`review.audit_share` is {0}: give a share from 0 to 1, such as 0.001")]
    Share(f64),
    #[error(
        "`review.audit_weights.{decision}` is {weight}: give a number above 0; what is never drawn can't be estimated"
    )]
    Weight { decision: &'static str, weight: f64 },
}

impl Default for AuditSettings {
    fn default() -> Self {
        AuditSettings { audit_share: 0.001, audit_weights: AuditWeights::default() }
    }
}

impl Default for AuditWeights {
    fn default() -> Self {
        AuditWeights { real: 1.0, uncertain: 1.0, synthetic: 1.0 }
    }
}

impl AuditShares {
    pub fn of(settings: &AuditSettings) -> Result<AuditShares, AuditError> {
        let AuditSettings { audit_share, audit_weights: AuditWeights { real, uncertain, synthetic } } = *settings;
        if !(0.0..=1.0).contains(&audit_share) {
            return Err(AuditError::Share(audit_share));
        }
        let share = |decision: Decision, weight: f64| match weight {
            weight if weight.is_finite() && weight > 0.0 => Ok((audit_share * weight).min(1.0)),
            _ => Err(AuditError::Weight { decision: decision.as_str(), weight }),
        };
        Ok(AuditShares {
            real: share(Decision::Real, real)?,
            uncertain: share(Decision::Uncertain, uncertain)?,
            synthetic: share(Decision::Synthetic, synthetic)?,
        })
    }

    /// The probability with which a verdict of this decision is drawn, 0 to 1.
    pub fn inclusion(&self, decision: Decision) -> f64 {
        match decision {
            Decision::Real => self.real,
            Decision::Uncertain => self.uncertain,
            Decision::Synthetic => self.synthetic,
        }
    }

    /// Draws, or passes over, a verdict; the same verdict always in the same way. What is drawn at a lower share is drawn at a
    /// higher one too.
    pub fn draw(&self, salt: &Salt, outcome: OutcomeId, decision: Decision) -> Option<Drawn> {
        let (drawn, inclusion) = (salt.draw(Purpose::Audit, outcome), self.inclusion(decision));
        (drawn < inclusion).then(|| Drawn { stratum: decision, inclusion, rank: drawn / inclusion })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const DECISIONS: [Decision; 3] = [Decision::Real, Decision::Uncertain, Decision::Synthetic];

    fn shares(audit_share: f64, audit_weights: AuditWeights) -> AuditShares {
        AuditShares::of(&AuditSettings { audit_share, audit_weights }).unwrap()
    }

    fn salt() -> Salt {
        Salt::new(*b"sixteen bytes of it").unwrap()
    }

    #[test]
    fn a_thousandth_of_all_verdicts_is_drawn_unless_something_else_is_said() {
        let shares = AuditShares::of(&AuditSettings::default()).unwrap();
        assert_eq!(DECISIONS.map(|decision| shares.inclusion(decision)), [0.001; 3]);
        let settings: AuditSettings = serde_json::from_str(r#"{"audit_weights": {"synthetic": 4}}"#).unwrap();
        let shares = AuditShares::of(&settings).unwrap();
        assert_eq!(DECISIONS.map(|decision| shares.inclusion(decision)), [0.001, 0.001, 0.004]);
        assert!(serde_json::from_str::<AuditSettings>(r#"{"audit_weights": {"fake": 4}}"#).is_err());
    }

    #[test]
    fn a_weight_can_draw_all_of_a_stratum_and_never_more() {
        assert_eq!(shares(0.5, AuditWeights { synthetic: 9.0, ..AuditWeights::default() }).synthetic, 1.0);
    }

    #[test]
    fn shares_that_are_none_and_strata_that_would_never_be_drawn_are_refused() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let settings = AuditSettings { audit_share: share, ..AuditSettings::default() };
            assert!(matches!(AuditShares::of(&settings), Err(AuditError::Share(_))), "{share}");
        }
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let audit_weights = AuditWeights { uncertain: weight, ..AuditWeights::default() };
            let error = AuditShares::of(&AuditSettings { audit_share: 0.1, audit_weights }).unwrap_err().to_string();
            assert!(error.contains("audit_weights.uncertain"), "{error}");
        }
    }

    #[test]
    fn as_many_are_drawn_as_the_share_says_and_their_ranks_are_uniform() {
        let shares = shares(0.02, AuditWeights { synthetic: 5.0, ..AuditWeights::default() });
        for (decision, wanted) in [(Decision::Real, 0.02), (Decision::Synthetic, 0.1)] {
            let ids = (0..50_000).map(|number| OutcomeId(Uuid::from_u128(number)));
            let ranks: Vec<f64> = ids.filter_map(|id| shares.draw(&salt(), id, decision)).map(|d| d.rank).collect();
            let (found, low) = (ranks.len() as f64, ranks.iter().filter(|rank| **rank < 0.5).count() as f64);
            // Five deviations.
            assert!((found - wanted * 50_000.0).abs() < 5.0 * (wanted * 50_000.0).sqrt(), "{found}");
            assert!((low - found / 2.0).abs() < 5.0 * (found / 4.0).sqrt(), "{low} of {found}");
        }
    }

    proptest! {
        #[test]
        fn a_repeated_delivery_is_drawn_the_same_and_a_higher_share_keeps_what_a_lower_one_drew(
            id: u128, low in 0.0..=1.0_f64, more in 0.0..=1.0_f64, decision in prop::sample::select(&DECISIONS),
        ) {
            let draw = |share: f64| shares(share, AuditWeights::default()).draw(&salt(), OutcomeId(Uuid::from_u128(id)), decision);
            prop_assert_eq!(draw(low), draw(low));
            let (at_low, at_high) = (draw(low), draw((low + more).min(1.0)));
            prop_assert!(at_low.is_none() || at_high.is_some());
            if let Some(drawn) = at_low {
                prop_assert!(drawn.stratum == decision && drawn.inclusion == low && (0.0..1.0).contains(&drawn.rank));
            }
            prop_assert_eq!(draw(0.0), None);
            prop_assert!(draw(1.0).is_some());
        }
    }
}
