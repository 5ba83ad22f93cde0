//! A broker in memory that keeps the same promises, for tests: it can lose its consumers, refuse publications,
//! confirm them too late, and it counts what became of every message.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::wire::{self, Message};
use super::{Broker, BrokerError, Consumer, Health, Lane, Publication};
use domain::Request;
use domain::delivery::{Job, Settlement, Ticket};

/// How a publication goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives.
    Lost,
    /// It arrives, and the publisher does not hear of it.
    Unheard,
    /// No queue takes it.
    Unroutable,
}

/// What became of the tickets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed out, each time anew.
    pub delivered: usize,
    pub done: usize,
    pub dead: usize,
    pub later: usize,
    pub released: usize,
    /// Settled after a crash had taken the message back: nothing came of it.
    pub stale: usize,
}

impl Counts {
    /// Settlements of all kinds. Equal to `delivered` when every ticket was settled exactly once.
    pub fn settled(&self) -> usize {
        self.done + self.dead + self.later + self.released + self.stale
    }
}

/// A cheap handle; clones share the broker.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    prefetch: usize,
    tenants: BTreeMap<String, String>,
    state: Mutex<State>,
    health: watch::Sender<Health>,
    /// Counts changes, for those who wait for one.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<Lane, VecDeque<Waiting>>,
    out: BTreeMap<u64, Out>,
    next: u64,
    dead: Vec<Message>,
    published: Vec<(String, Message)>,
    replies: Vec<(String, Message)>,
    faults: VecDeque<Fault>,
    counts: Counts,
    closed: bool,
    deaf: bool,
}

#[derive(Clone)]
struct Waiting {
    message: Message,
    redelivered: bool,
}

struct Out {
    lane: Lane,
    message: Message,
    attempt: u32,
}

impl Memory {
    /// At most `prefetch` messages of each lane are out at a time.
    pub fn new(prefetch: u16) -> Memory {
        Memory::with_tenants(prefetch, BTreeMap::new())
    }

    pub fn with_tenants(prefetch: u16, tenants: BTreeMap<String, String>) -> Memory {
        let shared = Shared {
            prefetch: prefetch.max(1).into(),
            tenants,
            state: Mutex::default(),
            health: watch::Sender::new(Health::Ready),
            changed: watch::Sender::new(0),
        };
        Memory { shared: Arc::new(shared) }
    }

    /// Puts a message on a lane.
    pub fn submit(&self, lane: Lane, message: Message) {
        let waiting = Waiting { message, redelivered: false };
        self.shared.lock().waiting.entry(lane).or_default().push_back(waiting);
        self.shared.tell();
    }

    /// Every consumer loses its connection: what is out goes back, in its order and marked as redelivered.
    pub fn crash(&self) {
        let mut state = self.shared.lock();
        for out in std::mem::take(&mut state.out).into_values().rev() {
            let waiting = Waiting { message: out.message, redelivered: true };
            state.waiting.entry(out.lane).or_default().push_front(waiting);
        }
        drop(state);
        self.shared.tell();
    }

    /// The next publications go wrong, one for each fault.
    pub fn fail_publications(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.lock().faults.extend(faults);
    }

    /// From now on nothing is handed out, and nobody is told: a consumer that looks alive and takes nothing.
    pub fn go_deaf(&self) {
        self.shared.lock().deaf = true;
    }

    pub fn set_health(&self, health: Health) {
        self.shared.health.send_replace(health);
    }

    /// What was published, in order, repetitions included: the routing key and the message.
    pub fn published(&self) -> Vec<(String, Message)> {
        self.shared.lock().published.clone()
    }

    /// Answers that were sent to a `reply_to`: the queue and the message.
    pub fn replies(&self) -> Vec<(String, Message)> {
        self.shared.lock().replies.clone()
    }

