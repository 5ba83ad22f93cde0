//! The ledger in PostgreSQL.
//!
//! Every statement is its own transaction.

mod export;
mod insert;
mod lookup;
mod moving;
mod pairing;
mod partitions;
mod remainder;
mod retention;
mod sizes;

pub use moving::Moved;
pub use pairing::Pairing;
pub use remainder::{COLUMNS as VERDICT_COLUMNS, verdict as verdict_of};
pub use sizes::Size;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use super::{Content, Found, Ledger, LedgerError, Recorded};
use crate::maintenance::{Kind, ahead};
use database::{Database, Settings, is_about_a_value, lacks_partition, wants_another_try};
use domain::{ImageRef, ModelRef, Outcome, OutcomeId, SubmissionKey, Verdict};

/// Tries of one `record` while the database asks for another one (deadlock, serialization).
const TRIES: u32 = 4;

pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// Connects, so that a wrong address or password is known at once. Whether the tables are there is
    /// `check`'s answer.
    pub async fn connect(settings: &Settings) -> Result<Postgres, LedgerError> {
        Ok(Postgres { database: Database::connect(settings).await? })
    }

    /// By a pool that others use too.
    pub fn on(database: &Database) -> Postgres {
        Postgres { database: database.clone() }
    }

    /// How far the move of what was recorded before there were partitions has come.
    pub async fn moved(&self) -> Result<Moved, LedgerError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(moving::so_far(&mut connection)).await;
        self.database.conclude(connection, answer).await
    }

    /// Moves some of what was recorded before there were partitions.
    pub async fn move_some(&self) -> Result<Moved, LedgerError> {
        let mut connection = self.database.connection().await?;
        // Without our own limit on time: dropping what was moved may take longer.
        let answer = moving::batch(&mut connection).await;
        self.database.conclude(connection, answer).await
    }

    /// Inserts outcomes with distinct keys, and tells which keys were free. A value that is refused leaves out its own.
    async fn insert(&self, outcomes: &[&Outcome]) -> Result<Inserted, LedgerError> {
        let mut inserted = Inserted::default();
        let mut left = vec![outcomes];
        while let Some(some) = left.pop() {
            let mut tries = 1;
            loop {
                let mut connection = self.database.connection().await?;
                match self.database.in_time(insert::insert(&mut connection, some)).await {
                    Err(error) if tries < TRIES && wants_another_try(&error) => tries += 1,
                    Err(error) if tries < TRIES && lacks_partition(&error) => {
                        drop(connection);
                        self.make_current_partitions().await?;
                        tries += 1;
                    }
                    Err(error) if is_about_a_value(&error) => {
                        match some {
                            [refused] => drop(inserted.refused.insert(refused.key(), words(&error))),
                            _ => left.extend(halves(some)),
                        }
                        break;
                    }
                    answer => {
                        inserted.new.extend(self.database.conclude(connection, answer).await?);
                        break;
                    }
                }
            }
        }
        Ok(inserted)
    }

    /// What stands for keys that are all taken.
    async fn standing(&self, keys: Vec<SubmissionKey>) -> Result<HashMap<SubmissionKey, Recorded>, LedgerError> {
        let found = self.find(&keys).await?;
        let standing = keys.into_iter().zip(found).map(|(key, found)| match found {
            Found { standing: Some(outcome), .. } => Ok((key, Recorded::Standing(Box::new(outcome)))),
            Found { gone: Some(gone), .. } => Ok((key, Recorded::Gone(gone))),
            // It was there a moment ago: its key has been removed since (`[retention]`).
            Found { .. } => {
                let detail = format!("{key:?} was taken in `outcomes`, and was removed meanwhile");
                Err(LedgerError::Hindered { detail, cause: None })
            }
        });
        standing.collect()
    }
}

/// What became of the keys of one insertion.
#[derive(Default)]
struct Inserted {
    new: HashSet<SubmissionKey>,
    /// With the database's words.
    refused: HashMap<SubmissionKey, String>,
}

/// The first half last, so that it is the next one taken from the end.
fn halves<T>(some: &[T]) -> [&[T]; 2] {
    let (first, second) = some.split_at(some.len() / 2);
    [second, first]
}

/// The database's words alone.
fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_string())
}

#[async_trait]
impl Ledger for Postgres {
    async fn find(&self, keys: &[SubmissionKey]) -> Result<Vec<Found>, LedgerError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::with_capacity(keys.len());
        let mut left = vec![keys];
        while let Some(some) = left.pop() {
            let mut connection = self.database.connection().await?;
            match self.database.in_time(lookup::find(&mut connection, some)).await {
                // No row can have such a key.
                Err(error) if is_about_a_value(&error) && some.len() == 1 => found.push(Found::default()),
                Err(error) if is_about_a_value(&error) => left.extend(halves(some)),
                answer => found.extend(self.database.conclude(connection, answer).await?),
            }
        }
        Ok(found)
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<Recorded>, LedgerError> {
        if outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<SubmissionKey> = outcomes.iter().map(Outcome::key).collect();
        // In the order of the keys: two calls at once then wait for each other, but never in a circle.
        let mut firsts: BTreeMap<&SubmissionKey, usize> = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            firsts.entry(key).or_insert(index);
        }
        let rows: Vec<&Outcome> = firsts.values().map(|&index| &outcomes[index]).collect();
        let Inserted { new, refused } = self.insert(&rows).await?;
        // The other keys lost to rows that are committed by now, and that never change.
        let lost = firsts.keys().filter(|&&key| !new.contains(key) && !refused.contains_key(key));
        let standing = self.standing(lost.map(|&key| key.clone()).collect()).await?;
        let answers = keys.iter().enumerate().map(|(index, key)| match (standing.get(key), firsts[key]) {
            (Some(standing), _) => standing.clone(),
            (None, _) if refused.contains_key(key) => Recorded::Refused(refused[key].clone()),
            (None, first) if first == index => Recorded::New,
            (None, first) => Recorded::Standing(Box::new(outcomes[first].clone())),
        });
        Ok(answers.collect())
    }

    async fn scored(
        &self,
        contents: &[Content],
        model: &ModelRef,
        within: Duration,
    ) -> Result<Vec<Option<Verdict>>, LedgerError> {
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        let since = super::since(within);
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(lookup::scored(&mut connection, contents, model, since)).await;
        self.database.conclude(connection, answer).await
    }

    async fn outcome(&self, id: OutcomeId) -> Result<Option<Outcome>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(lookup::outcome(&mut connection, id)).await;
        self.database.conclude(connection, answer).await
    }

    async fn latest(&self, tenant: &str, image: &ImageRef) -> Result<Option<Verdict>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(lookup::latest(&mut connection, tenant, image)).await;
        self.database.conclude(connection, answer).await
    }

    async fn prove(&self) -> Result<(), LedgerError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(lookup::forbidden(&mut connection)).await;
        let forbidden = self.database.conclude(connection, answer).await?;
        match forbidden.first() {
            None => Ok(()),
            Some(table) => {
                Err(LedgerError::Forbidden { detail: format!("permission denied for table {table}"), cause: None })
            }
        }
    }

    async fn partitions_ahead(&self) -> Result<usize, LedgerError> {
        let (now, partitions) = (self.now().await?, self.partitions().await?);
        Ok(Kind::ALL.iter().map(|kind| ahead(&partitions, *kind, now)).min().unwrap_or_default())
    }

    async fn check(&self) -> Result<(), LedgerError> {
        self.database.check().await
    }
}
