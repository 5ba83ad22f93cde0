//! The ledger in PostgreSQL.
//!
//! Every statement is its own transaction.

mod statements;

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::{Content, Found, Ledger, LedgerError, Recorded};
use database::{Database, Settings, wants_another_try};
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

    async fn insert(&self, outcomes: &[&Outcome]) -> Result<HashSet<SubmissionKey>, LedgerError> {
        let mut tries = 1;
        loop {
            let mut connection = self.database.connection().await?;
            match self.database.in_time(statements::insert(&mut connection, outcomes)).await {
                Err(error) if tries < TRIES && wants_another_try(&error) => tries += 1,
                answer => return self.database.conclude(connection, answer),
            }
        }
    }

    /// The outcomes that stand for keys that all have one.
    async fn standing(&self, keys: Vec<SubmissionKey>) -> Result<HashMap<SubmissionKey, Outcome>, LedgerError> {
        let found = self.find(&keys).await?;
        let standing = keys.into_iter().zip(found).map(|(key, found)| match found.standing {
            Some(outcome) => Ok((key, outcome)),
            None => Err(LedgerError::failed(format!(
                "{key:?} is taken in `outcomes`, but has neither a verdict nor a failure"
            ))),
        });
        standing.collect()
    }
}

#[async_trait]
impl Ledger for Postgres {
    async fn find(&self, keys: &[SubmissionKey]) -> Result<Vec<Found>, LedgerError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(statements::find(&mut connection, keys)).await;
        self.database.conclude(connection, answer)
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
        let new = self.insert(&rows).await?;
        // The other keys lost to rows that are committed by now, and that never change.
        let lost = firsts.keys().filter(|&&key| !new.contains(key)).map(|&key| key.clone()).collect();
        let standing = self.standing(lost).await?;
        let answers = keys.iter().enumerate().map(|(index, key)| match (standing.get(key), firsts[key]) {
            (Some(outcome), _) => Recorded::Standing(Box::new(outcome.clone())),
            (None, first) if first == index => Recorded::New,
            (None, first) => Recorded::Standing(Box::new(outcomes[first].clone())),
        });
        Ok(answers.collect())
    }

    async fn scored(&self, contents: &[Content], model: &ModelRef) -> Result<Vec<Option<Verdict>>, LedgerError> {
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(statements::scored(&mut connection, contents, model)).await;
        self.database.conclude(connection, answer)
    }

    async fn outcome(&self, id: OutcomeId) -> Result<Option<Outcome>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(statements::outcome(&mut connection, id)).await;
        self.database.conclude(connection, answer)
    }

    async fn latest(&self, tenant: &str, image: &ImageRef) -> Result<Option<Verdict>, LedgerError> {
        let mut connection = self.database.connection().await?;
        let answer = self.database.in_time(statements::latest(&mut connection, tenant, image)).await;
        self.database.conclude(connection, answer)
    }

    async fn check(&self) -> Result<(), LedgerError> {
        self.database.check().await
    }
}
