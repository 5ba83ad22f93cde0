//! `assay model calibrate`: how the scores of a model are read, from images of one's own.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::End;
use crate::commands::train::{self, Progress};
use crate::config::Config;
use crate::shutdown::Shutdown;
use artefact::Manifest;
use artefact::manifest::{Lineage, Origin, Reading};
use decoder::Pool;
use engine::weights::Weights;
use engine::{device, self_test};
use learn::retrain::dataset;
use learn::retrain::image_cache::{ImageCache, Limits};
use learn::retrain::likenesses::Likenesses;
use learn::retrain::recalibration::{RecalibrationError, recalibrate};
use learn::retrain::training_run::TrainingRun;

#[derive(Clone, Debug, Parser)]
#[command(after_help = "Examples:
  assay labels annotate real/ fake/ > mine.txt
  assay model calibrate models/imaginet --annotations mine.txt --root . --out models/imaginet-mine
  assay model calibrate models/small --annotations mine.txt --root images --recipe strict.toml --out models/strict")]
pub(super) struct Args {
    /// The folder of the model.
    dir: PathBuf,
    /// Lines of `path,origin,content_type,model,specific_model[,source]`; the more sources and generators the better.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// The folder that the paths begin in.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The folder of the model that is made; it may not be there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Whose table `calibration` says how many real images may be called synthetic, and how many synthetic ones real: a built-in
    /// recipe or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "small")]
    recipe: String,
    /// The version that verdicts name; from the old one and the new calibration unless given.
    #[arg(long)]
    version: Option<String>,
}

pub(super) async fn run(args: Args, config: &Config) -> Result<(), End> {
    let shutdown =
        Shutdown::on_signals(Duration::from_secs(60)).map_err(|error| End::work(format!("signals: {error}")))?;
    let config = config.clone();
    let work = tokio::task::spawn_blocking(move || calibrate(&args, &config, shutdown.stop));
    work.await.map_err(|error| End::work(format!("the calibration ended: {error}")))?
}

fn calibrate(args: &Args, config: &Config, stop: CancellationToken) -> Result<(), End> {
    let recipe = train::recipe(&args.recipe)?;
    let manifest = Manifest::read(&args.dir, &config.detector.public_key)?;
    if args.out.join(Manifest::FILE).exists() {
        return Err(End::usage(format!("{} holds a model already; name another folder", args.out.display())));
    }
    let weights = Weights::of_artefact(&manifest, &args.dir)?;
    // What is made here is signed later.
    let settings = engine::Settings { public_key: String::new(), ..config.detector.clone() };
    let place = device::prepare(&settings)?;
    let vocabulary = config.labels.vocabulary().map_err(End::usage)?;
    let mut progress = Progress::new();
    progress.begin_reading(&args.annotations);
    let images = dataset::of_annotations(&args.annotations, &args.root, &vocabulary, || progress.read_one());
    let images = images.map_err(End::usage)?;
    let limits = Limits { file: config.objects.max_bytes, pixels: config.training.cache_bytes };
    let cache = ImageCache::new(Box::new(Pool::open(config.decoders())?), limits, Likenesses::in_memory());
    let run = TrainingRun {
        recipe: &recipe,
        architecture: manifest.architecture,
        start: weights.shallow(),
        labels: manifest.labels.clone(),
        train: cache.of(&[]),
        held_out: cache.of(&images),
        place,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        checkpoint_every: Duration::from_secs(config.training.checkpoint_s),
        stop,
    };
    let reading = recalibrate(&run, &manifest, &weights, &mut progress).map_err(|error| match error {
        RecalibrationError::Scoring(error) => End::work(error),
        error => End::usage(error),
    })?;
    weights.write_artefact(&args.out, origin(args, &manifest, images.len(), reading))?;
    let made = self_test::record(&args.out, &settings).map_err(End::work)?;
    progress.end(&args.out, &made, &run);
    Ok(())
}

/// The same model under another version, since its verdicts are others.
fn origin(args: &Args, manifest: &Manifest, images: usize, reading: Reading) -> Origin {
    let read = format!("{:?} {:?}", reading.calibration, reading.thresholds);
    let digest = hex::encode(&Sha256::digest(read)[..3]);
    let lineage = Lineage {
        parent: Some(manifest.version.clone()),
        source: format!("assay model calibrate on {images} images, from {}", manifest.version),
        ..manifest.lineage.clone()
    };
    Origin {
        architecture: manifest.architecture,
        trained: manifest.trained,
        labels: manifest.labels.clone(),
        lineage,
        version: Some(args.version.clone().unwrap_or_else(|| format!("{}-{digest}", manifest.version))),
        reading,
    }
}
