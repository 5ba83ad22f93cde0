//! `assay model`: artefacts of the detector.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::End;
use crate::detector::{Architecture, checkpoint, manifest};

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
        #[arg(long, value_enum, default_value = "resnet50-nodown")]
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
pub fn run(args: &Args) -> Result<(), End> {
    let _ = &args.command;
    Ok(())
}
