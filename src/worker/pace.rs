//! How the ledger is asked: of what comes in a stream, some at a time.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Submissions in one question.
pub(super) const TOGETHER: usize = 64;
/// Planning a statement costs the database as much as answering it for some submissions.
const APART: Duration = Duration::from_millis(5);

/// Keeps statements apart, so that what comes meanwhile gathers. What comes alone never waits.
pub(super) struct Pace(Interval);

impl Pace {
    pub(crate) fn new() -> Pace {
        let mut interval = interval(APART);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Pace(interval)
    }

    /// Until it is time for the next statement.
    pub(crate) async fn wait(&mut self) {
        self.0.tick().await;
    }
}
