//! The queues, and what is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::{BrokerError, Unconfirmed};
use crate::port::Health;
use crate::queue::{InputQueue, RequestQueue};
use crate::rate::RateLimit;
use crate::topology::Topology;
use crate::wire::message::Message;

/// As by default.
const REJECTIONS_PER_S: u32 = 50;

/// How a publication goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives.
    Lost,
    /// It arrives, and its confirmation doesn't.
    Unconfirmed,
    /// No queue takes it.
    Unroutable,
}

/// What became of the tickets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries to consumers, each time anew.
    pub delivered: usize,
    pub done: usize,
    pub dead: usize,
    pub later: usize,
    pub released: usize,
    /// Settled after a crash had requeued the message: without effect.
    pub stale: usize,
}

impl Counts {
    /// Settlements of all kinds. Equal to `delivered` when every ticket was settled exactly once.
    pub fn settled(&self) -> usize {
        self.done + self.dead + self.later + self.released + self.stale
    }
}

/// What the handles of one broker share.
pub(super) struct Shared {
    /// For the names.
    pub topology: Topology,
    pub state: Mutex<State>,
    pub health: watch::Sender<Health>,
    pub rejections: RateLimit,
    pub rejections_withheld: Arc<AtomicU64>,
    /// Counts changes, for those who wait for one.
    pub changed: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queue {
    Input(InputQueue),
    Dead,
}

#[derive(Default)]
pub(super) struct State {
    ready: BTreeMap<Queue, VecDeque<Ready>>,
    /// By tag, which grows with each delivery.
    pub unacknowledged: BTreeMap<u64, Unacknowledged>,
    next_tag: u64,
    /// Queues that were deleted.
    pub deleted: BTreeSet<InputQueue>,
    pub published: Vec<(String, Message)>,
    pub replies: Vec<(String, Message)>,
    /// Rejections, events and outcomes that are unchanged: the routing key and the message.
    pub notices: Vec<(String, Message)>,
    pub faults: VecDeque<Fault>,
    pub counts: Counts,
    pub closed: bool,
    /// Nothing is delivered from the queues.
    pub stalled: bool,
    /// The number of connections lost so far: a handle that belongs to an earlier one is closed.
    pub connection: u64,
}

#[derive(Clone)]
pub(super) struct Ready {
    pub message: Message,
    pub redelivered: bool,
}

pub(super) struct Unacknowledged {
    pub queue: Queue,
    pub message: Message,
}

impl Shared {
    pub(super) fn new(topology: Topology) -> Shared {
        Shared {
            topology,
            state: Mutex::default(),
            health: watch::Sender::new(Health::Ready),
            rejections: RateLimit::new(REJECTIONS_PER_S),
            rejections_withheld: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state for a handle that was opened when `connection` connections had been lost.
    pub(super) fn lock_for(&self, connection: u64) -> Result<MutexGuard<'_, State>, BrokerError> {
        let state = self.lock();
        if state.closed || state.connection != connection { Err(BrokerError::Closed) } else { Ok(state) }
    }

    pub(super) fn notify(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Publishes to an input queue.
    pub(super) fn publish(&self, queue: InputQueue, message: Message) -> Result<(), BrokerError> {
        let name = self.topology.input(queue, &message.body);
        let mut state = self.lock();
        let published = if state.deleted.contains(&queue) {
            Err(BrokerError::Unroutable { exchange: String::new(), routing_key: name })
        } else {
            state.publish("", &name, |state| state.push_back(Queue::Input(queue), message))
        };
        drop(state);
        self.notify();
        published
    }
}

impl State {
    /// One publication: it arrives unless a fault says otherwise.
    pub(super) fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        arrive: impl FnOnce(&mut State),
    ) -> Result<(), BrokerError> {
        if self.closed {
            return Err(BrokerError::Closed);
        }
        let unconfirmed = |cause: &str| BrokerError::Unconfirmed(Unconfirmed::Interrupted(cause.into()));
        match self.faults.pop_front() {
            None => {
                arrive(self);
                Ok(())
            }
            Some(Fault::Unconfirmed) => {
                arrive(self);
                Err(unconfirmed("the confirmation was lost"))
            }
            Some(Fault::Lost) => Err(unconfirmed("the connection was lost")),
            Some(Fault::Unroutable) => {
                Err(BrokerError::Unroutable { exchange: exchange.into(), routing_key: routing_key.into() })
            }
        }
    }

    pub(super) fn push_back(&mut self, queue: Queue, message: Message) {
        self.ready.entry(queue).or_default().push_back(Ready { message, redelivered: false });
    }

    /// The next message of a queue, unacknowledged under the tag from now on.
    pub(super) fn deliver(&mut self, queue: Queue) -> Option<(u64, Ready)> {
        let next = self.ready.get_mut(&queue)?.pop_front()?;
        let tag = self.next_tag;
        self.next_tag += 1;
        self.unacknowledged.insert(tag, Unacknowledged { queue, message: next.message.clone() });
        Some((tag, next))
    }

    /// Puts messages back in their order, marked as redelivered.
    pub(super) fn requeue(&mut self, tags: impl DoubleEndedIterator<Item = u64>) {
        for tag in tags.rev() {
            let Some(Unacknowledged { queue, message }) = self.unacknowledged.remove(&tag) else { continue };
            // The messages of a deleted queue are deleted.
            if !matches!(queue, Queue::Input(input) if self.deleted.contains(&input)) {
                self.ready.entry(queue).or_default().push_front(Ready { message, redelivered: true });
            }
        }
    }

    pub(super) fn delete(&mut self, queue: InputQueue) {
        self.deleted.insert(queue);
        self.ready.remove(&Queue::Input(queue));
    }

    pub(super) fn ready(&self, queue: Queue) -> impl ExactSizeIterator<Item = &Message> {
        static NONE: VecDeque<Ready> = VecDeque::new();
        self.ready.get(&queue).unwrap_or(&NONE).iter().map(|ready| &ready.message)
    }

    /// Messages of a queue that were delivered and are not settled.
    pub(super) fn unsettled(&self, request_queue: RequestQueue) -> usize {
        let queue = Queue::Input(InputQueue::Requests(request_queue));
        self.unacknowledged.values().filter(|message| message.queue == queue).count()
    }
}
