//! What the registry's table of training runs says of a run.

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::RetrainError;
use super::outcome::Mode;
use super::plan::{Identity, NothingNew};
use super::report::Report;
use registry::{Lease, Run, RunState, TrainingRuns};

/// Writes down how a run is; a dry run leaves no record.
pub(super) struct RunRecord<'a> {
    pub runs: &'a dyn TrainingRuns,
    pub lease: &'a Lease,
    pub mode: Mode,
    pub identity: &'a Identity,
}

impl RunRecord<'_> {
    pub(super) async fn nothing_new(&self, reason: NothingNew) -> Result<(), RetrainError> {
        let report = json!({"words": reason.to_string()});
        self.write(self.identity.nothing_new(), RunState::NothingNew, None, report).await
    }

    pub(super) async fn running(&self) -> Result<(), RetrainError> {
        self.write(self.identity.id, RunState::Running, None, Value::Null).await
    }

    pub(super) async fn ended(&self, decided: &Result<Report, RetrainError>) -> Result<(), RetrainError> {
        let (candidate, document) = match decided {
            Ok(report) => (Some(report.candidate.clone()), serde_json::to_value(report).map_err(RetrainError::Report)?),
            Err(error) => (None, json!({"words": error.to_string()})),
        };
        self.write(self.identity.id, state(decided), candidate, document).await
    }

    async fn write(
        &self,
        id: Uuid,
        state: RunState,
        candidate: Option<String>,
        report: Value,
    ) -> Result<(), RetrainError> {
        if self.mode == Mode::DryRun {
            return Ok(());
        }
        let snapshot = Some(self.identity.snapshot_sha256.clone());
        Ok(self.runs.record(&Run { id, state, snapshot, candidate, report }, self.lease).await?)
    }
}

fn state(decided: &Result<Report, RetrainError>) -> RunState {
    match decided {
        Ok(report) => report.outcome.run_state(),
        // The next run goes on with it.
        Err(error) if error.is_a_stop() => RunState::Running,
        Err(_) => RunState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_stopped_is_still_running_and_one_that_failed_is_not() {
        assert_eq!(state(&Err(RetrainError::Stopped)), RunState::Running);
        let full = RetrainError::unwritable("report.json".as_ref(), std::io::ErrorKind::StorageFull.into());
        assert_eq!(state(&Err(full)), RunState::Failed);
    }
}
