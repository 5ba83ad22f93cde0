//! The page: one file with everything in it, for a person to look at.

mod plots;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::bootstrap::Figure;
use super::experiment::Comparison;
use super::{Evaluation, OriginTrack};
use plots::PlotError;

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

/// The page of an evaluation. It names no other file and no address, and runs nothing.
pub fn html(evaluation: &Evaluation) -> Result<String, ReportError> {
    let curves = &evaluation.curves;
    let measured = evaluation.origin.images > 0;
    let plot = |draw: fn(&super::Curves) -> Result<String, PlotError>| measured.then(|| draw(curves)).transpose();
    let dots = |rows: Vec<(String, Figure)>| (!rows.is_empty()).then(|| plots::dots(&rows)).transpose();
    let heat = |confusion: &Option<super::Confusion>| confusion.as_ref().map(plots::heat).transpose();
    let families = rows(&evaluation.by_family).into_iter().map(|(name, figure)| (format!("family {name}"), figure));
    let families: Vec<_> = families.collect();
    let attacks = &evaluation.adversarial;
    let sweeps = evaluation
        .sweeps
        .iter()
        .map(|sweep| Ok(context! { name => sweep.axis.as_str(), plot => plots::sweep(sweep)? }));
    filled(
        PAGE,
        context! {
            style => STYLE,
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
        COMPARISON,
        context! {
            style => STYLE,
            comparison => Value::from(Serde(comparison)),
            auc => row("auc")?,
            balanced_accuracy => row("balanced_accuracy")?,
            generator_top1 => row("generator_top1")?,
        },
    )
}

fn filled(template: &str, values: Value) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.add_filter("figure", |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.3}")));
    // The name's ending has everything escaped that a page fills in.
    environment.add_template("page.html", template)?;
    Ok(environment.get_template("page.html")?.render(values)?)
}

fn rows(group: &std::collections::BTreeMap<String, OriginTrack>) -> Vec<(String, Figure)> {
    group.iter().map(|(name, track)| (name.clone(), track.figures.get("auc"))).collect()
}

/// What one looks at first.
fn tiles(evaluation: &Evaluation) -> Vec<Value> {
    let tile = |name: &str, note: &str, figure: Figure| context! { name, note, value => figure.value, interval => figure.interval.map(Vec::from) };
    let (origin, named) = (&evaluation.origin.figures, &evaluation.generator.figures);
    vec![
        tile("AUC", "a synthetic image ranks above a real one", origin.get("auc")),
        tile("balanced accuracy", "at a probability of 0.5", origin.get("balanced_accuracy")),
        tile("found at 1 % false alarms", "of the synthetic images", origin.get("recall_at_1_percent_false_alarms")),
        tile("calibration error", "stated probability against share", origin.get("ece")),
        tile("uncertain", "between the thresholds", origin.get("uncertain")),
        tile("generator family, top-1", "of those that the model knows", named.get("generator_top1")),
    ]
}
