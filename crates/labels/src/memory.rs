//! Labels in memory, for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Count, Heard, Label, Labels, Word, hear, speaker, statement};
use database::DatabaseError;

#[derive(Default)]
pub struct Memory {
    words: Mutex<Vec<Word>>,
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

    fn words(&self) -> Result<MutexGuard<'_, Vec<Word>>, DatabaseError> {
        if *lock(&self.away) {
            return Err(DatabaseError::Unreachable { address: "memory".into(), detail: "connection refused".into() });
        }
        Ok(lock(&self.words))
    }

    fn all_in_force(&self) -> Result<Vec<Word>, DatabaseError> {
        let mut in_force: BTreeMap<String, Word> = BTreeMap::new();
        for word in self.words()?.iter() {
            let weight = |word: &Word| (word.label.source, word.number);
            match in_force.get(&word.label.sha256) {
                Some(before) if weight(before) > weight(word) => {}
                _ => {
                    in_force.insert(word.label.sha256.clone(), word.clone());
                }
            }
        }
        Ok(in_force.into_values().collect())
    }
}

#[async_trait]
impl Labels for Memory {
    async fn say(&self, labels: &[Label]) -> Result<Vec<Heard>, DatabaseError> {
        let mut words = self.words()?;
        let last: HashMap<_, _> = words.iter().map(|word| (speaker(&word.label), statement(&word.label))).collect();
        let heard = hear(last, labels);
        for (label, heard) in labels.iter().zip(&heard) {
            if *heard == Heard::New {
                let number = words.len() as i64 + 1;
                words.push(Word { number, said_at: OffsetDateTime::now_utc(), label: label.clone() });
            }
        }
        Ok(heard)
    }

    async fn in_force(&self, after: &str, most: usize) -> Result<Vec<Word>, DatabaseError> {
        let words = self.all_in_force()?.into_iter();
        Ok(words.filter(|word| word.label.sha256.as_str() > after).take(most).collect())
    }

    async fn history(&self, sha256: &str) -> Result<Vec<Word>, DatabaseError> {
        Ok(self.words()?.iter().filter(|word| word.label.sha256 == sha256).cloned().collect())
    }

    async fn counts(&self) -> Result<Vec<Count>, DatabaseError> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for Word { label, .. } in self.all_in_force()? {
            *counts.entry((label.origin.as_str(), label.content_type, label.generator)).or_default() += 1;
        }
        let count = |((origin, content_type, generator), images)| Count { origin, content_type, generator, images };
        Ok(counts.into_iter().map(count).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
