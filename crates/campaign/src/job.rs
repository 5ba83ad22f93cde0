//! Feeding the bulk queue with a campaign, for as long as it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::future::try_join_all;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::postgres::{Campaign, Postgres};
use crate::step::{Situation, Step, step};
use broker::{BrokerError, RequestQueue, Submitter, wire};
use database::DatabaseError;
use domain::Request;
use ledger::workers::{SILENT_AFTER, Workers};

/// Items that are submitted before the situation is looked at again.
const BATCH: u32 = 64;
const PAUSE: Duration = Duration::from_millis(500);
/// Between two tries of a server that is away, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How much a campaign may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most messages in the bulk queue.
    pub window: u32,
    /// How long live uploads may wait.
    pub live_wait: Duration,
}

/// What a campaign needs of the world.
pub struct Job<'a> {
    pub postgres: &'a Postgres,
    pub workers: &'a dyn Workers,
    pub submitter: &'a dyn Submitter,
    pub limits: Limits,
    /// Called at each step: what is known of the campaign, and what it waits for.
    pub progress: &'a (dyn Fn(&Campaign, Option<&str>) + Send + Sync),
    /// Called when a server does not answer, with how long it is waited for before the next try.
    pub trouble: &'a (dyn Fn(&JobError, Duration) + Send + Sync),
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("there is no campaign {0}; `assay reverdict show` lists them")]
    Unknown(Uuid),
}

impl JobError {
    /// Whether it can pass with time.
    fn is_transient(&self) -> bool {
        match self {
            JobError::Database(error) => error.is_transient(),
            // A queue that is not there does not come by itself.
            JobError::Broker(error) => error.is_transient() && !matches!(error, BrokerError::Unroutable { .. }),
            JobError::Unknown(_) => false,
        }
    }
}

impl Job<'_> {
    /// Runs a campaign until it has ended, is paused or has to stop; gives it as it is then. Stopped anywhere, the same call goes on:
    /// what is submitted a second time has its outcome already. What passes with time is waited for.
    pub async fn run(&self, id: Uuid) -> Result<Campaign, JobError> {
        self.postgres.set_state(id, "running", None).await?;
        let pauses = ExponentialBuilder::default().with_max_delay(LONGEST_PAUSE).without_max_times().with_jitter();
        let told = |error: &JobError, pause: Duration| (self.trouble)(error, pause);
        (|| self.feed(id)).retry(pauses).when(JobError::is_transient).notify(told).await
    }

    async fn feed(&self, id: Uuid) -> Result<Campaign, JobError> {
        loop {
            self.postgres.settle(id).await?;
            let campaign = self.campaign(id).await?;
            let next = self.step(&campaign).await?;
            (self.progress)(&campaign, if let Step::Wait(why) = next { Some(why) } else { None });
            match next {
                Step::Submit(room) => self.submit(&campaign, room.min(BATCH)).await?,
                Step::Wait(_) => tokio::time::sleep(PAUSE).await,
                Step::Pause(why) => return self.end(id, "paused", Some(&why)).await,
                Step::Stop(why) => return self.end(id, "stopped", Some(&why)).await,
                Step::Finish => return self.end(id, "finished", None).await,
            }
        }
    }

    async fn step(&self, campaign: &Campaign) -> Result<Step, JobError> {
        let reports = self.workers.last_reports(SILENT_AFTER).await?;
        let at_work: BTreeSet<String> = reports.iter().map(|last| last.report.model_version.clone()).collect();
        let waits = reports.iter().filter_map(|last| last.report.queue_wait_s);
        let longest = waits.max_by(f32::total_cmp).and_then(|wait| Duration::try_from_secs_f32(wait).ok());
        Ok(step(&Situation {
            model: &campaign.model,
            at_work: &at_work.into_iter().collect::<Vec<_>>(),
            is_paused: campaign.state == "paused",
            live_waiting: self.submitter.waiting(RequestQueue::Live).await?,
            bulk_waiting: self.submitter.waiting(RequestQueue::Bulk).await?,
            live_wait: longest,
            left: campaign.left(),
            awaited: campaign.awaited,
            flips: campaign.flips,
            stop_after_flips: campaign.stop_after_flips,
            window: self.limits.window,
            most_live_wait: self.limits.live_wait,
        }))
    }

    async fn submit(&self, campaign: &Campaign, most: u32) -> Result<(), JobError> {
        let items = self.postgres.next(campaign, most).await?;
        let gone: Vec<i64> = items.iter().filter(|item| item.request.is_none()).map(|item| item.place).collect();
        let submit = |request: &Request| {
            let message = wire::request(request, OffsetDateTime::now_utc());
            async move { self.submitter.submit(RequestQueue::Bulk, &message).await }
        };
        try_join_all(items.iter().filter_map(|item| item.request.as_ref()).map(submit)).await?;
        // Where the last ones were erased there is nothing left.
        let place = items.last().map_or(campaign.last_place, |last| last.place);
        Ok(self.postgres.advance(campaign.id, place, &gone).await?)
    }

    async fn campaign(&self, id: Uuid) -> Result<Campaign, JobError> {
        self.postgres.campaign(id).await?.ok_or(JobError::Unknown(id))
    }

    async fn end(&self, id: Uuid, state: &str, why: Option<&str>) -> Result<Campaign, JobError> {
        self.postgres.set_state(id, state, why).await?;
        self.campaign(id).await
    }
}
