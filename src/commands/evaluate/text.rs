//! An evaluation on a terminal.

use std::fmt::Write;
use std::path::Path;

use crate::commands::table::{fit, harmless};
use figures::{Confusion, Figure, Figures};
use learn::evaluation::{BySource, Evaluation, OriginTrack};

const NAME: usize = 24;
/// Unreadable files that are named.
const UNREADABLE: usize = 10;

pub(super) fn describe(evaluation: &Evaluation, page: Option<&Path>) -> String {
    let mut out = String::new();
    head(&mut out, evaluation);
    origin(&mut out, evaluation);
    generators(&mut out, evaluation);
    by_source(&mut out, evaluation);
    shortcuts(&mut out, evaluation);
    sweeps(&mut out, evaluation);
    attacks(&mut out, evaluation);
    foot(&mut out, evaluation, page);
    out.trim_end().to_string()
}

/// Adds a line; writing to a string does not fail.
macro_rules! line {
    ($out:expr $(, $($words:tt)*)?) => {{ let _ = writeln!($out $(, $($words)*)?); }};
}

fn head(out: &mut String, evaluation: &Evaluation) {
    let Evaluation { model, origin, .. } = evaluation;
    line!(
        out,
        "model       {} ({}, sha256 {}…)",
        model.version,
        model.labels,
        &model.sha256[..model.sha256.len().min(12)]
    );
    line!(out, "engine      {}", evaluation.engine);
    let OriginTrack { images, real, synthetic, .. } = origin;
    line!(out, "images      {images}: {real} real, {synthetic} synthetic; {} unreadable", evaluation.unreadable.len());
    let draws =
        if evaluation.draws > 1 { format!(", {} draws of each image", evaluation.draws) } else { String::new() };
    line!(out, "perturbed   {}, seed {}{draws}", evaluation.perturbation, evaluation.seed);
    let calibrated = if evaluation.calibrated { "calibrated" } else { "not calibrated" };
    let thresholds = evaluation.thresholds;
    line!(out, "thresholds  real below {}, synthetic from {}; {calibrated}", thresholds.low, thresholds.high);
}

fn origin(out: &mut String, evaluation: &Evaluation) {
    line!(out);
    line!(
        out,
        "{:<NAME$} {:>7} {:>7}  {:<18}  {:<18}  {:>14}  {:>7} {:>7}  {:>9}",
        "real or synthetic",
        "images",
        "synth.",
        "AUC (95 %)",
        "balanced acc.",
        "recall, 1% FPR",
        "ECE",
        "(floor)",
        "uncertain"
    );
    row(out, "all", &evaluation.origin);
    for (heading, group) in [
        ("by content type", &evaluation.by_content_type),
        ("by family, against all real", &evaluation.by_family),
        ("by generator, against all real", &evaluation.by_generator),
    ] {
        if !group.is_empty() {
            line!(out, "{heading}");
        }
        for (name, track) in group {
            row(out, &format!("  {name}"), track);
        }
    }
}

fn row(out: &mut String, name: &str, track: &OriginTrack) {
    let OriginTrack { images, synthetic, figures, .. } = track;
    line!(
        out,
        "{:<NAME$} {images:>7} {synthetic:>7}  {:<18}  {:<18}  {:>14}  {:>7} {:>7}  {:>9}",
        fit(name, NAME),
        with_interval(figures.get("auc")),
        with_interval(figures.get("balanced_accuracy")),
        alone(figures.get("recall_at_1_percent_false_alarms")),
        alone(figures.get("ece")),
        format!("({})", alone(figures.get("ece_floor"))),
        alone(figures.get("uncertain")),
    );
}

fn generators(out: &mut String, evaluation: &Evaluation) {
    let track = &evaluation.generator;
    for (heading, names, confusion) in [
        ("generator family", ["generator_top1", "generator_macro_f1"], &track.families),
        ("generator", ["specific_top1", "specific_macro_f1"], &track.generators),
    ] {
        let Some(confusion) = confusion else { continue };
        let [top1, macro_f1] = names.map(|name| with_interval(track.figures.get(name)));
        line!(out);
        line!(out, "{heading:<NAME$} top-1 {top1}   macro-F1 {macro_f1}");
        table(out, confusion);
    }
    if let Some(unseen) = &evaluation.unseen {
        line!(out);
        line!(out, "{} images of generators that the model does not know", unseen.images);
        let labels: Vec<&str> = unseen.labels.iter().map(String::as_str).collect();
        line!(out, "  {}", harmless(&labels.join(", ")));
        shares(out, &unseen.figures);
    }
}

fn shares(out: &mut String, figures: &Figures) {
    for (name, words) in [
        ("synthetic_or_uncertain", "called synthetic or uncertain"),
        ("called_synthetic", "called synthetic"),
        ("not_misnamed", "of those, named unknown or not at all"),
    ] {
        line!(out, "  {words:<38} {}", with_interval(figures.get(name)));
    }
}

