//! The page: one file with everything in it, for a person to look at.

mod plots;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::document::Evaluation;
use super::experiment::Comparison;
use super::mistakes::Mistake;
use super::tracks::OriginTrack;
use figures::{Confusion, Curves, Figure};
use plots::PlotError;

/// Around every page.
const FRAME: &str = include_str!("frame.html");
const STYLE: &str = include_str!("style.css");
const PAGE: &str = include_str!("page.html");
const COMPARISON: &str = include_str!("comparison.html");

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error("the page can't be filled in: {0}")]
    Page(#[from] minijinja::Error),
}

/// The page of an evaluation, with the mistakes that are to be shown. It names no other file and no address, and runs nothing.
pub fn html(evaluation: &Evaluation, mistakes: &[Mistake]) -> Result<String, ReportError> {
    let curves = &evaluation.curves;
    let measured = evaluation.origin.images > 0;
    let plot = |draw: fn(&Curves) -> Result<String, PlotError>| measured.then(|| draw(curves)).transpose();
    let dots = |rows: Vec<(String, Figure)>| (!rows.is_empty()).then(|| plots::dots(&rows)).transpose();
    let heat = |confusion: &Option<Confusion>| confusion.as_ref().map(plots::heat).transpose();
    let families = rows(&evaluation.by_family).into_iter().map(|(name, figure)| (format!("family {name}"), figure));
    let families: Vec<_> = families.collect();
    let attacks = &evaluation.adversarial;
    let sweeps = evaluation
        .sweeps
        .iter()
        .map(|sweep| Ok(context! { name => sweep.axis.as_str(), plot => plots::sweep(sweep)? }));
    filled(
        &format!("evaluation of {}", evaluation.model.version),
        PAGE,
        context! {
            evaluation => Value::from(Serde(evaluation)),
            tiles => tiles(evaluation),
            roc => plot(plots::roc)?,
            precision_recall => plot(plots::precision_recall)?,
            reliability => plot(plots::reliability)?,
            histogram => plot(plots::histogram)?,
            content_types => dots(rows(&evaluation.by_content_type))?,
            generators => dots([families, rows(&evaluation.by_generator)].concat())?,
            families_heat => heat(&evaluation.generator.families)?,
            generators_heat => heat(&evaluation.generator.generators)?,
            sweeps => sweeps.collect::<Result<Vec<_>, PlotError>>()?,
            mistakes => Value::from(Serde(mistakes)),
            attacks => (!attacks.is_empty()).then(|| plots::attacks(attacks)).transpose()?,
        },
    )
}

/// The page of an experiment, likewise.
pub fn comparison(comparison: &Comparison) -> Result<String, ReportError> {
    let row = |figure: &'static str| {
        let rows = comparison.variants.iter().map(|variant| (variant.name.clone(), variant.evaluation.figure(figure)));
        plots::dots(&rows.collect::<Vec<_>>())
    };
    filled(
        comparison.experiment,
        COMPARISON,
        context! {
            comparison => Value::from(Serde(comparison)),
            auc => row("auc")?,
            balanced_accuracy => row("balanced_accuracy")?,
            generator_top1 => row("generator_top1")?,
        },
    )
}

/// A page of another module, with the head and the style of all: `body` is its template, filled in with what `values` has.
pub fn page(title: &str, body: &str, values: &impl Serialize) -> Result<String, ReportError> {
    filled(title, body, Value::from(Serde(values)))
}

/// ROC of two detectors on the same images: in the colour of synthetic images the one before, in the accent's the one after.
pub fn roc_of_two(before: &Curves, after: &Curves) -> Result<String, ReportError> {
    Ok(plots::roc_of_two(before, after)?)
}

fn filled(title: &str, body: &str, values: Value) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    let figure = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.3}"));
    environment.add_filter("figure", figure);
    environment.add_filter("interval", move |pair: Option<Vec<f64>>| {
        pair.map_or(String::new(), |ends| {
            ends.into_iter().map(|end| figure(Some(end))).collect::<Vec<_>>().join(" to ")
        })
    });
    // The names' endings have everything escaped that a page fills in.
    environment.add_template("body.html", body)?;
    environment.add_template("frame.html", FRAME)?;
    let body = environment.get_template("body.html")?.render(values)?;
    Ok(environment.get_template("frame.html")?.render(context! { title, body, style => STYLE })?)
}

fn rows(group: &std::collections::BTreeMap<String, OriginTrack>) -> Vec<(String, Figure)> {
    group.iter().map(|(name, track)| (name.clone(), track.figures.get("auc"))).collect()
}

/// What one looks at first.
fn tiles(evaluation: &Evaluation) -> Vec<Value> {
    let tile = |name: &str, note: &str, figure: Figure| context! { name, note, value => figure.value, interval => figure.interval.map(Vec::from) };
    let (origin, named) = (&evaluation.origin.figures, &evaluation.generator.figures);
    let floor = origin.get("ece_floor").value;
    let chance = floor.map(|floor| format!("; chance alone makes {floor:.3}")).unwrap_or_default();
    let calibration = format!("stated probability against share{chance}");
    vec![
        tile("AUC", "a synthetic image ranks above a real one", origin.get("auc")),
        tile("balanced accuracy", "at a probability of 0.5", origin.get("balanced_accuracy")),
        tile(
            "recall at 1 % false positives",
            "of the synthetic images",
            origin.get("recall_at_1_percent_false_alarms"),
        ),
        tile("calibration error", &calibration, origin.get("ece")),
        tile("uncertain", "between the thresholds", origin.get("uncertain")),
        tile("generator family, top-1", "of those that the model knows", named.get("generator_top1")),
    ]
}
