//! `assay experiment`: the paper's experiments, each a row of trainings that differ in one thing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Parser, Subcommand};
use time::Date;

use super::End;
use super::evaluate::{self, Perturb};
use super::print::say;
use super::table::fit;
use super::train as train_command;
use crate::config::Config;
use labels::annotations::{self, Annotation};
use learn::evaluation::experiment::{Change, Comparison, Experiment, Material, Variant};
use learn::evaluation::{Asked, Evaluation, report};

/// Train detectors that differ in one thing, and measure them on the same images.
///
/// What is finished is not done again: the same command goes on where it was interrupted.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay experiment content-bias --annotations train.txt --test test.txt --root images --arch resnet18-nodown \\
        --recipe imaginet --out experiments/content
  assay experiment unseen-generator … --only all,without-midjourney
  assay experiment losses … --recipe mine.toml
  assay experiment temporal … --before 2024-01-01")]
pub(super) struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// One content type only against all, and against as many images of all types.
    ContentBias(Plan),
    /// SelfCon, SupCon and cross-entropy.
    Losses(Plan),
    /// Each generator left out of the training once.
    UnseenGenerator(Plan),
    /// Open generators alone, proprietary ones alone (configs/labels.toml says which are), both, and as many images of both.
    Proprietary(Plan),
    /// Each part of the recipe's augmentation left out once.
    Augmentation(Plan),
    /// Generators released before a day alone, those from it on alone, both, and as many images of both.
    Temporal {
        #[command(flatten)]
        plan: Plan,
        /// The first day of the later ones. Generators of which the labels file says no day are left out.
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        before: Date,
    },
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
        Question::Proprietary(plan) => (Experiment::Proprietary, plan),
        Question::Augmentation(plan) => (Experiment::Augmentation, plan),
        Question::Temporal { plan, before } => (Experiment::Temporal { before: *before }, plan),
    };
    let annotations = evaluate::read_annotations(&plan.annotations, config)?;
    evaluate::read_annotations(&plan.test, config)?;
    let recipe = train_command::recipe(&plan.recipe)?;
    let vocabulary = config.labels.vocabulary().map_err(End::usage)?;
    let material = Material {
        annotations: &annotations,
        vocabulary: &vocabulary,
        augmentation: &recipe.augmentation,
        seed: plan.seed,
    };
    let mut variants = experiment.variants(&material).map_err(End::usage)?;
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
        let model = train(plan, variant, &annotations, &folder, config_file)?;
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
    all: &[Annotation],
    folder: &Path,
    config_file: Option<&Path>,
) -> Result<PathBuf, End> {
    let model = folder.join("model");
    let lines = variant.train.iter().map(|place| annotations::line(&all[*place]) + "\n");
    let annotations = std::iter::once(format!("{}\n", annotations::HEADER)).chain(lines).collect::<String>();
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
    let Some(change) = variant.change else { return Ok(None) };
    let recipe = train_command::recipe(&plan.recipe)?;
    let wrong = |detail: String| End::usage(format!("the recipe {} {detail}", plan.recipe));
    let text = toml::to_string(&recipe).map_err(|error| wrong(format!("can't be written as TOML: {error}")))?;
    let changed = match change {
        Change::Objective(objective) => with_objective(&text, objective),
        Change::Without(key) => without_augmentation(&text, key),
    };
    changed.map(Some).map_err(wrong)
}

/// A recipe whose augmentation lacks a part: a table, or a share.
fn without_augmentation(recipe: &str, key: &str) -> Result<String, String> {
    let mut recipe: toml::Table = recipe.parse().map_err(|error: toml::de::Error| format!("is no TOML: {error}"))?;
    let augmentation = recipe.get_mut("augmentation").and_then(toml::Value::as_table_mut);
    let augmentation = augmentation.ok_or("has no [augmentation], so there is nothing to leave out")?;
    match augmentation.get_mut(key) {
        Some(toml::Value::Table(_)) | None => drop(augmentation.remove(key)),
        Some(share) => *share = toml::Value::Float(0.0),
    }
    toml::to_string(&recipe).map_err(|error| error.to_string())
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
    let of = evaluate::Measured { annotations: &plan.test, root: &plan.root, model: Some(&model), mistakes: 0 };
    let (evaluation, _) = evaluate::measure(&asked, &of, config)?;
    write(&folder.join("evaluation.html"), &report::html(&evaluation, &[]).map_err(End::work)?)?;
    Ok(evaluation)
}

fn day(text: &str) -> Result<Date, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    Date::parse(text, &format).map_err(|error| format!("{error}; write a day as 2024-01-31"))
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
    fn a_part_of_the_augmentation_is_left_out_and_nothing_else() {
        let recipe = "seed = 3\n[augmentation]\nsocial = 0.5\nflip = 0.5\n[augmentation.mask]\nshare = 0.3\n";
        let read = |key: &'static str| -> toml::Table { without_augmentation(recipe, key).unwrap().parse().unwrap() };
        let left = |key: &'static str| read(key)["augmentation"].clone();
        assert_eq!((left("social")["social"].as_float(), left("social")["flip"].as_float()), (Some(0.0), Some(0.5)));
        assert!(left("mask").get("mask").is_none() && left("social").get("mask").is_some());
        assert!(without_augmentation("seed = 3", "mask").unwrap_err().contains("[augmentation]"));
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        assert_eq!(day("2024-02-29").unwrap().ordinal(), 60);
        assert!(day("2023-02-29").unwrap_err().contains("2024-01-31") && day("soon").is_err());
    }

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
