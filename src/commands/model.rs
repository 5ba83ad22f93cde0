//! `assay model`: artefacts of the detector, and the registry of those that may serve.

mod calibrate;
pub(super) mod registered;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use super::End;
use super::print::say;
use super::train;
use crate::config::Config;
use artefact::{Architecture, Manifest};
use engine::checkpoint::{self, Import};
use engine::{self_test, untrained};

/// Make, import and show model artefacts (a folder with manifest.json and weights.safetensors); register versions, and choose
/// which of them serves.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay model init --arch resnet50-nodown --out model
  assay model import imaginet_weights.pt --out models/imaginet
  assay model calibrate models/imaginet --annotations mine.txt --root images --out models/mine
  assay model show models/imaginet
  assay model register models/imaginet           copy it to registry.store and give it its place in the registry
  assay model promote 2026.11.1 --reason \"first\"   from now on workers with detector.model = \"registry\" serve it
  assay model history                            which one was active when, and who made it so
  assay model rollback --reason \"too many false alarms\"")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an untrained model; its verdicts say that they mean nothing.
    Init {
        /// resnet50-nodown (ImagiNet's own) or resnet18-nodown (half of the work), also narrower, as in resnet18-nodown-32.
        #[arg(long, default_value = "resnet50-nodown")]
        arch: Architecture,
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Of the random weights: the same seed makes the same model.
        #[arg(long, default_value_t = 0)]
        seed: i64,
    },
    /// Turn a checkpoint of PyTorch (as ImagiNet's authors publish it) into an artefact. Nothing in it is executed.
    Import {
        checkpoint: PathBuf,
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// A checkpoint of the generator classifier (ImagiNet's model identification), published apart.
        #[arg(long, value_name = "FILE")]
        generators: Option<PathBuf>,
        /// The version that verdicts name; from the digest of the weights unless given.
        #[arg(long)]
        version: Option<String>,
    },
    /// Print what an artefact says of itself, or what the registry knows of a version.
    Show {
        #[arg(value_name = "VERSION|DIR")]
        what: String,
    },
    /// Load an artefact and score its self-test images, as it did when it was made; ends with 1 if it says anything else.
    Check {
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Fit calibration and thresholds of a model to labelled images that it has not learnt from, a whole folder of one's own or
    /// an imported checkpoint's first; the weights stay as they are.
    Calibrate(calibrate::Args),
    /// Check an artefact, copy it into registry.store and register it. Doing it again changes nothing.
    Register(registered::Register),
    /// The registered versions, the newest first; the active one is marked.
    List {
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Which version was active when, the newest first: promotions and rollbacks, by whom and why.
    History {
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Make a version the one that serves.
    Promote(registered::Promote),
    /// Make the version active again that was so before the active one.
    Rollback {
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Who decides; user@host unless given.
        #[arg(long)]
        actor: Option<String>,
    },
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let public_key = &config.detector.public_key;
    let (folder, manifest) = match &args.command {
        Command::Init { arch, out, seed } => (out.as_path(), untrained::create(out, *arch, *seed)?),
        Command::Import { checkpoint, out, generators, version } => {
            let asked = Import { checkpoint, generators: generators.as_deref(), version: version.clone() };
            (out.as_path(), checkpoint::import(asked, out)?)
        }
        Command::Show { what } if !Path::new(what).is_dir() && !what.contains('/') => {
            return registered::show(what, config).await;
        }
        Command::Show { what } => (Path::new(what), Manifest::read(Path::new(what), public_key)?),
        Command::Check { dir } => {
            let images = self_test::check(dir, &config.detector).map_err(End::work)?;
            say!("the model says of {images} self-test images what it said when it was made");
            return Ok(());
        }
        Command::Calibrate(args) => return calibrate::run(args.clone(), config).await,
        Command::Register(args) => return registered::register(args, config).await,
        Command::List { json } => return registered::list(*json, config).await,
        Command::History { json } => return registered::history(*json, config).await,
        Command::Promote(args) => return registered::promote(args, config).await,
        Command::Rollback { reason, actor } => {
            return registered::roll_back(actor.clone(), reason.clone(), config).await;
        }
    };
    let mut lines = vec![("model", folder.display().to_string())];
    lines.extend(describe(&manifest));
    lines.push(("signature", Manifest::signature(folder, public_key).into()));
    say!("{}", table(&lines));
    if let Some(figures) = manifest.metrics.as_ref().map(train::unseen::figures).filter(|figures| !figures.is_empty()) {
        say!("{figures}");
    }
    Ok(())
}

/// What a model says of itself, a line for each thing that one asks.
fn describe(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let trained = if manifest.trained { "yes" } else { "no: its verdicts say nothing about the images" };
    let generators: Vec<_> = manifest.labels.generators.iter().map(|generator| generator.label.as_str()).collect();
    let generators = if generators.is_empty() { "none: it names no generator".into() } else { generators.join(", ") };
    let calibrated = if manifest.calibration.is_some() { "yes" } else { "no" };
    let thresholds = manifest.thresholds;
    vec![
        ("version", manifest.version.clone()),
        ("trained", trained.into()),
        ("architecture", manifest.architecture.to_string()),
        ("labels", format!("{} ({generators})", manifest.labels.id)),
        ("calibrated", calibrated.into()),
        ("thresholds", format!("real below {}, synthetic from {}", thresholds.low, thresholds.high)),
        ("source", manifest.lineage.source.clone()),
        ("sha256", manifest.weights.sha256.clone()),
    ]
}

fn table(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name:<13} {value}")).collect::<Vec<_>>().join("\n")
}
