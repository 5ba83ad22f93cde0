//! How a run is asked for, watched, and how it ends.

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::course::Watch;
use super::report::Report;

/// What may be changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Register what passes, and promote it.
    Promote,
    /// Everything but that.
    DryRun,
}

/// How a run ended, if it did.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Another job has the lease.
    Busy {
        by: String,
        until: OffsetDateTime,
    },
    NothingNew {
        words: String,
    },
    Decided(Box<Report>),
}

impl Ended {
    /// The word for it in metrics.
    pub fn outcome(&self) -> &str {
        match self {
            Ended::Busy { .. } => "busy",
            Ended::NothingNew { .. } => "nothing_new",
            Ended::Decided(report) => &report.outcome,
        }
    }
}

/// Who is told of a run.
pub trait Told: Watch + Send {
    fn says(&mut self, words: &str);
    fn compared(&mut self, done: u64, all: u64);
    /// The stop that the watcher asks for, or that a lost lease does.
    fn stops_with(&mut self, token: CancellationToken);
}
