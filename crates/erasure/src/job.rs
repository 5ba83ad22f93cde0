//! An erasure from its beginning to its receipt.

use std::collections::BTreeSet;
use std::io;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::postgres::{Postgres, Scan};
use crate::receipt::{Counts, Receipt};
use crate::selection::Selection;
use broker::{BrokerError, Event, Events};
use database::DatabaseError;

/// Times that all of it is looked through; with the second one it is found that nothing is left.
const PASSES: u32 = 5;

/// Copies of images that this machine keeps.
pub trait Files: Send + Sync {
    /// Deletes those of these images (sha256, lower-case hexadecimal); gives how many there were.
    fn delete(&self, contents: &[String]) -> io::Result<u64>;
}

/// Which registered models have learnt from an image, by its sha256.
pub type LearntBy<'a> = &'a (dyn Fn(&str) -> Vec<String> + Send + Sync);

/// What an erasure needs of the world.
pub struct Job<'a> {
    pub postgres: &'a Postgres,
    pub events: &'a dyn Events,
    pub files: &'a dyn Files,
    pub learnt_by: LearntBy<'a>,
    /// Of the broker's queues, for the receipt.
    pub prefix: &'a str,
    /// Called after each batch: submissions so far, and up to when the ledger has been looked through.
    pub progress: &'a (dyn Fn(u64, Option<OffsetDateTime>) + Send + Sync),
}

#[derive(Debug)]
pub enum Ended {
    /// There is nothing of it.
    Nothing,
    /// It was erased before.
    Before {
        erased_at: OffsetDateTime,
    },
    Erased(Box<Receipt>),
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("a cached image can't be deleted: {0}; mend that and give the same command again")]
    Files(#[from] io::Error),
    #[error(
        "after {PASSES} passes there is still more of it: somebody goes on sending it; stop that and give the same command again, and it \
         goes on"
    )]
    StillComing,
    #[error(
        "what was recorded before the ledger had partitions is not moved yet, and may hold what is to be erased: run `assay migrate` \
         first"
    )]
    Moving,
}

impl Job<'_> {
    /// Erases what was selected. Stopped anywhere, the same call goes on.
    pub async fn run(&self, selection: &Selection, actor: &str) -> Result<Ended, JobError> {
        if self.postgres.is_moving().await? {
            return Err(JobError::Moving);
        }
        let mut begun = self.postgres.unfinished(selection).await?;
        let mut so_far = 0;
        // Until all of it has been looked through once more and nothing was there.
        for pass in 1.. {
            let before = so_far;
            if pass > PASSES {
                return Err(JobError::StillComing);
            }
            let mut scan = Scan::begin(self.postgres, selection).await?;
            loop {
                let submissions = scan.next().await?;
                if submissions.is_empty() {
                    break;
                }
                let id = match begun {
                    Some(id) => id,
                    None => *begun.insert(self.postgres.begin(selection, actor).await?),
                };
                self.erase(id, selection, &submissions).await?;
                so_far += submissions.len() as u64;
                (self.progress)(so_far, scan.until());
            }
            if so_far == before {
                break;
            }
        }
        match begun {
            Some(id) => {
                let receipt = self.postgres.finish(id, selection.what.by(), self.prefix).await?;
                Ok(Ended::Erased(Box::new(receipt)))
            }
            None => Ok(match self.postgres.marked(selection).await? {
                Some(erased_at) => Ended::Before { erased_at },
                None => Ended::Nothing,
            }),
        }
    }

    /// What `run` would delete, and how many labels it would keep.
    pub async fn plan(&self, selection: &Selection) -> Result<(Counts, u64), JobError> {
        if self.postgres.is_moving().await? {
            return Err(JobError::Moving);
        }
        let (mut all, mut labels_kept) = (Counts::default(), 0);
        let mut scan = Scan::begin(self.postgres, selection).await?;
        loop {
            let submissions = scan.next().await?;
            if submissions.is_empty() {
                return Ok((all, labels_kept));
            }
            let held = self.postgres.holdings(selection, &submissions).await?;
            let (counts, kept) = self.postgres.count(&held).await?;
            all.submissions += counts.submissions;
            all.verdicts += counts.verdicts;
            all.failures += counts.failures;
            all.labels += counts.labels;
            labels_kept += kept;
            (self.progress)(all.submissions, scan.until());
        }
    }

    async fn erase(&self, id: Uuid, selection: &Selection, submissions: &[String]) -> Result<(), JobError> {
        let tenant = selection.tenant.as_str();
        self.postgres.mark(id, tenant, submissions).await?;
        let held = self.postgres.holdings(selection, submissions).await?;
        // Before the rows go: after them nobody could say any more what is gone.
        if !held.submissions.is_empty() {
            self.events.publish(&Event::Erased(held.event(id, tenant, OffsetDateTime::now_utc()))).await?;
        }
        let models: BTreeSet<String> = held.contents().flat_map(self.learnt_by).collect();
        let files = self.files.delete(&held.own_contents)?;
        self.postgres.delete(id, tenant, &held, files, &models).await?;
        Ok(())
    }
}
