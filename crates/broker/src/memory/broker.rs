//! The worker's broker, and what tests do to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::dead_letters::MemoryDeadLetters;

use super::events::MemoryEvents;
use super::inbox::MemoryInbox;
use super::state::{Counts, Fault, Queue, Ready, Shared, State, Unacknowledged};
use super::submission::MemorySubmitter;
use crate::error::BrokerError;
use crate::inbox::{Inbox, Inboxes};
use crate::parts;
use crate::port::{Broker, Consumer, Health, Publication};
use crate::queue::{InboxQueue, InputQueue, RequestQueue};
use crate::topology::Topology;
use crate::wire::message::Message;
use crate::wire::{self, headers};
use domain::delivery::{Job, Settlement, Ticket};
use domain::{RejectionCode, Request};

/// A cheap handle; clones share the broker.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
    prefetch: usize,
    tenants: Arc<BTreeMap<String, String>>,
}

impl Memory {
    /// At most `prefetch` messages of each queue are unacknowledged at a time.
    pub fn new(prefetch: u16) -> Memory {
        Memory::with_tenants(prefetch, BTreeMap::new())
    }

    pub fn with_tenants(prefetch: u16, tenants: BTreeMap<String, String>) -> Memory {
        let shared = Arc::new(Shared::new(Topology::without_retries("memory")));
        Memory { shared, prefetch: prefetch.max(1).into(), tenants: Arc::new(tenants) }
    }

    pub fn submitter(&self) -> MemorySubmitter {
        MemorySubmitter::new(self.shared.clone())
    }

    pub fn events(&self) -> MemoryEvents {
        MemoryEvents::new(self.shared.clone())
    }

    pub fn inbox(&self, queue: InboxQueue) -> MemoryInbox {
        MemoryInbox::open(self.shared.clone(), queue)
    }

    pub fn dead_letters(&self) -> MemoryDeadLetters {
        MemoryDeadLetters::open(self.shared.clone())
    }

    /// Puts a message on a queue, whatever goes wrong with publications.
    pub fn submit(&self, request_queue: RequestQueue, message: Message) {
        self.put(InputQueue::Requests(request_queue), message);
    }

    /// Puts a message on an input queue, whatever goes wrong with publications.
    pub fn put(&self, queue: InputQueue, message: Message) {
        self.shared.lock().push_back(Queue::Input(queue), message);
        self.shared.notify();
    }

    /// Puts a message among the dead letters as it is.
    pub fn put_dead(&self, message: Message) {
        self.shared.lock().push_back(Queue::Dead, message);
        self.shared.notify();
    }

    /// Every connection is lost: what is unacknowledged goes back, in its order and marked as redelivered.
    pub fn crash(&self) {
        let mut state = self.shared.lock();
        let tags: Vec<_> = state.unacknowledged.keys().copied().collect();
        state.requeue(tags.into_iter());
        state.connection += 1;
        drop(state);
        self.shared.notify();
    }

    /// Deletes a queue with its messages: what is published to it afterwards is unroutable.
    pub fn delete_queue(&self, queue: InputQueue) {
        self.shared.lock().delete(queue);
    }

    /// The next publications go wrong, one for each fault.
    pub fn fail_publications(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.lock().faults.extend(faults);
    }

    /// From now on nothing is delivered, and no error says so: a consumer that looks alive and gets nothing.
    pub fn stall(&self) {
        self.shared.lock().stalled = true;
    }

    pub fn set_health(&self, health: Health) {
        self.shared.health.send_replace(health);
    }

    /// What was published, in order, repetitions included: the routing key and the message.
    pub fn published(&self) -> Vec<(String, Message)> {
        self.shared.lock().published.clone()
    }

    /// Replies that were sent to a `reply_to`: the queue and the message.
    pub fn replies(&self) -> Vec<(String, Message)> {
        self.shared.lock().replies.clone()
    }

