//! Whether messages wait that this worker could take and does not.

use std::time::Instant;

/// Compares what the queue looked like from time to time. Pure: it is told what was seen, and when.
#[derive(Debug, Default)]
pub(super) struct Unserved {
    since: Option<Instant>,
    taken: u64,
}

impl Unserved {
    /// `waiting` messages are ready for a worker with nothing to do, which has taken `taken` since it started. `None`:
    /// it is busy, or could not take any.
    pub(crate) fn observe(&mut self, now: Instant, waiting: Option<u32>, taken: u64) {
        let nothing_taken = taken == self.taken;
        self.taken = taken;
        self.since = match waiting {
            Some(1..) if nothing_taken => self.since.or(Some(now)),
            _ => None,
        };
    }

    /// Since when messages are unserved, if they are.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_count_as_unserved_only_while_an_idle_worker_takes_none() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut unserved = Unserved::default();
        unserved.observe(at(0), Some(9), 5);
        assert_eq!(unserved.since(), None, "it took five since the last look");
        unserved.observe(at(1), Some(9), 5);
        unserved.observe(at(2), Some(12), 5);
        assert_eq!(unserved.since(), Some(at(1)));
        unserved.observe(at(3), Some(12), 6);
        assert_eq!(unserved.since(), None, "it took one");
        unserved.observe(at(4), Some(12), 6);
        unserved.observe(at(5), Some(0), 6);
        assert_eq!(unserved.since(), None, "nothing waits");
        unserved.observe(at(6), Some(3), 6);
        unserved.observe(at(7), None, 6);
        assert_eq!(unserved.since(), None, "it is busy, or could take none");
    }
}
