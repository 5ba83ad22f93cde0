//! `assay retrain`: one run of the job that learns from new labels, for cron or for a person.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::End;
use super::labels::drain_corrections;
use super::print::say;
use super::train::{Progress, recipe};
use crate::config::Config;
use crate::shutdown::Shutdown;
use database::Database;
use learn::retrain::error::RetrainError;
use learn::retrain::file_cache::FileCacheError;
use learn::retrain::job::{Ended, Job};
use learn::retrain::outcome::{Mode, Outcome};
use learn::retrain::push;
use learn::retrain::training_run::TrainingRunError;
use objects::Objects;
use objects::s3::S3;
use registry::Store;

/// Learn from the labels in force: train a candidate from the active model, compare both, promote what is better.
///
/// One run at a time, whoever starts it; a second one says so and ends with 0. A run that was killed goes on where it was.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay retrain                        take corrections, train, compare; promote if better
  assay retrain --dry-run              the same, but take nothing from the queue and change nothing that serves
  assay retrain --recipe mine.toml     with another recipe than retrain.recipe")]
pub(super) struct Args {
    /// Take no corrections from their queue, register and promote nothing.
    #[arg(long)]
    dry_run: bool,
    /// Instead of retrain.recipe: imaginet, small, retrain, or a TOML file.
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// The report as one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, config: &Config) -> Result<(), End> {
    let ended = Box::pin(work(&args, config)).await;
    let outcome = ended.as_ref().map_or(Outcome::Failed, Ended::outcome);
    if !config.retrain.pushgateway.is_empty() && !args.dry_run {
        push::push(&config.retrain.pushgateway, outcome).await;
    }
    tell(&ended?, args.json)
}

async fn work(args: &Args, config: &Config) -> Result<Ended, End> {
    let recipe = recipe(args.recipe.as_ref().unwrap_or(&config.retrain.recipe))?;
    let shutdown = Shutdown::on_signals(Duration::from_secs(3600)).map_err(End::work)?;
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Promote };
    if mode == Mode::Promote {
        let taken = drain_corrections(config).await?;
        tracing::info!(new = taken.new, known = taken.known, dead = taken.dead, "corrections taken");
    }
    let objects: Arc<dyn Objects> = Arc::new(S3::connect(&config.objects).await);
    let registry = Arc::new(registry::postgres::Postgres::on(&database));
    let job = Job {
        settings: config.retrain.clone(),
        training: config.training.clone(),
        recipe,
        detector: config.detector.clone(),
        decoders: config.decoders(),
        max_object_bytes: config.objects.max_bytes,
        labels: Arc::new(labels::postgres::Postgres::on(&database)),
        leases: registry.clone(),
        runs: registry.clone(),
        registry,
        store: Store::new(&config.registry, objects.clone()),
        objects,
        allowed: config.objects.allowed(),
        vocabulary: config.labels.vocabulary()?,
        holder: format!("{}/{}", super::actor::actor(), std::process::id()),
        self_test,
    };
    Arc::new(job).run(mode, Box::new(Progress::new()), &shutdown.stop).await.map_err(end)
}

/// This program, afresh: it shares nothing with the process that made the model.
fn self_test(folder: &Path) -> Result<String, String> {
    let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let tested = Command::new(program).args(["model", "check"]).arg(folder).output();
    let tested = tested.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if tested.status.success() { Ok(text(&tested.stdout)) } else { Err(text(&tested.stderr)) }
}

fn tell(ended: &Ended, json: bool) -> Result<(), End> {
    match ended {
        Ended::Busy { by, until } => {
            say!("another retrain is at work: {by}, with the lease until {until}; nothing was done");
        }
        Ended::NothingNew(reason) => say!("{reason}"),
        Ended::Decided(report) if json => {
            say!("{}", serde_json::to_string_pretty(report).map_err(End::work)?);
        }
        Ended::Decided(report) => say!("{}", report.text().trim_end()),
    }
    Ok(())
}

fn end(error: RetrainError) -> End {
    match error {
        RetrainError::Registry(error) => error.into(),
        RetrainError::Lease(error) => error.into(),
        RetrainError::Database(error) => error.into(),
        RetrainError::Files(FileCacheError::Objects(error)) => End::unreachable(error),
        RetrainError::Decoder(error) | RetrainError::Training(TrainingRunError::Decoder(error)) => error.into(),
        RetrainError::Load(error) => error.into(),
        error => End::work(error),
    }
}
