//! Thresholds that an operator sets in place of the model's own: for everybody, or for one tenant.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Thresholds;

/// `[thresholds]` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdSettings {
    /// Below it: real. The model's own where it is not set.
    pub low: Option<f32>,
    /// At it or above: synthetic. The model's own where it is not set.
    pub high: Option<f32>,
    /// Whether more images may be called real or synthetic than by the model's own thresholds, which its card's figures hold for.
    #[serde(default)]
    pub beyond_model: bool,
    /// By tenant; what is not set there is as above.
    #[serde(default)]
    pub tenants: BTreeMap<String, TenantThresholds>,
}

/// `[thresholds.tenants.NAME]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantThresholds {
    pub low: Option<f32>,
    pub high: Option<f32>,
}

impl ThresholdSettings {
    /// Those that hold for a tenant. Without `beyond_model` the model's own are a bound, whatever model comes.
    pub fn of(&self, tenant: &str, model: Thresholds) -> Thresholds {
        let asked = self.asked(self.tenants.get(tenant).copied().unwrap_or_default(), model);
        if self.beyond_model {
            return asked;
        }
        Thresholds { low: asked.low.min(model.low), high: asked.high.max(model.high) }
    }

    /// What is wrong with them, for this model: the key, and the fix.
    pub fn check(&self, model: Thresholds) -> Result<(), String> {
        let everybody = ("thresholds".to_string(), TenantThresholds::default());
        let tenants = self.tenants.iter().map(|(name, own)| (format!("thresholds.tenants.{name}"), *own));
        for (key, own) in std::iter::once(everybody).chain(tenants) {
            let Thresholds { low, high } = self.asked(own, model);
            let is_share = |value: f32| (0.0..=1.0).contains(&value);
            if !is_share(low) || !is_share(high) || low > high {
                return Err(format!(
                    "{key}: real below {low}, synthetic from {high}; both must be from 0 to 1, low at most as large as high"
                ));
            }
            if !self.beyond_model && (low > model.low || high < model.high) {
                return Err(format!(
                    "{key}: real below {low}, synthetic from {high} decide more than the model's own {} and {}, which its figures \
                     hold for; stay within these, or set thresholds.beyond_model = true",
                    model.low, model.high
                ));
            }
        }
        Ok(())
    }

    fn asked(&self, own: TenantThresholds, model: Thresholds) -> Thresholds {
        Thresholds {
            low: own.low.or(self.low).unwrap_or(model.low),
            high: own.high.or(self.high).unwrap_or(model.high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Thresholds = Thresholds { low: 0.2, high: 0.8 };

    fn settings(low: Option<f32>, high: Option<f32>, acme: TenantThresholds) -> ThresholdSettings {
        ThresholdSettings { low, high, beyond_model: false, tenants: BTreeMap::from([("acme".into(), acme)]) }
    }

    #[test]
    fn a_tenants_own_win_over_everybodys_and_these_over_the_models() {
        let settings = settings(None, Some(0.9), TenantThresholds { low: Some(0.1), high: None });
        assert_eq!(settings.of("acme", MODEL), Thresholds { low: 0.1, high: 0.9 });
        assert_eq!(settings.of("other", MODEL), Thresholds { low: 0.2, high: 0.9 });
        assert_eq!(ThresholdSettings::default().of("acme", MODEL), MODEL);
        settings.check(MODEL).unwrap();
    }

    #[test]
    fn deciding_more_than_the_model_wants_a_word() {
        let mut bold = settings(None, None, TenantThresholds { low: None, high: Some(0.5) });
        let error = bold.check(MODEL).unwrap_err();
        assert!(error.contains("thresholds.tenants.acme") && error.contains("beyond_model"), "{error}");
        // A model that was promoted later bounds them without a word.
        assert_eq!(bold.of("acme", MODEL), MODEL);
        bold.beyond_model = true;
        bold.check(MODEL).unwrap();
        assert_eq!(bold.of("acme", MODEL), Thresholds { low: 0.2, high: 0.5 });
    }

    #[test]
    fn what_are_no_thresholds_is_refused() {
        for (low, high) in [(Some(0.9), Some(0.85)), (Some(-0.1), None), (None, Some(1.1)), (None, Some(f32::NAN))] {
            let mut wrong = settings(low, high, TenantThresholds::default());
            wrong.beyond_model = true;
            assert!(wrong.check(MODEL).unwrap_err().contains("from 0 to 1"), "{low:?} {high:?}");
        }
    }
}
