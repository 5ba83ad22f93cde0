//! What a selection is made of, on the command line.

use clap::{Args as ClapArgs, ValueEnum};
use time::OffsetDateTime;

use crate::commands::End;
use crate::commands::since::moment_of;
use campaign::Selection;
use domain::{Calibration, Decision, LabelledOrigin, Policy, Thresholds};

#[derive(Debug, ClapArgs)]
pub(super) struct Which {
    /// Recorded at this time or later: 7d, 36h, 30m (ago), or 2026-11-02T03:12:45Z.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    pub(super) since: Option<OffsetDateTime>,
    /// Recorded before.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    pub(super) until: Option<OffsetDateTime>,
    #[arg(long)]
    pub(super) tenant: Option<String>,
    /// The version that judged.
    #[arg(long, value_name = "VERSION")]
    pub(super) model: Option<String>,
    #[arg(long, value_enum)]
    pub(super) decision: Option<Word>,
    /// Probability of synthetic at least.
    #[arg(long, value_name = "SHARE")]
    pub(super) min_score: Option<f32>,
    /// Probability of synthetic at most.
    #[arg(long, value_name = "SHARE")]
    pub(super) max_score: Option<f32>,
    #[arg(long)]
    pub(super) generator: Option<String>,
    /// What people say of the image.
    #[arg(long, value_enum)]
    pub(super) label: Option<Origin>,
    /// Choose what the model at work has judged itself, too: after its thresholds were changed.
    #[arg(long)]
    pub(super) same_model: bool,
}

/// Thresholds and calibration that verdicts are held against.
#[derive(Debug, ClapArgs)]
pub(super) struct OtherPolicy {
    /// Say what these thresholds would change: below LOW is real, from HIGH on synthetic.
    #[arg(long, value_name = "LOW,HIGH", value_parser = pair)]
    pub(super) thresholds: Option<(f32, f32)>,
    /// … with this calibration: probability = 1 / (1 + exp(−(SCALE · logit + BIAS))). Without it, the probability that stands in each
    /// verdict.
    #[arg(long, value_name = "SCALE,BIAS", value_parser = pair, allow_hyphen_values = true, requires = "thresholds")]
    pub(super) calibration: Option<(f32, f32)>,
}

fn pair(text: &str) -> Result<(f32, f32), String> {
    let number = |part: &str| part.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    let numbers = text.split_once(',').and_then(|(first, second)| number(first).zip(number(second)));
    numbers.ok_or_else(|| "two numbers are written as 0.3,0.9".to_string())
}

impl OtherPolicy {
    pub(super) fn policy(&self) -> Result<Option<Policy>, End> {
        let Some((low, high)) = self.thresholds else { return Ok(None) };
        if !(0.0 <= low && low <= high && high <= 1.0) {
            return Err(End::usage(format!("--thresholds {low},{high}: both are from 0 to 1, the lower one first")));
        }
        let calibration = self.calibration.map(|(scale, bias)| Calibration { scale, bias });
        if calibration.is_some_and(|calibration| calibration.scale <= 0.0) {
            return Err(End::usage(
                "--calibration: the scale must be above 0, or what looks more synthetic would score less",
            ));
        }
        Ok(Some(Policy { thresholds: Thresholds { low, high }, calibration, ..Policy::default() }))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Word {
    Real,
    Uncertain,
    Synthetic,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Origin {
    Real,
    Synthetic,
}

impl Which {
    pub(super) fn selection(&self) -> Result<Selection, End> {
        let selection = Selection {
            since: self.since,
            until: self.until,
            tenant: self.tenant.clone(),
            model: self.model.clone(),
            decision: self.decision.map(|word| match word {
                Word::Real => Decision::Real,
                Word::Uncertain => Decision::Uncertain,
                Word::Synthetic => Decision::Synthetic,
            }),
            min_score: self.min_score,
            max_score: self.max_score,
            generator: self.generator.clone(),
            label: self.label.map(|origin| match origin {
                Origin::Real => LabelledOrigin::Real,
                Origin::Synthetic => LabelledOrigin::Synthetic,
            }),
            same_model: self.same_model,
        };
        selection.validate().map_err(End::usage)?;
        Ok(selection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_that_are_none_are_refused() {
        assert!(pair("0.3").is_err() && pair("0.3,x").is_err() && pair("0.3,NaN").is_err());
        let other = |thresholds, calibration| OtherPolicy { thresholds: Some(thresholds), calibration }.policy();
        assert!(other((0.9, 0.3), None).is_err() && other((0.3, 1.1), None).is_err());
        assert!(other((0.3, 0.9), Some((-1.0, 0.0))).is_err());
        assert!(other((0.3, 0.9), Some((1.2, -0.5))).is_ok_and(|policy| policy.is_some()));
    }
}
