//! The files of a run: its report as a document, as text and as a page with both models side by side.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::error::RetrainError;
use super::gate::{Prediction, Trial, ranking};
use super::report::Report;
use crate::evaluation::report::{self, ReportError};
use figures::{Bootstrap, Curves, Figures};

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

impl Report {
    /// Writes `report.json`, `report.txt` and `report.html` into its folder; `trials`: what both models said.
    pub(super) fn write(&self, trials: &[Trial]) -> Result<(), RetrainError> {
        let document = serde_json::to_string_pretty(self).map_err(RetrainError::Report)? + "\n";
        let page = html(self, trials).unwrap_or_else(|error| {
            // What was decided is done, and stands in the others.
            tracing::warn!(%error, "the run has no page");
            String::new()
        });
        for (name, text) in [("report.json", document), ("report.txt", self.text()), ("report.html", page)] {
            let path = Path::new(&self.folder).join(name);
            std::fs::write(&path, text).map_err(|error| RetrainError::unwritable(&path, error))?;
        }
        Ok(())
    }
}

/// The page of a run, from its report and from what both models said. It names no other file and no address, and runs nothing.
pub fn html(report: &Report, trials: &[Trial]) -> Result<String, ReportError> {
    let names: BTreeSet<&str> = trials.iter().map(|trial| trial.condition.as_str()).collect();
    let condition = |name| {
        let trials: Vec<&Trial> = trials.iter().filter(|trial| trial.condition == name).collect();
        let curves = |of| Curves::of(&ranking(trials.iter().copied(), of));
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
        Group { heading: "by content type", rows: rows(trials, content_type, |_| false) },
        Group {
            heading: "by generator, against all real images",
            rows: rows(trials, generator, |trial| !trial.synthetic),
        },
    ]
}

/// A row for each name, with the images of the name and those that are in every row.
fn rows<'a>(
    trials: &[&'a Trial],
    name: impl Fn(&'a Trial) -> Option<&'a str>,
    in_every_row: impl Fn(&Trial) -> bool,
) -> Vec<Row<'a>> {
    let names: BTreeSet<&str> = trials.iter().filter_map(|trial| name(trial)).collect();
    let of = |wanted: &'a str| {
        let counts = |trial: &&&'a Trial| name(trial) == Some(wanted) || in_every_row(trial);
        row(wanted, &trials.iter().filter(counts).copied().collect::<Vec<_>>())
    };
    names.into_iter().map(of).collect()
}

fn row<'a>(name: &'a str, trials: &[&Trial]) -> Row<'a> {
    let figures = |of| {
        let ranking = ranking(trials.iter().copied(), of);
        let images: Vec<usize> = trials.iter().map(|trial| trial.image).collect();
        Bootstrap { rounds: ROUNDS, seed: 0 }.figures(&["auc", "balanced_accuracy"], &images, |weights| {
            vec![ranking.auc(weights), ranking.balanced_accuracy(0.5, weights)]
        })
    };
    Row { name, images: trials.len(), incumbent: figures(incumbent), candidate: figures(candidate) }
}

fn incumbent(trial: &Trial) -> &Prediction {
    &trial.incumbent
}

fn candidate(trial: &Trial) -> &Prediction {
    &trial.candidate
}
