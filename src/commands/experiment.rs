//! `assay experiment`: the paper's experiments, each a row of trainings that differ in one thing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Parser, Subcommand};

use super::End;
use super::evaluate::{self, Perturb};
use super::print::say;
use super::table::fit;
use crate::config::Config;
use learn::evaluation::experiment::{Comparison, Experiment, Variant};
use learn::evaluation::{Asked, Evaluation, report};

/// Train detectors that differ in one thing, and measure them on the same images.
///
/// What is finished is not done again: the same command goes on where it was interrupted.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay experiment content-bias --annotations train.txt --test test.txt --root images --arch resnet18-nodown \\
        --recipe imaginet --out experiments/content
  assay experiment unseen-generator … --only all,without-midjourney
  assay experiment losses … --recipe mine.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// One content type only against all, and against as many images of all types.
    ContentBias(Plan),
    /// SelfCon, SupCon and cross-entropy; the recipe must be a file.
    Losses(Plan),
    /// Each generator left out of the training once.
    UnseenGenerator(Plan),
}

#[derive(Debug, Parser)]
struct Plan {
    /// Images to train on.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// Images to measure on: none of those to train on, nor others of the same source.
    #[arg(long, value_name = "FILE")]
    test: PathBuf,
    /// The folder that the paths in both files start from.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// As of `assay train`.
    #[arg(long)]
    arch: String,
    /// As of `assay train`.
    #[arg(long, value_name = "NAME|FILE")]
    recipe: String,
    /// A folder for each detector, and the report.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What happens to every test image first.
    #[arg(long, value_enum, default_value = "social")]
    perturb: Perturb,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value_t = 1000, value_name = "ROUNDS")]
    bootstrap: usize,
    /// Train and compare these alone, by the names of their folders.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    #[arg(long)]
    json: bool,
    /// What else `assay train` is to be told.
    #[arg(last = true, value_name = "TRAIN OPTIONS")]
    train: Vec<String>,
}

/// Of the contrastive losses, as in the paper, where the recipe has none.
const TEMPERATURE: f64 = 0.07;

pub(super) fn run(args: &Args, config: &Config, config_file: Option<&Path>) -> Result<(), End> {
    let (experiment, plan) = match &args.question {
        Question::ContentBias(plan) => (Experiment::ContentBias, plan),
        Question::Losses(plan) => (Experiment::Losses, plan),
        Question::UnseenGenerator(plan) => (Experiment::UnseenGenerator, plan),
    };
    let annotations = evaluate::read_annotations(&plan.annotations, config)?;
    evaluate::read_annotations(&plan.test, config)?;
    let text = std::fs::read_to_string(&plan.annotations).map_err(End::usage)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut variants = experiment.variants(&annotations, plan.seed);
    if !plan.only.is_empty() {
        let names: Vec<_> = variants.iter().map(|variant| variant.name.clone()).collect();
        if let Some(unknown) = plan.only.iter().find(|name| !names.contains(name)) {
            return Err(End::usage(format!("--only {unknown} is none of {}", names.join(", "))));
        }
        variants.retain(|variant| plan.only.contains(&variant.name));
    }
    let mut evaluations = Vec::new();
    for (place, variant) in variants.iter().enumerate() {
        eprintln!("{} of {}: {}, {} images", place + 1, variants.len(), variant.name, variant.train.len());
        let folder = plan.out.join(&variant.name);
        let model = train(plan, variant, &lines, &folder, config_file)?;
        evaluations.push((variant.clone(), judge(plan, &model, &folder, config)?));
    }
    let comparison = Comparison::of(experiment, plan.arch.clone(), plan.recipe.clone(), evaluations);
    let document = serde_json::to_string_pretty(&comparison).map_err(End::work)?;
    write(&plan.out.join("report.json"), &document)?;
    write(&plan.out.join("report.html"), &report::comparison(&comparison).map_err(End::work)?)?;
    let answer = if plan.json { document } else { describe(&comparison, &plan.out) };
    say!("{answer}");
    Ok(())
}

/// Has `assay train` make the detector, in a process of its own, unless it is there. Gives its folder.
fn train(
    plan: &Plan,
    variant: &Variant,
    lines: &[&str],
    folder: &Path,
    config_file: Option<&Path>,
) -> Result<PathBuf, End> {
    let model = folder.join("model");
    let annotations = variant.train.iter().map(|place| lines[*place]).collect::<Vec<_>>().join("\n") + "\n";
    let recipe = recipe(plan, variant)?;
    let (annotations_file, recipe_file) = (folder.join("train.txt"), folder.join("recipe.toml"));
    std::fs::create_dir_all(folder).map_err(|error| End::work(format!("{}: {error}", folder.display())))?;
    // Another question's detector, or another recipe's, would answer in the place of the one that is asked for.
    same_or_new(&annotations_file, &annotations)?;
    let recipe = match recipe {
        Some(text) => {
            same_or_new(&recipe_file, &text)?;
            recipe_file.into_os_string()
        }
        None => plan.recipe.clone().into(),
    };
    if model.join("manifest.json").exists() {
        return Ok(model);
    }
    let program = std::env::current_exe().map_err(|error| End::work(format!("this program is not found: {error}")))?;
    let mut command = Command::new(program);
    command.args(config_file.iter().flat_map(|file| ["--config".as_ref(), file.as_os_str()]));
    command.arg("train").arg("--annotations").arg(annotations_file).arg("--root").arg(&plan.root);
    command.args(["--arch", &plan.arch]).arg("--recipe").arg(recipe).arg("--out").arg(&model);
    if folder.join("model.partial").exists() {
        command.arg("--resume");
    }
    // What it says at its end is no part of this command's answer.
    command.args(&plan.train).stdin(Stdio::null()).stdout(Stdio::null());
    let ended = command.status().map_err(|error| End::work(format!("the training can't be started: {error}")))?;
    if !ended.success() {
        let name = &variant.name;
        return Err(End::work(format!("the training of {name} {ended}; the same command goes on from there")));
    }
    Ok(model)
}

