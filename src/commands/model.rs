//! `assay model`: artefacts of the detector.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use super::End;
use crate::config::Config;
use crate::detector::checkpoint::{self, Import};
use crate::detector::{Architecture, Manifest, untrained};

/// Make, import and show model artefacts (a folder with manifest.json and weights.safetensors).
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay model init --arch resnet50-nodown --out model
  assay model import imaginet_weights.pt --out models/imaginet
  assay model show models/imaginet")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an untrained model; its verdicts say that they mean nothing.
    Init {
        /// resnet50-nodown (ImagiNet's own) or resnet18-nodown (a fifth of the work).
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
    /// Print what an artefact says of itself.
    Show { dir: PathBuf },
}

#[allow(clippy::print_stdout, reason = "it is the command's answer")]
pub fn run(args: &Args, config: &Config) -> Result<(), End> {
    let public_key = &config.detector.public_key;
    let (folder, manifest) = match &args.command {
        Command::Init { arch, out, seed } => (out, untrained::create(out, *arch, *seed)?),
        Command::Import { checkpoint, out, generators, version } => {
            let asked = Import { checkpoint, generators: generators.as_deref(), version: version.clone() };
            (out, checkpoint::import(asked, out)?)
        }
        Command::Show { dir } => (dir, Manifest::read(dir, public_key)?),
    };
    println!("{}", describe(folder, &manifest, public_key));
    Ok(())
}

/// What a model is, a line for each thing that one asks.
fn describe(folder: &Path, manifest: &Manifest, public_key: &str) -> String {
    let trained = if manifest.trained { "yes" } else { "no: its verdicts say nothing about the images" };
    let generators: Vec<_> = manifest.labels.generators.iter().map(|generator| generator.label.as_str()).collect();
    let generators = if generators.is_empty() { "none: it names no generator".into() } else { generators.join(", ") };
    let calibrated = if manifest.calibration.is_some() { "yes" } else { "no" };
    let thresholds = manifest.thresholds;
    [
        ("model", folder.display().to_string()),
        ("version", manifest.version.clone()),
        ("trained", trained.into()),
        ("architecture", manifest.architecture.as_str().into()),
        ("labels", format!("{} ({generators})", manifest.labels.id)),
        ("calibrated", calibrated.into()),
        ("thresholds", format!("real below {}, synthetic from {}", thresholds.low, thresholds.high)),
        ("source", manifest.lineage.source.clone()),
        ("sha256", manifest.weights.sha256.clone()),
        ("signature", Manifest::signature(folder, public_key).into()),
    ]
    .map(|(name, value)| format!("{name:<13} {value}"))
    .join("\n")
}