/// Rows are what the images are, columns what they are called.
fn table(out: &mut String, confusion: &Confusion) {
    let width = confusion.labels.iter().map(|label| label.chars().count()).max().unwrap_or_default().clamp(6, 16);
    let heads: Vec<String> = confusion.labels.iter().map(|label| format!("{:>width$}", fit(label, width))).collect();
    line!(out, "{:<NAME$} {}", "  is ╲ called", heads.join(" "));
    for (row, label) in confusion.labels.iter().enumerate().filter(|(row, _)| confusion.row(*row) > 0.0) {
        let cells: Vec<String> = confusion.counts[row].iter().map(|count| format!("{count:>width$}")).collect();
        line!(out, "{:<NAME$} {}", fit(&format!("  {label}"), NAME), cells.join(" "));
    }
}

fn by_source(out: &mut String, evaluation: &Evaluation) {
    let Some(BySource { figures, sources, generators, median_of_sources, median_of_generators }) =
        &evaluation.by_source
    else {
        return;
    };
    line!(out);
    line!(out, "by source and generator, intervals over these");
    for (name, words) in [
        ("auc", "AUC"),
        ("false_alarms", "real called synthetic"),
        ("missed", "synthetic called real"),
        ("uncertain", "uncertain"),
    ] {
        line!(out, "  {words:<38} {}", with_interval(figures.get(name)));
    }
    for (heading, shares, median) in [
        ("sources, called synthetic", sources, median_of_sources),
        ("generators, called real", generators, median_of_generators),
    ] {
        let median = median.map_or(String::new(), |median| format!("; median {median:.3}"));
        line!(out, "{heading}{median}");
        line!(out, "  {:<38} {:>6} {:>7} {:>15} {:>10}", "", "images", "wrong", "95 %", "uncertain");
        for share in shares {
            let name = fit(&harmless(&share.name), 38);
            let interval = share.wrong_interval.map_or(String::new(), |[low, high]| format!("{low:.3} to {high:.3}"));
            line!(
                out,
                "  {name:<38} {:>6} {:>7.3} {interval:>15} {:>10.3}",
                share.images,
                share.wrong,
                share.uncertain
            );
        }
    }
}

fn shortcuts(out: &mut String, evaluation: &Evaluation) {
    let Some(shortcuts) = &evaluation.shortcuts else { return };
    line!(out);
    line!(out, "what it goes by");
    for (name, words) in [
        ("auc_low_pass", "AUC without detail (content alone)"),
        ("auc_shuffled", "AUC without content (shuffled blocks)"),
        ("jpeg_shift", "logit between JPEG 50 and 95, apart by"),
        ("jpeg_drift", "  of that to synthetic"),
    ] {
        line!(out, "  {words:<38} {}", with_interval(shortcuts.figures.get(name)));
    }
}

fn sweeps(out: &mut String, evaluation: &Evaluation) {
    for sweep in &evaluation.sweeps {
        line!(out);
        line!(out, "{:<32}  {:<18}  {:<18}  {}", sweep.unit, "AUC (95 %)", "balanced acc.", "family top-1");
        for point in &sweep.points {
            let figures =
                ["auc", "balanced_accuracy", "generator_top1"].map(|name| with_interval(point.figures.get(name)));
            let [auc, balanced, named] = figures;
            line!(out, "  {:<30}  {auc:<18}  {balanced:<18}  {named}", point.perturbation);
        }
    }
}

fn attacks(out: &mut String, evaluation: &Evaluation) {
    let Some(first) = evaluation.adversarial.first() else { return };
    line!(out);
    let heading = format!("attacked, PGD of {} steps", first.steps);
    line!(
        out,
        "{heading:<32}  {:>7}  {:<18}  {:<18}  {:<18}  {}",
        "images",
        "AUC (95 %)",
        "balanced acc.",
        "flipped",
        "still right"
    );
    for point in &evaluation.adversarial {
        let name = if point.epsilon == 0 { "not at all".into() } else { format!("by up to {} of 255", point.epsilon) };
        let figures = ["auc", "balanced_accuracy", "flipped", "still_right"];
        let [auc, balanced, flipped, right] = figures.map(|name| with_interval(point.figures.get(name)));
        line!(out, "  {name:<30}  {:>7}  {auc:<18}  {balanced:<18}  {flipped:<18}  {right}", point.images);
    }
}

fn foot(out: &mut String, evaluation: &Evaluation, page: Option<&Path>) {
    line!(out);
    for unreadable in evaluation.unreadable.iter().take(UNREADABLE) {
        line!(out, "unreadable: {}: {}", harmless(&unreadable.path), harmless(&unreadable.problem));
    }
    if let Some(more) = evaluation.unreadable.len().checked_sub(UNREADABLE + 1) {
        line!(out, "unreadable: {} more; --json lists all", more + 1);
    }
    if !evaluation.model.trained {
        line!(out, "the model is untrained: these figures say nothing about it");
    }
    if let Some(page) = page {
        line!(out, "report: {}", page.display());
    }
}

fn with_interval(figure: Figure) -> String {
    match (figure.value, figure.interval) {
        (Some(value), Some([low, high])) => format!("{value:.3} {low:.3}–{high:.3}"),
        _ => alone(figure),
    }
}

fn alone(figure: Figure) -> String {
    figure.value.map_or("–".into(), |value| format!("{value:.3}"))
}
