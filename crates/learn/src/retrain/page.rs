//! A run for a person to look at: the verdict, its reasons, and both models side by side.

use std::collections::BTreeSet;

use serde::Serialize;

use super::gate::{Answer, Trial};
use super::report::Report;
use crate::evaluation::ranking::{self, Ranking};
use crate::evaluation::report::{self, ReportError};
use crate::evaluation::{Bootstrap, Figures};

const TEMPLATE: &str = include_str!("page.html");
/// Resamples of the held-out images, for the intervals.
const ROUNDS: usize = 1000;

#[derive(Serialize)]
struct View<'a> {
    report: &'a Report,
    conditions: Vec<Condition<'a>>,
}

#[derive(Serialize)]
struct Condition<'a> {
    name: &'a str,
    roc: String,
    groups: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Group<'a> {
    heading: &'static str,
    rows: Vec<Row<'a>>,
}

/// `auc` and `balanced_accuracy` of both.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    images: usize,
    incumbent: Figures,
    candidate: Figures,
}

/// The page of a run, from its report and from what both models said. It names no other file and no address, and runs nothing.
pub fn html(report: &Report, trials: &[Trial]) -> Result<String, ReportError> {
    let names: BTreeSet<&str> = trials.iter().map(|trial| trial.condition.as_str()).collect();
    let condition = |name| {
        let trials: Vec<&Trial> = trials.iter().filter(|trial| trial.condition == name).collect();
        let curves = |of| ranking(&trials, of).curves();
        let roc = report::roc_of_two(&curves(incumbent), &curves(candidate))?;
        Ok(Condition { name, roc, groups: groups(&trials) })
    };
    let conditions = names.into_iter().map(condition).collect::<Result<Vec<_>, ReportError>>()?;
    report::page(&format!("retrain, {}", report.candidate), TEMPLATE, &View { report, conditions })
}

fn groups<'a>(trials: &[&'a Trial]) -> Vec<Group<'a>> {
    let content_type = |trial: &'a Trial| trial.content_type.as_deref();
    let generator = |trial: &'a Trial| trial.generator.as_deref();
    vec![
        Group { heading: "", rows: vec![row("all", trials)] },
        Group { heading: "by content type", rows: rows(trials, content_type, false) },
        Group { heading: "by generator, against all real images", rows: rows(trials, generator, true) },
    ]
}

fn rows<'a>(trials: &[&'a Trial], name: impl Fn(&'a Trial) -> Option<&'a str>, against_real: bool) -> Vec<Row<'a>> {
    let names: BTreeSet<&str> = trials.iter().filter_map(|trial| name(trial)).collect();
    let of = |wanted: &'a str| {
        let counts = |trial: &&&'a Trial| name(trial) == Some(wanted) || (against_real && !trial.synthetic);
        row(wanted, &trials.iter().filter(counts).copied().collect::<Vec<_>>())
    };
    names.into_iter().map(of).collect()
}

fn row<'a>(name: &'a str, trials: &[&Trial]) -> Row<'a> {
    let figures = |of| {
        let ranking = ranking(trials, of);
        let images: Vec<usize> = (0..trials.len()).collect();
        Bootstrap { rounds: ROUNDS, seed: 0 }.figures(&["auc", "balanced_accuracy"], &images, |weights| {
            vec![ranking.auc(weights), ranking.balanced_accuracy(0.5, weights)]
        })
    };
    Row { name, images: trials.len(), incumbent: figures(incumbent), candidate: figures(candidate) }
}

fn incumbent(trial: &Trial) -> &Answer {
    &trial.incumbent
}

fn candidate(trial: &Trial) -> &Answer {
    &trial.candidate
}

/// Under one condition there is one answer about each image.
fn ranking(trials: &[&Trial], of: fn(&Trial) -> &Answer) -> Ranking {
    Ranking::of(trials.iter().enumerate().map(|(image, trial)| {
        let probability = of(trial).probability;
        ranking::Answer { image, logit: probability, probability, synthetic: trial.synthetic }
    }))
}
