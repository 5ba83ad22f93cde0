//! While the database or the object store is away: asks it again until it answers, since nothing else does then.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use super::condition::Condition;
use super::edges::Edges;
use super::guard::guarded;
use super::store_health::StoreHealth;
use broker::Broker;
use ledger::Ledger;

pub(super) struct Recovery {
    pub broker: Arc<dyn Broker>,
    pub ledger: Arc<dyn Ledger>,
    pub store: Arc<StoreHealth>,
    pub condition: Arc<Condition>,
}

impl Recovery {
    /// Until `end`. Meanwhile the broker hands out nothing anew that it had to take away.
    pub(crate) async fn run(self, end: CancellationToken) {
        let mut edges = self.condition.edges();
        loop {
            let troubled = edges.wait_for(|edges| !edges.is_well());
            let Some(Ok(trouble)) = end.run_until_cancelled(troubled).await.map(|seen| seen.map(|seen| seen.clone()))
            else {
                return;
            };
            tracing::warn!(reason = trouble.trouble(), "taking no more work until this is over");
            self.broker.pause_subscribing();
            if end.run_until_cancelled(self.ask_until_well()).await.is_none() {
                return;
            }
            self.broker.resume_subscribing();
            tracing::info!("the database and the object store answer: taking work again");
        }
    }

    async fn ask_until_well(&self) {
        for pause in pauses() {
            tokio::time::sleep(pause).await;
            let edges = self.condition.edges().borrow().clone();
            let Edges { database, store } = &edges;
            if edges.is_well() {
                return;
            }
            // A panic is no answer either.
            if database.is_some()
                && let Ok(answer) = guarded(self.ledger.prove()).await
            {
                match answer {
                    Ok(()) => self.condition.set_ledger_error(None),
                    Err(error) => {
                        self.condition.record_ledger_failure(&error);
                    }
                }
            }
            if store.is_some()
                && let Ok(Ok(())) = guarded(self.store.ask()).await
            {
                self.condition.set_store_error(None);
            }
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build()
}