    /// Rejections, events and outcomes that are unchanged: the routing key and the message.
    pub fn notices(&self) -> Vec<(String, Message)> {
        self.shared.lock().notices.clone()
    }

    /// The dead letters.
    pub fn dead(&self) -> Vec<Message> {
        self.shared.lock().ready(Queue::Dead).cloned().collect()
    }

    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Messages that are ready in a queue.
    pub fn waiting(&self, request_queue: RequestQueue) -> usize {
        self.ready(InputQueue::Requests(request_queue)).len()
    }

    /// The messages that are ready in a queue.
    pub fn ready(&self, queue: InputQueue) -> Vec<Message> {
        self.shared.lock().ready(Queue::Input(queue)).cloned().collect()
    }

    /// Messages that were delivered and not settled.
    pub fn unacknowledged(&self) -> usize {
        self.shared.lock().unacknowledged.len()
    }

    /// Waits until the queues are empty and everything is settled.
    pub async fn idle(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let request_queues = [RequestQueue::Live, RequestQueue::Bulk];
            if self.unacknowledged() == 0
                && request_queues.into_iter().all(|request_queue| self.waiting(request_queue) == 0)
            {
                return;
            }
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }
}

impl Memory {
    /// Takes the next message of a queue, if the prefetch leaves room.
    fn deliver(&self, request_queue: RequestQueue) -> Option<(Ready, Ticket)> {
        let mut state = self.shared.lock();
        if state.stalled || state.unsettled(request_queue) >= self.prefetch {
            return None;
        }
        let (tag, next) = state.deliver(Queue::Input(InputQueue::Requests(request_queue)))?;
        state.counts.delivered += 1;
        drop(state);
        let (shared, tenants) = (self.shared.clone(), self.tenants.clone());
        let ticket = Ticket::new(move |settlement| settle(&shared, &tenants, request_queue, tag, &settlement));
        Some((next, ticket))
    }

    async fn serve(
        self,
        request_queue: RequestQueue,
        jobs: mpsc::Sender<Job<Request>>,
        stop: CancellationToken,
        unreadable: Arc<AtomicU64>,
    ) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            while !stop.is_cancelled() && !jobs.is_closed() {
                let Some((next, ticket)) = self.deliver(request_queue) else { break };
                self.dispatch(&next, ticket, &jobs, &unreadable).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = jobs.closed() => return,
                told = changed.changed() => if told.is_err() { return },
            }
        }
    }

    async fn dispatch(
        &self,
        next: &Ready,
        ticket: Ticket,
        sender: &mpsc::Sender<Job<Request>>,
        unreadable: &AtomicU64,
    ) {
        let (jobs, refused) = parts::deal(parts::read(&next.message, next.redelivered, &self.tenants), ticket);
        if let Some((reason, ticket)) = refused {
            unreadable.fetch_add(1, Ordering::Relaxed);
            ticket.settle(Settlement::Dead { reason });
        }
        for job in jobs {
            let _ = sender.send(job).await;
        }
    }
}

