//! `assay train`: from a file of annotations to a model, with no server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio_util::sync::CancellationToken;

mod estimate;
mod events_file;
mod metrics_file;
mod progress;
pub(super) mod unseen;

use super::End;
use crate::config::Config;
use crate::shutdown::Shutdown;
use artefact::manifest::{Lineage, Origin};
use artefact::{Architecture, Manifest};
use decoder::Pool;
use engine::{device, self_test};
use learn::retrain::checkpoint::Checkpoint;
use learn::retrain::cross_validation::{self, CrossValidationError, SourceFolds};
use learn::retrain::dataset::{self, LabelledImage};
use learn::retrain::duplicate_groups;
use learn::retrain::image_cache::{ImageCache, Limits};
use learn::retrain::likenesses::Likenesses;
use learn::retrain::training_run::{Trained, TrainingRun, TrainingRunError};
use learn::retrain::{Start, first_weights};
use learn::training::Recipe;

pub(super) use progress::Progress;

/// Train a model on annotated images; no server is needed.
///
/// Checkpoints lie in OUT.partial until the model is finished. Ctrl-C leaves one, and says how to go on. OUT/metrics.jsonl has each step's
/// loss and learning rate, and as its last line the model's figures.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay train --annotations train.txt --held-out val.txt --root imaginet --recipe imaginet --out models/mine
  assay train --annotations train.txt --root images --arch resnet18-nodown-32 --recipe mine.toml --out models/faces
  assay train --annotations train.txt --root imaginet --recipe imaginet --out models/mine --resume
  assay train --annotations train.txt --held-out val.txt --root images --arch resnet50-half --from start.safetensors \\
    --recipe small --folds-by source --out models/mine      calibrated by sources that it has not seen")]