/// The recipe of a variant, where it is not the one that was named.
fn recipe(plan: &Plan, variant: &Variant) -> Result<Option<String>, End> {
    let Some(objective) = variant.objective else { return Ok(None) };
    let wrong = |detail: String| End::usage(format!("the recipe {} {detail}", plan.recipe));
    let text = std::fs::read_to_string(&plan.recipe)
        .map_err(|error| wrong(format!("can't be read: {error}; where losses are compared it must be a file")))?;
    with_objective(&text, objective).map(Some).map_err(wrong)
}

/// A recipe whose encoder is trained with another objective; what both objectives know stays as it was.
fn with_objective(recipe: &str, objective: &str) -> Result<String, String> {
    let mut recipe: toml::Table = recipe.parse().map_err(|error: toml::de::Error| format!("is no TOML: {error}"))?;
    let encoder = recipe.get_mut("encoder").and_then(toml::Value::as_table_mut);
    let known = encoder.and_then(|encoder| encoder.get_mut("objective")?.as_table_mut());
    let known = known.ok_or("has no [encoder.objective], so there is no loss to compare")?;
    let generators = known.remove("generators").unwrap_or(toml::Value::Float(1.0));
    let temperature = known.remove("temperature").unwrap_or(toml::Value::Float(TEMPERATURE));
    *known = toml::Table::from_iter([("name".into(), objective.into()), ("generators".into(), generators)]);
    if objective != "cross-entropy" {
        known.insert("temperature".into(), temperature);
    }
    toml::to_string(&recipe).map_err(|error| error.to_string())
}

/// Measures a detector.
fn judge(plan: &Plan, model: &Path, folder: &Path, config: &Config) -> Result<Evaluation, End> {
    let asked = Asked {
        shortcuts: false,
        by_source: false,
        annotations: plan.test.display().to_string(),
        perturbation: plan.perturb.into(),
        seed: plan.seed,
        draws: 1,
        axes: Vec::new(),
        adversarial: None,
        bootstrap: plan.bootstrap,
    };
    let model = model.to_string_lossy();
    let evaluation = evaluate::measure(&asked, &plan.test, &plan.root, Some(&model), config)?;
    write(&folder.join("evaluation.html"), &report::html(&evaluation).map_err(End::work)?)?;
    Ok(evaluation)
}

fn same_or_new(path: &Path, text: &str) -> Result<(), End> {
    match std::fs::read_to_string(path) {
        Ok(found) if found == text => Ok(()),
        Ok(_) => Err(End::usage(format!(
            "{} is of another experiment; name another --out, or delete that folder",
            path.display()
        ))),
        Err(_) => write(path, text),
    }
}

fn write(path: &Path, text: &str) -> Result<(), End> {
    std::fs::write(path, text).map_err(|error| End::work(format!("{} can't be written: {error}", path.display())))
}

fn describe(comparison: &Comparison, out: &Path) -> String {
    let mut text = format!("{}\n\nAUC {:<20} {:>7}", comparison.question, "trained", "images");
    // Writing to a string does not fail.
    for column in &comparison.columns {
        let _ = write!(text, " {:>13}", fit(column, 13));
    }
    for variant in &comparison.variants {
        let _ = write!(text, "\n    {:<20} {:>7}", fit(&variant.name, 20), variant.trained_on);
        for cell in &variant.cells {
            let value = cell.value.map_or("–".into(), |value| format!("{value:.3}"));
            let _ = write!(text, " {value:>13}");
        }
    }
    text + &format!("\n\nreport: {}", out.join("report.html").display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_objective_of_a_recipe_is_exchanged() {
        let recipe = "seed = 3\n[encoder]\nepochs = 9\n[encoder.objective]\nname = \"selfcon\"\ngenerators = 0.5\ntemperature = 0.1\n";
        let read = |objective| -> toml::Table { with_objective(recipe, objective).unwrap().parse().unwrap() };
        let supcon = read("supcon");
        assert_eq!((&supcon["seed"], &supcon["encoder"]["epochs"]), (&3.into(), &9.into()));
        let objective = &supcon["encoder"]["objective"];
        assert_eq!(
            (&objective["name"], &objective["generators"], &objective["temperature"]),
            (&"supcon".into(), &0.5.into(), &0.1.into())
        );
        // Cross-entropy has no temperature, and a recipe with unknown keys is refused.
        assert!(read("cross-entropy")["encoder"]["objective"].get("temperature").is_none());
        assert!(with_objective("seed = 3", "supcon").unwrap_err().contains("[encoder.objective]"));
    }
}
