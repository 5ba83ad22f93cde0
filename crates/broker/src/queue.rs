//! The queues that messages come in by.

/// Which of the two queues a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Uploads that somebody waits for.
    Live,
    /// Backfill: taken only while the live lane leaves room.
    Bulk,
}

impl Lane {
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Live => "live",
            Lane::Bulk => "bulk",
        }
    }
}

/// A queue that others publish to and Assay takes messages from: where a dead letter can have come from, and where it can
/// be replayed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputQueue {
    Requests(Lane),
    Corrections,
}

impl InputQueue {
    pub const ALL: [InputQueue; 3] =
        [InputQueue::Requests(Lane::Live), InputQueue::Requests(Lane::Bulk), InputQueue::Corrections];
}