    pub fn dead(&self) -> Vec<Message> {
        self.shared.lock().dead.clone()
    }

    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Messages that wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.shared.lock().waiting.get(&lane).map_or(0, VecDeque::len)
    }

    /// Messages that are out.
    pub fn out(&self) -> usize {
        self.shared.lock().out.len()
    }

    /// Waits until nothing waits and nothing is out.
    pub async fn idle(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            {
                let state = self.shared.lock();
                if state.out.is_empty() && state.waiting.values().all(VecDeque::is_empty) {
                    return;
                }
            }
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Takes the next message of a lane, if the prefetch leaves room.
    fn deliver(self: &Arc<Self>, lane: Lane) -> Option<(Waiting, Ticket)> {
        let mut state = self.lock();
        if state.deaf || state.out.values().filter(|out| out.lane == lane).count() >= self.prefetch {
            return None;
        }
        let next = state.waiting.get_mut(&lane)?.pop_front()?;
        let tag = state.next;
        state.next += 1;
        state.counts.delivered += 1;
        let attempt = wire::attempt(&next.message.properties);
        state.out.insert(tag, Out { lane, message: next.message.clone(), attempt });
        drop(state);
        let shared = self.clone();
        let ticket = Ticket::new(move |settlement| shared.settle(tag, &settlement));
        Some((next, ticket))
    }

    fn settle(&self, tag: u64, settlement: &Settlement) {
        let mut state = self.lock();
        let Some(Out { lane, mut message, attempt }) = state.out.remove(&tag) else {
            state.counts.stale += 1;
            return;
        };
        let mut mark = |marks: &[(&'static str, String)]| {
            message.properties.headers.extend(marks.iter().map(|(name, value)| (name.to_string(), value.clone())));
        };
        match settlement {
            Settlement::Done => state.counts.done += 1,
            Settlement::Dead { reason } => {
                mark(&wire::marks_of_death(reason, &format!("{lane:?}").to_lowercase(), OffsetDateTime::now_utc()));
                state.counts.dead += 1;
                state.dead.push(message);
            }
            Settlement::Later { reason } => {
                mark(&wire::marks_of_delay(reason, attempt));
                state.counts.later += 1;
                // The ladder without its delays.
                state.waiting.entry(lane).or_default().push_back(Waiting { message, redelivered: false });
            }
            Settlement::Released => {
                state.counts.released += 1;
                state.waiting.entry(lane).or_default().push_front(Waiting { message, redelivered: true });
            }
        }
        drop(state);
        self.tell();
    }

    async fn serve(
        self: Arc<Self>,
        lane: Lane,
        jobs: mpsc::Sender<Job<Request>>,
        stop: CancellationToken,
        unreadable: Arc<AtomicU64>,
    ) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            while !stop.is_cancelled() && !jobs.is_closed() {
                let Some((next, ticket)) = self.deliver(lane) else { break };
                self.hand_on(&next, ticket, &jobs, &unreadable).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = jobs.closed() => return,
                told = changed.changed() => if told.is_err() { return },
            }
        }
    }

    async fn hand_on(&self, next: &Waiting, ticket: Ticket, jobs: &mpsc::Sender<Job<Request>>, unreadable: &AtomicU64) {
        match wire::read(&next.message, next.redelivered, &self.tenants) {
            Ok(requests) => {
                let tickets = ticket.split(requests.len());
                for (request, ticket) in requests.into_iter().zip(tickets) {
                    let _ = jobs.send(Job { request, ticket }).await;
                }
            }
            Err(error) => {
                unreadable.fetch_add(1, Ordering::Relaxed);
                ticket.settle(Settlement::Dead { reason: error.to_string() });
            }
        }
    }
}

#[async_trait]
impl Broker for Memory {
    async fn consume(&self, lane: Lane) -> Result<Consumer, BrokerError> {
        let (sender, jobs) = mpsc::channel(self.shared.prefetch);
        let (stop, unreadable) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        tokio::spawn(self.shared.clone().serve(lane, sender, stop.clone(), unreadable.clone()));
        Ok(Consumer { jobs, stop, queue: lane.as_str().into(), unreadable })
    }

    async fn publish(&self, publication: Publication<'_>) -> Result<(), BrokerError> {
        // As over a network, others get their turn.
        tokio::task::yield_now().await;
        let message = wire::outcome(publication);
        let routing_key = publication.outcome.routing_key();
        let mut state = self.shared.lock();
        if state.closed {
            return Err(BrokerError::Closed);
        }
        match state.faults.pop_front() {
            None => {
                if let Some(reply_to) = &publication.context.reply_to {
                    state.replies.push((reply_to.clone(), wire::answer(publication)));
                }
                state.published.push((routing_key, message));
                Ok(())
            }
            Some(Fault::Unheard) => {
                state.published.push((routing_key, message));
                Err(BrokerError::Unconfirmed("the confirmation was lost".into()))
            }
            Some(Fault::Lost) => Err(BrokerError::Unconfirmed("the connection was lost".into())),
            Some(Fault::Unroutable) => Err(BrokerError::Unroutable { exchange: "verdicts".into(), routing_key }),
        }
    }

    fn exchange(&self) -> String {
        "verdicts".into()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    async fn waiting(&self, lane: Lane) -> Result<u32, BrokerError> {
        Ok(Memory::waiting(self, lane) as u32)
    }

    async fn close(&self) {
        // Settlements are carried out as they are handed in, so there is nothing to wait for.
        self.shared.lock().closed = true;
        self.crash();
    }
}
