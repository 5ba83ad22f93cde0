//! Reports in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{LastReport, WorkerReport, Workers};
use database::DatabaseError;

#[derive(Default)]
pub struct Memory {
    reports: Mutex<BTreeMap<String, (WorkerReport, Instant)>>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory::default()
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<String, (WorkerReport, Instant)>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Workers for Memory {
    async fn report(&self, report: &WorkerReport) -> Result<(), DatabaseError> {
        self.reports().insert(report.name.clone(), (report.clone(), Instant::now()));
        Ok(())
    }

    async fn leave(&self, name: &str) -> Result<(), DatabaseError> {
        self.reports().remove(name);
        Ok(())
    }

    async fn remove_older(&self, age: Duration) -> Result<u64, DatabaseError> {
        let mut reports = self.reports();
        let before = reports.len();
        reports.retain(|_, (_, at)| at.elapsed() <= age);
        Ok((before - reports.len()) as u64)
    }

    async fn last_reports(&self, within: Duration) -> Result<Vec<LastReport>, DatabaseError> {
        let reports = self.reports();
        let last = reports.values().map(|(report, at)| LastReport { report: report.clone(), age: at.elapsed() });
        Ok(last.filter(|last| last.age <= within).collect())
    }
}
