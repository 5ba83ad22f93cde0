//! `assay worker`: the main job.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::End;
use crate::admin;
use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::worker::{self, Condition, Dependencies, PolicySource, Succession};
use broker::Broker;
use broker::rabbit::{Rabbit, RabbitInboxes};
use database::Database;
use decoder::Pool;
use ledger::postgres::Postgres;
use objects::Objects;
use objects::s3::S3;
use registry::Store;

/// Judge what comes on the queue, until told to stop.
///
/// The first SIGTERM or Ctrl-C finishes what is under way and ends with 0; a second one stops at once.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  ASSAY__OBJECTS__ALLOWED_BUCKETS=uploads assay worker --config production.toml")]
pub(super) struct Args {}

pub(super) async fn run(_args: &Args, config: &Config) -> Result<(), End> {
    let shutdown = Shutdown::on_signals(config.worker.grace()).map_err(End::work)?;
    if config.objects.allowed_buckets.is_empty() {
        return Err(End::usage(
            "objects.allowed_buckets is empty, so every submission would fail: name the buckets to read",
        ));
    }
    let load = |settings: engine::Settings| tokio::task::spawn_blocking(move || engine::open(&settings));
    let early = (!config.detector.is_registry()).then(|| load(config.detector.clone()));
    let settings = config.decoders();
    let decoders = tokio::task::spawn_blocking(move || Pool::open(settings));
    let rabbit = Rabbit::connect(&config.broker).await?;
    let database = Database::connect(&config.database).await?;
    database.check().await?;
    let ledger = Postgres::on(&database);
    let workers = ledger::workers::postgres::Postgres::on(&database);
    let objects: Arc<dyn Objects> = Arc::new(S3::connect(&config.objects).await);
    let (loading, succession) = match early {
        Some(loading) => (loading, None),
        None => {
            let succession = succession(config, &database, objects.clone());
            let (_, folder) = registry::fetch_active(succession.registry.as_ref(), &succession.store).await?;
            (load(config.detector.in_folder(&folder)), Some(succession))
        }
    };
    let policies = PolicySource {
        policies: moderation::Postgres::on(&database),
        announcements: Arc::new(registry::postgres::Postgres::on(&database)),
        poll: Duration::from_secs(config.registry.poll_s),
    };
    let policy = worker::follow(policies, shutdown.stop.clone()).await?;
    let detector = loading.await.map_err(End::work)??;
    let decoders = Arc::new(decoders.await.map_err(End::work)??);
    let card = detector.card();
    tracing::info!(
        model = %card.version, sha256 = %card.sha256, trained = card.trained, labels = %card.labels.id,
        device = detector.device(), "model loaded"
    );
    config.thresholds.check(card.policy.thresholds).map_err(End::usage)?;
    if !card.trained {
        tracing::warn!("the model is untrained: its verdicts say nothing about the images");
    }
    let condition = Condition::new(rabbit.health(), Duration::from_secs(config.worker.stuck_after_s));
    let serving = admin::serve(("admin.listen", &config.admin.listen), condition.clone(), shutdown.abandon.clone())
        .await
        .map_err(End::usage)?;
    if let Some(address) = serving {
        tracing::info!(%address, "admin port: /livez /readyz /metrics");
    }
    let broker = Arc::new(rabbit);
    let (ledger, workers) = (Arc::new(ledger), Arc::new(workers));
    let inboxes = Arc::new(RabbitInboxes(config.broker.clone()));
    let dependencies =
        Dependencies { broker, objects, ledger, workers, decoders, detector, succession, policy, inboxes };
    worker::run(dependencies, config.plan(), condition, shutdown).await?;
    tracing::info!("stopped: everything is settled or back on the queue");
    Ok(())
}

/// Where the registry's promotions are followed from.
fn succession(config: &Config, database: &Database, objects: Arc<dyn Objects>) -> Succession {
    Succession {
        registry: Arc::new(registry::postgres::Postgres::on(database)),
        store: Arc::new(Store::new(&config.registry, objects)),
        detector: config.detector.clone(),
        poll: Duration::from_secs(config.registry.poll_s),
    }
}
