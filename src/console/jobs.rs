//! The jobs of a console, again and again until it stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::gauges::Condition;
use super::outbox::Outbox;
use crate::inbox::InboxError;
use database::DatabaseError;
use review::Postgres;

/// Between two looks for votes whose time to be undone is over.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for new verdicts.
const COLLECT_EVERY: Duration = Duration::from_secs(3);
/// Between two looks at what waits for too long, and at the figures.
const SURVEY_EVERY: Duration = Duration::from_secs(30);

/// What is done beside serving.
pub struct Jobs {
    pub reviews: Postgres,
    pub outbox: Outbox,
    pub condition: Arc<Condition>,
}

/// Pages need the database. What is to be sent waits in it for the broker, and is counted (`assay_review_unsent_messages`).
fn keeps_from_serving(error: &InboxError) -> bool {
    matches!(error, InboxError::Database(_))
}

/// When a job was done last.
#[derive(Default)]
struct Last {
    collected: Option<Instant>,
    surveyed: Option<Instant>,
}

impl Jobs {
    /// Does them until `stop`, and then sends what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Last::default();
        let mut told: Option<String> = None;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let failed = self.round(&mut last).await.err();
            self.condition
                .set_trouble(failed.as_ref().filter(|error| keeps_from_serving(error)).map(ToString::to_string));
            let trouble = failed.map(|error| error.to_string());
            if let Some(trouble) = trouble.as_ref().filter(|trouble| told.as_ref() != Some(*trouble)) {
                tracing::warn!(
                    error = trouble,
                    "reviews are not carried on now; what was voted stays, and is counted later"
                );
            }
            if trouble.is_none() && told.is_some() {
                tracing::info!("reviews are carried on again");
            }
            told = trouble;
        }
        self.outbox.close().await;
    }

    async fn round(&mut self, last: &mut Last) -> Result<(), InboxError> {
        let is_due = |last: &Option<Instant>, every| last.is_none_or(|at| at.elapsed() >= every);
        if is_due(&last.collected, COLLECT_EVERY) {
            self.collect().await?;
            last.collected = Some(Instant::now());
        }
        self.condition.counted(self.reviews.count_votes().await?);
        if is_due(&last.surveyed, SURVEY_EVERY) {
            self.reviews.expire().await?;
            self.condition.show(&self.reviews.gauges().await?);
            last.surveyed = Some(Instant::now());
        }
        self.outbox.send().await.map(drop)
    }

    async fn collect(&self) -> Result<(), DatabaseError> {
        let collected = self.reviews.collect().await?;
        if collected.items > 0 {
            tracing::debug!(items = collected.items, verdicts = collected.verdicts, "verdicts wait for people");
        }
        Ok(())
    }
}
