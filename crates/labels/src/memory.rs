//! Labels in memory, for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Count, Label, Labels, Recorded, RecordedLabel, author, compare, statement};
use database::DatabaseError;

#[derive(Default)]
pub struct Memory {
    recorded: Mutex<Vec<RecordedLabel>>,
    away: Mutex<bool>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory::default()
    }

    /// From now on every call fails as if the database could not be reached, or no longer.
    pub fn set_away(&self, away: bool) {
        *lock(&self.away) = away;
    }

    fn recorded(&self) -> Result<MutexGuard<'_, Vec<RecordedLabel>>, DatabaseError> {
        if *lock(&self.away) {
            return Err(DatabaseError::Unreachable {
                address: "memory".into(),
                detail: "connection refused".into(),
                cause: None,
            });
        }
        Ok(lock(&self.recorded))
    }

    fn all_in_force(&self) -> Result<Vec<RecordedLabel>, DatabaseError> {
        let mut in_force: BTreeMap<String, RecordedLabel> = BTreeMap::new();
        for recorded in self.recorded()?.iter() {
            let weight = |recorded: &RecordedLabel| (recorded.label.trains, recorded.label.source, recorded.number);
            match in_force.get(&recorded.label.sha256) {
                Some(before) if weight(before) > weight(recorded) => {}
                _ => {
                    in_force.insert(recorded.label.sha256.clone(), recorded.clone());
                }
            }
        }
        Ok(in_force.into_values().collect())
    }
}

#[async_trait]
impl Labels for Memory {
    async fn record(&self, labels: &[Label]) -> Result<Vec<Recorded>, DatabaseError> {
        let mut recorded = self.recorded()?;
        let last: HashMap<_, _> = recorded.iter().map(|one| (author(&one.label), statement(&one.label))).collect();
        let answers = compare(last, labels);
        for (label, answer) in labels.iter().zip(&answers) {
            if *answer == Recorded::New {
                let number = recorded.len() as i64 + 1;
                recorded.push(RecordedLabel { number, said_at: OffsetDateTime::now_utc(), label: label.clone() });
            }
        }
        Ok(answers)
    }

    async fn in_force(&self, after: &str, most: usize) -> Result<Vec<RecordedLabel>, DatabaseError> {
        let in_force = self.all_in_force()?.into_iter();
        Ok(in_force.filter(|recorded| recorded.label.sha256.as_str() > after).take(most).collect())
    }

    async fn history(&self, sha256: &str) -> Result<Vec<RecordedLabel>, DatabaseError> {
        Ok(self.recorded()?.iter().filter(|recorded| recorded.label.sha256 == sha256).cloned().collect())
    }

    async fn counts(&self) -> Result<Vec<Count>, DatabaseError> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for RecordedLabel { label, .. } in self.all_in_force()? {
            *counts.entry((label.origin.as_str(), label.content_type, label.generator)).or_default() += 1;
        }
        let count = |((origin, content_type, generator), images)| Count { origin, content_type, generator, images };
        Ok(counts.into_iter().map(count).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
