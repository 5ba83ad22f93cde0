//! One file for each subcommand: it reads its arguments, calls the library, prints.

mod actor;
mod alone;
mod api;
mod completions;
mod console;
mod dead;
mod doctor;
mod end;
mod enqueue;
mod erase;
mod evaluate;
mod experiment;
mod files;
mod followers;
mod labels;
mod ledger;
mod migrate;
mod model;
mod policy;
mod print;
mod results;
mod retrain;
mod reverdict;
mod review;
mod scan;
mod schema;
mod since;
mod statements;
mod status;
mod table;
mod train;
mod verdict;
mod worker;

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, restart_trimmed};
use crate::telemetry::{self, Exporter};
use engine::wait_policy;

pub use end::End;

/// Tells real images from generated ones and names the generator.
#[derive(Debug, Parser)]
#[command(name = "assay", version, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    /// Settings in TOML, on top of the built-in defaults; ASSAY__SECTION__KEY in the environment wins over both.
    #[arg(long, global = true, value_name = "FILE", env = "ASSAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// The part of the grace period that may go to the last traces.
const FOR_TRACES: f32 = 0.1;

const EXAMPLES: &str = "Examples:
  assay model init --arch resnet50-nodown --out model   make an untrained model
  assay scan holiday/*.jpg                              judge files, no server needed
  assay evaluate --annotations test.txt --root images   measure the detector, with plots
  assay doctor                                          check broker, database, bucket, device, model
  assay worker --config production.toml                 judge what comes on the queue

Exit codes: 0 done, 1 the work failed, 2 usage or configuration, 3 a dependency is unreachable.";

#[derive(Debug, Subcommand)]
enum Command {
    Worker(worker::Args),
    Scan(scan::Args),
    Evaluate(evaluate::Args),
    Experiment(experiment::Args),
    Enqueue(enqueue::Args),
    Erase(erase::Args),
    Results(results::Args),
    Verdict(verdict::Args),
    Api(api::Args),
    Console(console::Args),
    Dead(dead::Args),
    Status(status::Args),
    Labels(labels::Args),
    Ledger(ledger::Args),
    Model(model::Args),
    Policy(policy::Args),
    Train(train::Args),
    Retrain(retrain::Args),
    Reverdict(reverdict::Args),
    Review(review::Args),
    Doctor(doctor::Args),
    Migrate(migrate::Args),
    Schema(schema::Args),
    Statements(statements::Args),
    Completions(completions::Args),
}

impl Command {
    /// Whether the network runs in this process.
    fn computes(&self) -> bool {
        matches!(
            self,
            Command::Worker(_)
                | Command::Scan(_)
                | Command::Evaluate(_)
                | Command::Experiment(_)
                | Command::Doctor(_)
                | Command::Train(_)
                | Command::Retrain(_)
        )
    }

    /// Whether it speaks with no server, so that nobody can listen.
    fn is_local(&self) -> bool {
        matches!(
            self,
            Command::Scan(_)
                | Command::Evaluate(_)
                | Command::Experiment(_)
                | Command::Train(_)
                | Command::Model(_)
                | Command::Schema(_)
                | Command::Completions(_)
        )
    }
}

impl Cli {
    /// The arguments of this process, or the end that clap makes of `--help`, `--version` and mistakes. `version` is what
    /// `--version` prints.
    pub fn of_process(version: &'static str) -> Cli {
        let parsed = Cli::command().version(version).get_matches();
        Cli::from_arg_matches(&parsed).unwrap_or_else(|error| error.exit())
    }

    /// Runs the command to its end.
    pub fn run(self) -> Result<(), End> {
        restart_trimmed();
        if let Command::Doctor(args) = &self.command
            && args.defaults
        {
            // Must work while the configuration does not.
            doctor::print_defaults();
            return Ok(());
        }
        if let Command::Completions(args) = &self.command {
            return completions::run(args, Cli::command());
        }
        if self.command.computes() {
            wait_policy::apply();
        }
        let config = Config::load(self.config.as_deref())?;
        let traces = matches!(self.command, Command::Worker(_)).then_some(&config.traces);
        let exporter = traces.map(Exporter::start).transpose().map_err(End::usage)?.flatten();
        let libraries = matches!(self.command, Command::Worker(_));
        telemetry::start(&config.log, exporter.as_ref(), libraries).map_err(End::usage)?;
        // `doctor` says both among its findings.
        if !self.command.is_local() && !matches!(self.command, Command::Doctor(_)) {
            config.exposures().chain(Config::misnamed_variables()).for_each(|remark| tracing::warn!("{remark}"));
        }
        let end = match self.command {
            Command::Scan(args) => scan::run(&args, &config),
            Command::Evaluate(args) => evaluate::run(&args, &config),
            Command::Experiment(args) => experiment::run(&args, &config, self.config.as_deref()),
            Command::Model(args) => block_on(model::run(&args, &config)),
            Command::Policy(args) => block_on(policy::run(&args, &config)),
            Command::Labels(args) => block_on(labels::run(&args, &config)),
            Command::Ledger(args) => block_on(ledger::run(&args, &config)),
            Command::Schema(args) => schema::run(&args),
            Command::Completions(_) => Ok(()),
            Command::Train(args) => block_on(train::run(args, &config)),
            Command::Retrain(args) => block_on(retrain::run(args, &config)),
            Command::Reverdict(args) => block_on(reverdict::run(&args, &config)),
            Command::Review(args) => block_on(review::run(&args, &config)),
            Command::Worker(args) => block_on(worker::run(&args, &config)),
            Command::Statements(args) => block_on(statements::run(&args, &config)),
            Command::Enqueue(args) => block_on(enqueue::run(&args, &config)),
            Command::Erase(args) => block_on(erase::run(&args, &config)),
            Command::Results(args) => block_on(results::run(&args, &config)),
            Command::Verdict(args) => block_on(verdict::run(&args, &config)),
            Command::Api(args) => block_on(api::run(&args, &config)),
            Command::Console(args) => block_on(console::run(&args, &config)),
            Command::Dead(args) => block_on(dead::run(&args, &config)),
            Command::Status(args) => block_on(status::run(&args, &config)),
            Command::Doctor(args) => block_on(doctor::run(&args, &config)),
            Command::Migrate(args) => block_on(migrate::run(&args, &config)),
        };
        if let Some(exporter) = exporter {
            exporter.finish(config.worker.grace().mul_f32(FOR_TRACES));
        }
        end
    }
}

fn block_on<T>(command: impl Future<Output = Result<T, End>>) -> Result<T, End> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| End::work(format!("threads can't be started: {error}")))?;
    let end = runtime.block_on(command);
    // A thread that is at work on something no longer wanted (a batch, a decode) is not waited for.
    runtime.shutdown_background();
    end
}
