//! `assay train`: from a file of annotations to a model, with no server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

mod progress;

use super::End;
use crate::config::Config;
use crate::shutdown::Shutdown;
use artefact::manifest::{Lineage, Origin};
use artefact::{Architecture, Manifest};
use decoder::Pool;
use engine::{device, golden};
use learn::retrain::alike;
use learn::retrain::course::{Course, CourseError};
use learn::retrain::gallery::Gallery;
use learn::retrain::material::{self, Item};
use learn::retrain::partial::Partial;
use learn::retrain::{Start, first_weights};
use learn::training::Recipe;

pub(super) use progress::Progress;

/// Train a model on annotated images; no server is needed.
///
/// Checkpoints lie in OUT.partial until the model is finished. Ctrl-C leaves one, and says how to go on.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay train --annotations train.txt --held-out val.txt --root imaginet --recipe imaginet --out models/mine
  assay train --annotations train.txt --root images --arch resnet18-nodown-32 --recipe mine.toml --out models/faces
  assay train --annotations train.txt --root imaginet --recipe imaginet --out models/mine --resume")]
pub struct Args {
    /// Lines of `path,origin,content_type,model,specific_model`, as ImagiNet's.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// The folder that the paths begin in.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Annotations of images that the network may not learn from: they calibrate it. By default a share of the others, by
    /// the hash of their bytes; images that show the same thing stay together.
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// resnet50-nodown (ImagiNet's own), resnet18-nodown, narrower ones as resnet18-nodown-32, or resnet50-half.
    #[arg(long, default_value = "resnet50-nodown")]
    arch: Architecture,
    /// imaginet, small-encoder, small, retrain, or a TOML file like those in configs/recipes.
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

pub async fn run(args: Args, config: &Config) -> Result<(), End> {
    let recipe = asked(&args)?;
    if args.out.join("manifest.json").exists() {
        return Err(End::usage(format!("{} holds a model already; name another folder", args.out.display())));
    }
    let partial = Partial::beside(&args.out);
    if partial.folder().exists() && !args.resume {
        return Err(End::usage(format!(
            "{} holds an unfinished training; go on with it by --resume, or delete it",
            partial.folder().display()
        )));
    }
    let shutdown =
        Shutdown::on_signals(Duration::from_secs(3600)).map_err(|error| End::work(format!("signals: {error}")))?;
    let (config, stop) = (config.clone(), shutdown.stop.clone());
    let stop = Box::new(move || stop.is_cancelled());
    let work = tokio::task::spawn_blocking(move || train(&args, &recipe, &partial, &config, stop));
    work.await.map_err(|error| End::work(format!("the training ended: {error}")))?
}

fn train(
    args: &Args,
    recipe: &Recipe,
    partial: &Partial,
    config: &Config,
    stop: Box<dyn Fn() -> bool + Send>,
) -> Result<(), End> {
    // What is made here is signed later.
    let mut settings = engine::Settings { public_key: String::new(), ..config.detector.clone() };
    settings.threads = if args.threads > 0 { args.threads } else { settings.threads };
    let place = device::prepare(&settings)?;
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let vocabulary = config.labels.vocabulary().map_err(End::usage)?;
    let mut progress = Progress::new(stop);
    let mut read = |file: &Path| {
        progress.begin_reading(file);
        material::of_annotations(file, &args.root, &vocabulary, || progress.read_one()).map_err(End::usage)
    };
    let mut train = read(&args.annotations)?;
    let decoders = Pool::open(config.decoders())?;
    let held_out = match &args.held_out {
        Some(file) => read(file)?,
        None if recipe.folds().is_some() => Vec::new(),
        None => {
            let once = Gallery::new(&train, &decoders, config.objects.max_bytes, 0);
            let groups = alike::groups(&once, threads)?;
            material::hold_out(&mut train, &groups, recipe.calibration.held_out)
        }
    };
    apart(&train, &held_out)?;
    let labels = material::label_set(&train, recipe.classes, &vocabulary);
    let start = args.from.clone().map_or(Start::Random, Start::From);
    let first = first_weights(&start, args.arch, &labels, recipe.seed).map_err(End::usage)?;
    let budget = config.training.cache_bytes;
    let gallery = |items| Gallery::new(items, &decoders, config.objects.max_bytes, budget / 2);
    let course = Course {
        recipe,
        architecture: args.arch,
        start: first,
        labels: labels.clone(),
        train: gallery(&train),
        held_out: gallery(&held_out),
        place,
        threads,
        checkpoint_every: Duration::from_secs(config.training.checkpoint_s),
    };
    progress.begin(&course);
    let trained = course.run(partial, &mut progress).map_err(|error| end(error, args))?;
    let lineage = Lineage {
        parent: parent(&start),
        snapshot_sha256: Some(material::digest(&train)),
        recipe: serde_json::to_value(recipe).ok(),
        ..Lineage::of_source(format!("assay train on {} images, recipe {}", train.len(), args.recipe), None)
    };
    let origin = Origin {
        architecture: args.arch,
        trained: true,
        labels,
        lineage,
        version: args.version.clone(),
        reading: trained.reading,
    };
    trained.weights.write_artefact(&args.out, origin)?;
    let manifest = golden::record(&args.out, &settings).map_err(End::work)?;
    partial.remove();
    progress.end(&args.out, &manifest, &course);
    Ok(())
}

/// One that is built in, or a file.
pub(super) fn recipe(name: &str) -> Result<Recipe, End> {
    let path = Path::new(name);
    match path.exists() {
        true => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| End::usage(format!("{} can't be read: {error}", path.display())))?;
            Recipe::of_text(&text).map_err(|error| End::usage(format!("the recipe {}: {error}", path.display())))
        }
        false => Recipe::named(name).map_err(End::usage),
    }
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
fn apart(train: &[Item], held_out: &[Item]) -> Result<(), End> {
    let known: std::collections::HashSet<&str> = train.iter().map(|item| item.sha256.as_str()).collect();
    match held_out.iter().find(|item| known.contains(item.sha256.as_str())) {
        None => Ok(()),
        Some(item) => Err(End::usage(format!(
            "{} is among the images to learn from, too; held-out images must be others",
            item.path.display()
        ))),
    }
}

fn parent(start: &Start) -> Option<String> {
    match start {
        Start::From(path) if path.is_dir() => Some(Manifest::read(path, "").ok()?.version),
        _ => None,
    }
}

fn end(error: CourseError, args: &Args) -> End {
    match error {
        CourseError::Stopped { .. } => {
            End::work(format!("{error}; go on with the same command and --resume (--out {})", args.out.display()))
        }
        CourseError::Other { .. } | CourseError::Partial(_) | CourseError::Decoder(_) => End::usage(error),
        _ => End::work(error),
    }
}
