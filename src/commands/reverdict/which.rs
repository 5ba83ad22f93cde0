//! What a selection is made of, on the command line.

use clap::{Args as ClapArgs, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::commands::End;
use campaign::Selection;
use domain::{Decision, LabelledOrigin};

#[derive(Debug, ClapArgs)]
pub(super) struct Which {
    /// Recorded at this time or later: 2026-11-02T03:12:45Z.
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    pub(super) since: Option<OffsetDateTime>,
    /// Recorded before.
    #[arg(long, value_name = "TIME", value_parser = time_of)]
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

fn time_of(text: &str) -> Result<OffsetDateTime, String> {
    let example = "a time is written as 2026-11-02T03:12:45Z, a day as 2026-11-02T00:00:00Z";
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| example.to_string())
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
        };
        selection.validate().map_err(End::usage)?;
        Ok(selection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_shown() {
        assert!(time_of("2026-11-02T03:12:45Z").is_ok());
        assert!(time_of("yesterday").unwrap_err().contains("2026-11-02T03:12:45Z"));
    }
}
