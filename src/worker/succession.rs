//! Following the registry: a promoted model takes over between two batches.
//!
//! It is loaded beside the one that serves and warmed up on the inference thread. Whatever goes wrong, the old one serves
//! on, and the same promotion is tried again later, each time after a longer pause.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::condition::Condition;
use super::inference::{Successor, Work};
use domain::Judge;
use engine::Detector;
use registry::{Model, Promotion, Registry, RegistryError, Store};

/// Longest pause between two tries of the same promotion.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Where the model that is to serve is named and kept.
#[derive(Clone)]
pub struct Succession {
    pub registry: Arc<dyn Registry>,
    pub store: Arc<Store>,
    /// How models are loaded; the folder is the promoted one's.
    pub detector: engine::Settings,
    /// Between two looks; an announcement comes at once.
    pub poll: Duration,
}

/// Looks for promotions and has the promoted model take over.
pub(super) struct Follower {
    pub succession: Succession,
    /// Who judges now.
    pub judge: watch::Receiver<Arc<Judge>>,
    /// Weak, so that it does not keep the inference thread from ending.
    pub work: mpsc::WeakSender<Work>,
    pub condition: Arc<Condition>,
    /// Seconds for an image beyond which the last message of the prefetch would wait for too long.
    pub max_seconds_per_image: f64,
}

/// A promotion that could not be followed.
struct Failed {
    number: i64,
    pause: Duration,
    again_at: Instant,
}

impl Follower {
    /// Until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let mut failed: Option<Failed> = None;
        loop {
            match self.succession.registry.active().await {
                Ok(Some(promotion)) => failed = self.consider(&promotion, failed).await,
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the registry can't be asked which model is active"),
            }
            self.succession.registry.wait_for_promotion(self.succession.poll).await;
        }
    }

    /// Follows a promotion unless it is followed already, or failed a moment ago.
    async fn consider(&self, promotion: &Promotion, failed: Option<Failed>) -> Option<Failed> {
        let serving = self.judge.borrow().model.version.clone();
        if promotion.version == serving {
            return None;
        }
        let failed = failed.filter(|failed| failed.number == promotion.number);
        if failed.as_ref().is_some_and(|failed| Instant::now() < failed.again_at) {
            return failed;
        }
        match Box::pin(self.take_over(promotion)).await {
            Ok(()) => {
                tracing::info!(model = %promotion.version, before = %serving, actor = %promotion.actor, "another model serves");
                self.condition.metrics.model_changed("done");
                None
            }
            Err(reason) => {
                let pause = failed.map_or(self.succession.poll, |failed| failed.pause * 2).min(LONGEST_PAUSE);
                tracing::error!(
                    model = %promotion.version, serving = %serving, reason, again_in_s = pause.as_secs(),
                    "the promoted model can't take over: the one before serves on"
                );
                self.condition.metrics.model_changed("failed");
                Some(Failed { number: promotion.number, pause, again_at: Instant::now() + pause })
            }
        }
    }

    async fn take_over(&self, promotion: &Promotion) -> Result<(), String> {
        let Succession { registry, store, detector, .. } = &self.succession;
        let version = promotion.version.clone();
        let model = registry.model(&version).await.map_err(|error| error.to_string())?;
        let model = model.ok_or_else(|| RegistryError::Unknown { version }.to_string())?;
        let folder = store.fetch(&model).await.map_err(|error| error.to_string())?;
        let settings = detector.in_folder(&folder);
        let loading = tokio::task::spawn_blocking(move || engine::open(&settings));
        let loaded = loading.await.map_err(|panic| format!("loading it panicked: {panic}"))?;
        let loaded = loaded.map_err(|error| error.to_string())?;
        check_identity(loaded.as_ref(), &model)?;
        let (reply, replied) = oneshot::channel();
        let successor = Successor { detector: loaded, max_seconds_per_image: self.max_seconds_per_image, reply };
        let gone = "the worker is stopping";
        let work = self.work.upgrade().ok_or(gone)?;
        work.send(Work::Successor(successor)).await.map_err(|_| gone)?;
        drop(work);
        replied.await.map_err(|_| gone)?
    }
}

/// The files may have been changed after they were verified and before they were loaded.
fn check_identity(loaded: &dyn Detector, model: &Model) -> Result<(), String> {
    let (card, entry) = (loaded.card(), &model.entry);
    if (&card.version, &card.sha256) == (&entry.version, &entry.sha256) {
        return Ok(());
    }
    Err(format!("{} holds version {} with sha256 {}", entry.location, card.version, card.sha256))
}