pub(super) struct Args {
    /// Lines of `path,origin,content_type,model,specific_model`, as ImagiNet's.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// The folder that the paths begin in.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Annotations of images that the network may not learn from: they calibrate it. By default a share of the others, by
    /// the hash of their bytes, and at least `retrain.held_out`, so that none is learnt that `assay retrain` would judge by; images
    /// that show the same thing stay together.
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// Leave whole sources and generators out by turns: a network of the same recipe is trained for each fold and judges what it
    /// has not seen. Calibration and thresholds follow from that, and so do the figures under `unseen` in the manifest.
    #[arg(long, value_enum, value_name = "WHAT")]
    folds_by: Option<FoldsBy>,
    /// How many folds, each a whole training.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=20), requires = "folds_by")]
    folds: u8,
    /// A TOML file that fixes the folds of some (`[fixed]`, `ffhq = 0`) and names those (`always_learnt = ["taef2"]`) that are never left
    /// out.
    #[arg(long, value_name = "FILE", requires = "folds_by")]
    fold_plan: Option<PathBuf>,
    /// resnet50-nodown (ImagiNet's own), resnet18-nodown, narrower ones as resnet18-nodown-32, or resnet50-half.
    #[arg(long, default_value = "resnet50-nodown")]
    arch: Architecture,
    /// imaginet, small, retrain, or a TOML file like those in configs/recipes.
    #[arg(long, value_name = "NAME|FILE")]
    recipe: String,
    /// The folder of the model that is made; it may not be there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Begin with the encoder of this model, or of this file of safetensors, instead of random weights.
    #[arg(long, value_name = "DIR|FILE")]
    from: Option<PathBuf>,
    /// Instead of the recipe's.
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Go on from the checkpoint in OUT.partial.
    #[arg(long)]
    resume: bool,
    /// Threads that augment images, and that the CPU computes with; 0: as many as cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// The version that verdicts name; from the digest of the weights unless given.
    #[arg(long)]
    version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FoldsBy {
    Source,
}

pub(super) async fn run(args: Args, config: &Config) -> Result<(), End> {
    let recipe = asked(&args)?;
    if args.out.join("manifest.json").exists() {
        return Err(End::usage(format!("{} holds a model already; name another folder", args.out.display())));
    }
    let checkpoint = Checkpoint::beside(&args.out);
    if checkpoint.folder().exists() && !args.resume {
        return Err(End::usage(format!(
            "{} holds an unfinished training; go on with it by --resume, or delete it",
            checkpoint.folder().display()
        )));
    }
    let shutdown =
        Shutdown::on_signals(Duration::from_secs(3600)).map_err(|error| End::work(format!("signals: {error}")))?;
    let config = config.clone();
    let work = tokio::task::spawn_blocking(move || train(&args, &recipe, &checkpoint, &config, shutdown.stop));
    work.await.map_err(|error| End::work(format!("the training ended: {error}")))?
}

fn train(
    args: &Args,
    recipe: &Recipe,
    checkpoint: &Checkpoint,
    config: &Config,
    stop: CancellationToken,
) -> Result<(), End> {
    let settings = settings(args, config);
    let place = device::prepare(&settings)?;
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let vocabulary = config.labels.vocabulary().map_err(End::usage)?;
    let mut progress = Progress::new();
    let mut read = |file: &Path| {
        progress.begin_reading(file);
        dataset::of_annotations(file, &args.root, &vocabulary, || progress.read_one()).map_err(End::usage)
    };
    let mut train = read(&args.annotations)?;
    let given = args.held_out.as_ref().map(|file| read(file)).transpose()?;
    let limits = Limits { file: config.objects.max_bytes, pixels: config.training.cache_bytes };
    let images = ImageCache::new(Box::new(Pool::open(config.decoders())?), limits, Likenesses::in_memory());
    let held_out = match given {
        Some(images) => images,
        None if recipe.folds().is_some() => Vec::new(),
        None => {
            let groups = duplicate_groups::groups(&images.of(&train), threads)?;
            dataset::hold_out(&mut train, &groups, recipe.calibration.held_out.max(config.retrain.held_out))
        }
    };
    apart(&train, &held_out)?;
    let labels = dataset::label_set(&train, recipe.classes, &vocabulary);
    let start = args.from.clone().map_or(Start::Random, Start::From);
    let run = TrainingRun {
        recipe,
        architecture: args.arch,
        start: first_weights(&start, args.arch, &labels, recipe.seed).map_err(End::usage)?,
        labels,
        train: images.of(&train),
        held_out: images.of(&held_out),
        place,
        threads,
        checkpoint_every: Duration::from_secs(config.training.checkpoint_s),
        stop,
    };
    let folds = source_folds(args)?;
    progress.begin(&run);
    progress.also_into(checkpoint.folder());
    let unseen = folds.map(|plan| cross_validation::run(&run, &plan, checkpoint, &mut progress));
    let unseen = unseen.transpose().map_err(|error| end_of_folds(error, args))?;
    progress.folds_ended();
    let trained = run.run(checkpoint, unseen.as_deref(), &mut progress).map_err(|error| end(error, args))?;
    write(args, &run, &start, trained)?;
    let manifest = self_test::record(&args.out, &settings).map_err(End::work)?;
    progress.end(&args.out, &manifest, &run);
    checkpoint.remove();
    Ok(())
}

/// `None` where nothing is to be left out.
fn source_folds(args: &Args) -> Result<Option<SourceFolds>, End> {
    let Some(FoldsBy::Source) = args.folds_by else { return Ok(None) };
    let folds = usize::from(args.folds);
    let Some(path) = &args.fold_plan else { return Ok(Some(SourceFolds { folds, ..SourceFolds::default() })) };
    let wrong = |error: &dyn std::fmt::Display| End::usage(format!("the fold plan {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let plan: SourceFolds = toml::from_str(&text).map_err(|error| wrong(&error))?;
    Ok(Some(SourceFolds { folds, ..plan }))
}

/// What is made here is signed later.
fn settings(args: &Args, config: &Config) -> engine::Settings {
    let threads = if args.threads > 0 { args.threads } else { config.detector.threads };
    engine::Settings { public_key: String::new(), threads, ..config.detector.clone() }
}

/// Writes the model to its folder.
fn write(args: &Args, run: &TrainingRun<'_>, start: &Start, trained: Trained) -> Result<(), End> {
    let images = run.train.items();
    let recipe = serde_json::to_value(run.recipe)
        .map_err(|error| End::work(format!("the recipe can't be written into the manifest: {error}")))?;
    let parent = parent(start);
    let lineage = Lineage {
        parent: parent.as_ref().map(|parent| parent.version.clone()),
        snapshot_sha256: Some(dataset::digest(images)),
        recipe: Some(recipe),
        learnt: dataset::learnt(images, parent.as_ref()),
        ..Lineage::of_source(format!("assay train on {} images, recipe {}", images.len(), args.recipe), None)
    };
    let origin = Origin {
        architecture: args.arch,
        trained: true,
        labels: run.labels.clone(),
        lineage,
        version: args.version.clone(),
        reading: trained.reading,
    };
    trained.weights.write_artefact(&args.out, origin)?;
    Ok(())
}

/// One that is built in, or a file: a path has a slash or ends in `.toml`, so that a folder of the same name is in nobody's way.
pub(super) fn recipe(name: &str) -> Result<Recipe, End> {
    let path = Path::new(name);
    let is_path = name.contains(std::path::MAIN_SEPARATOR) || path.extension().is_some_and(|end| end == "toml");
    if !is_path {
        return Recipe::named(name).map_err(End::usage);
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| End::usage(format!("the recipe {} can't be read: {error}", path.display())))?;
    Recipe::of_text(&text).map_err(|error| End::usage(format!("the recipe {}: {error}", path.display())))
}

fn asked(args: &Args) -> Result<Recipe, End> {
    let mut recipe = recipe(&args.recipe)?;
    match (args.epochs, &mut recipe.encoder) {
        (Some(epochs), Some(encoder)) if epochs > 0 => encoder.epochs = epochs,
        (None, _) => {}
        _ => return Err(End::usage("--epochs wants a number above 0 and a recipe with an [encoder]")),
    }
    Ok(recipe)
}

/// Nothing that calibrates may have been learnt from.
fn apart(train: &[LabelledImage], held_out: &[LabelledImage]) -> Result<(), End> {
    let known: std::collections::HashSet<&str> = train.iter().map(|image| image.sha256.as_str()).collect();
    match held_out.iter().find(|image| known.contains(image.sha256.as_str())) {
        None => Ok(()),
        Some(image) => Err(End::usage(format!(
            "{} is among the images to learn from, too; held-out images must be others",
            image.location
        ))),
    }
}

/// The model that training began with, where it was one and not a file of weights.
fn parent(start: &Start) -> Option<Manifest> {
    match start {
        Start::From(path) if path.is_dir() => Manifest::read(path, "").ok(),
        _ => None,
    }
}

fn end_of_folds(error: CrossValidationError, args: &Args) -> End {
    match error {
        CrossValidationError::Training(error) => end(error, args),
        CrossValidationError::Unwritable { .. } => End::work(error),
        error => End::usage(error),
    }
}

fn end(error: TrainingRunError, args: &Args) -> End {
    match error {
        TrainingRunError::Stopped { .. } => {
            End::work(format!("{error}; go on with the same command and --resume (--out {})", args.out.display()))
        }
        TrainingRunError::Other { .. } | TrainingRunError::Checkpoint(_) | TrainingRunError::Decoder(_) => {
            End::usage(error)
        }
        _ => End::work(error),
    }
}
