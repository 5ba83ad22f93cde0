//! The queues that messages come in by.

/// Which of the two queues a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestQueue {
    /// Uploads that somebody waits for.
    Live,
    /// Backfill: taken only while the live queue leaves room.
    Bulk,
}

impl RequestQueue {
    pub fn as_str(self) -> &'static str {
        match self {
            RequestQueue::Live => "live",
            RequestQueue::Bulk => "bulk",
        }
    }
}

/// One queue of those that requests of a kind are spread over (`broker.shards`); without shards there is number 0 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    pub of: RequestQueue,
    pub number: u16,
}

/// A queue that others publish to and Assay takes messages from: where a dead letter can have come from, and where it can
/// be replayed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputQueue {
    Requests(RequestQueue),
    Inbox(InboxQueue),
}

/// A queue whose messages are taken one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InboxQueue {
    /// What people say images are.
    Corrections,
    /// What people decided of verdicts that they reviewed: a worker makes the next generation of it.
    Decisions,
    /// Objections to verdicts.
    Appeals,
}

impl InboxQueue {
    pub const ALL: [InboxQueue; 3] = [InboxQueue::Corrections, InboxQueue::Decisions, InboxQueue::Appeals];
}

impl InputQueue {
    pub const ALL: [InputQueue; 5] = [
        InputQueue::Requests(RequestQueue::Live),
        InputQueue::Requests(RequestQueue::Bulk),
        InputQueue::Inbox(InboxQueue::Corrections),
        InputQueue::Inbox(InboxQueue::Decisions),
        InputQueue::Inbox(InboxQueue::Appeals),
    ];
}