fn settle(
    shared: &Shared,
    tenants: &BTreeMap<String, String>,
    request_queue: RequestQueue,
    tag: u64,
    settlement: &Settlement,
) {
    let mut state = shared.lock();
    let Some(Unacknowledged { queue, mut message }) = state.unacknowledged.remove(&tag) else {
        state.counts.stale += 1;
        return;
    };
    let rejected = message.clone();
    let attempt = wire::attempt(&message.properties);
    let mut add = |headers: &[(&'static str, String)]| {
        message.properties.headers.extend(headers.iter().map(|(name, value)| (name.to_string(), value.clone())));
    };
    match settlement {
        Settlement::Done => state.counts.done += 1,
        Settlement::Dead { reason } => {
            add(&headers::of_dead_letter(
                reason,
                &shared.topology.request_queue(request_queue),
                OffsetDateTime::now_utc(),
            ));
            state.counts.dead += 1;
            state.push_back(Queue::Dead, message);
            if shared.rejections.admits(Instant::now()) {
                tell(shared, &mut state, tenants, request_queue, &rejected, reason);
            } else {
                shared.rejections_withheld.fetch_add(1, Ordering::Relaxed);
            }
        }
        Settlement::Later { reason } => {
            add(&headers::of_retry(reason, attempt));
            state.counts.later += 1;
            // The retry queues without their delays.
            state.push_back(queue, message);
        }
        Settlement::Released => {
            state.counts.released += 1;
            state.unacknowledged.insert(tag, Unacknowledged { queue, message });
            state.requeue(std::iter::once(tag));
        }
    }
    drop(state);
    shared.notify();
}

/// Tells the sender of a message that lies among the dead letters.
fn tell(
    shared: &Shared,
    state: &mut State,
    tenants: &BTreeMap<String, String>,
    request_queue: RequestQueue,
    rejected: &Message,
    reason: &str,
) {
    let unreadable = wire::read_each(rejected, false, tenants).map_or(true, |reading| !reading.refused.is_empty());
    let code = if unreadable { RejectionCode::Unreadable } else { RejectionCode::Conflict };
    let (queue, now) = (shared.topology.request_queue(request_queue), OffsetDateTime::now_utc());
    let Some(rejection) = wire::rejection(rejected, code, reason, &queue, tenants, now) else { return };
    let answer = wire::rejection_message(&rejection, &rejected.properties);
    state.notices.push((rejection.routing_key(), answer.clone()));
    if let Some(reply_to) = rejected.properties.reply_to.clone().filter(|queue| !shared.topology.owns(queue)) {
        state.replies.push((reply_to, answer));
    }
}

#[async_trait]
impl Inboxes for Memory {
    async fn open(&self, queue: InboxQueue) -> Result<Box<dyn Inbox>, BrokerError> {
        Ok(Box::new(self.inbox(queue)))
    }
}

#[async_trait]
impl Broker for Memory {
    async fn consume(&self, request_queue: RequestQueue) -> Result<Consumer, BrokerError> {
        let (sender, jobs) = mpsc::channel(self.prefetch);
        let (stop, unreadable) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        tokio::spawn(self.clone().serve(request_queue, sender, stop.clone(), unreadable.clone()));
        let (queue, headers_dropped) = (self.shared.topology.request_queue(request_queue), Arc::default());
        let rejections_withheld = self.shared.rejections_withheld.clone();
        Ok(Consumer { jobs, stop, queue, unreadable, headers_dropped, rejections_withheld })
    }

    async fn publish(&self, publication: Publication<'_>) -> Result<(), BrokerError> {
        // As over a network, others get their turn.
        tokio::task::yield_now().await;
        let message = wire::outcome(publication);
        let routing_key = publication.outcome.routing_key();
        let mut state = self.shared.lock();
        let is_unchanged = publication.outcome.is_unchanged();
        state.publish(&self.exchange(), &routing_key, |state| {
            let told = if is_unchanged { &mut state.notices } else { &mut state.published };
            told.push((routing_key.clone(), message));
        })?;
        if let Some(reply_to) = &publication.context.reply_to {
            state.replies.push((reply_to.clone(), wire::reply(publication)));
        }
        Ok(())
    }

    fn exchange(&self) -> String {
        self.shared.topology.verdicts()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    async fn prove(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    fn pause_subscribing(&self) {
        // Its consumers are never lost.
    }

    fn resume_subscribing(&self) {}

    async fn waiting(&self, request_queue: RequestQueue) -> Result<u32, BrokerError> {
        Ok(Memory::waiting(self, request_queue) as u32)
    }

    async fn close(&self) {
        // Settlements are carried out as they are handed in, so there is nothing to wait for.
        self.shared.lock().closed = true;
        self.crash();
    }
}
