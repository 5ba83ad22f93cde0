//! `assay console`: the pages that people review verdicts on.

use std::sync::Arc;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use super::End;
use crate::admin;
use crate::config::Config;
use crate::console::{AppealHandler, Condition, Jobs, Outbox};
use crate::inbox;
use crate::shutdown::Shutdown;
use access::{Gate, Mode};
use broker::rabbit::RabbitInboxes;
use broker::{InboxQueue, Inboxes};
use console::Server;
use database::Database;
use decoder::Pool;
use ledger::Ledger;
use objects::Objects;
use objects::s3::S3;
use pictures::Pictures;
use review::Postgres;

/// Serve the pages on which people review verdicts, decide on appeals, and see how often the detector is wrong.
///
/// It collects verdicts to be reviewed (appeals, what a policy sends, the audit sample, uncertain ones), counts votes, and asks the
/// workers for what people decided. It reads images from the object store and shows them only if their digest is the verdict's.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay console --user ann                 a trial: whoever reaches the loopback address is ann, and may do everything
  assay console --config production.toml   people sign in as [access] says

docs/moderators.md is for those who review, docs/operators.md for those who run it.")]
pub(super) struct Args {
    /// For a trial, on loopback alone: everybody is this person.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// In place of console.listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    if args.user.is_none() && !(config.access.oidc.is_there() || config.access.proxy.is_there()) {
        return Err(End::usage(
            "nobody could sign in: set [access.oidc] or [access.proxy] and [[access.roles]], or try it on loopback with `--user NAME`",
        ));
    }
    if config.objects.allowed_buckets.is_empty() {
        return Err(End::usage(
            "objects.allowed_buckets is empty, so no image could be shown: name the buckets to read",
        ));
    }
    let shutdown = Shutdown::on_signals(config.worker.grace()).map_err(End::work)?;
    let settings = config.decoders();
    let decoders = tokio::task::spawn_blocking(move || Pool::open(settings));
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let mode = args.user.clone().map_or(Mode::Configured, |name| Mode::Trial { name });
    let gate = Gate::open(&config.access, &database, mode).await.map_err(End::usage)?;
    let objects: Arc<dyn Objects> = Arc::new(S3::connect(&config.objects).await);
    let decoders = Arc::new(decoders.await.map_err(End::work)??);
    let allowed = config.objects.allowed();
    let pictures = Pictures::new(objects, decoders, allowed, &pictures::Settings::new(config.objects.max_bytes));
    let reviews = Postgres::on(&database, config.review.clone());
    let mut settings = config.console.clone();
    if let Some(listen) = &args.listen {
        settings.listen.clone_from(listen);
    }
    let generators = config.labels.vocabulary()?;
    let generators = generators.generators().map(|generator| generator.label.clone()).collect();
    let server = Server { reviews: reviews.clone(), gate, pictures, generators, settings };
    let (address, serving) = console::bind(server, shutdown.stop.clone()).await.map_err(End::usage)?;
    let beside = Beside::start(config, &database, reviews, &shutdown).await?;
    tracing::info!(%address, "console: http://{address}/");
    let served = tokio::select! {
        served = serving => served.map_err(End::work),
        // A connection that is kept open does not keep the process.
        () = shutdown.abandon.cancelled() => Ok(()),
    };
    shutdown.stop.cancel();
    beside.end(&shutdown.abandon).await;
    served
}

/// What runs beside the server.
struct Beside(Vec<tokio::task::JoinHandle<()>>);

impl Beside {
    async fn start(
        config: &Config,
        database: &Database,
        reviews: Postgres,
        shutdown: &Shutdown,
    ) -> Result<Beside, End> {
        let condition = Condition::new();
        let listen = ("console.admin", config.console.admin.as_str());
        let serving = admin::serve(listen, condition.clone(), shutdown.abandon.clone()).await.map_err(End::usage)?;
        if let Some(address) = serving {
            tracing::info!(%address, "admin port: /livez /readyz /metrics");
        }
        let ledger: Arc<dyn Ledger> = Arc::new(ledger::postgres::Postgres::on(database));
        let outbox = Outbox::new(reviews.clone(), ledger.clone(), config.broker.clone());
        let jobs = Jobs { reviews: reviews.clone(), outbox, condition };
        let appeals = AppealHandler { reviews, ledger, allowed: config.objects.allowed() };
        let inboxes = RabbitInboxes(config.broker.clone());
        let stop = shutdown.stop.clone();
        Ok(Beside(vec![
            tokio::spawn(jobs.run(stop.clone())),
            tokio::spawn(async move { take_appeals(&inboxes, &appeals, &stop).await }),
        ]))
    }

    async fn end(self, abandon: &CancellationToken) {
        for task in self.0 {
            let _ = abandon.run_until_cancelled(task).await;
        }
    }
}

/// Until `stop`. A console that may not goes on without.
async fn take_appeals(inboxes: &dyn Inboxes, appeals: &AppealHandler, stop: &CancellationToken) {
    if let Err(error) = inbox::listen((inboxes, InboxQueue::Appeals), appeals, stop).await {
        tracing::error!(
            %error, "this console takes no appeals from their queue; `assay doctor` makes it, docs/least-rights.md has the rights"
        );
    }
}
