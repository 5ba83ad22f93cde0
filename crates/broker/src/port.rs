//! The broker as the worker sees it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::error::BrokerError;
use crate::queue::RequestQueue;
use domain::delivery::Job;
use domain::{Context, Outcome, Request};

/// Requests as they come from one queue, or from several that the same kind is spread over.
pub struct Consumer {
    /// Ends when the consumer was stopped and every job that the broker had handed out is in here or settled.
    pub jobs: mpsc::Receiver<Job<Request>>,
    /// Cancel it to stop taking new messages; jobs already handed out remain to be settled.
    pub stop: CancellationToken,
    /// The name of the queue, or what the names of several begin with.
    pub queue: String,
    /// Messages of this queue that could not be read and went to the dead letters, so far.
    pub unreadable: Arc<AtomicU64>,
    /// Headers of this queue's messages that were cut or left out, because they were longer than what is handed on.
    pub headers_dropped: Arc<AtomicU64>,
    /// Rejections of this queue's messages that were not sent, since there were more than `broker.rejections_per_s`.
    pub rejections_withheld: Arc<AtomicU64>,
}

/// Where an outcome goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Publication<'a> {
    pub outcome: &'a Outcome,
    /// What the request asked of the answer: `reply_to`, `correlation_id`, trace context.
    pub context: &'a Context,
}

/// Whether work can flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Connecting,
    Ready,
    /// Connected, but the broker refuses publications for now (memory or disk alarm).
    Blocked(String),
    /// Not connected; the last error.
    Down(String),
}

/// Requests in, outcomes out. Every implementation promises:
/// - a consumed message stays unacknowledged until its ticket is settled, and is delivered again if it never is;
/// - at most `prefetch` messages are unacknowledged at a time;
/// - `Done` acknowledges; `Dead` and `Later` first publish a confirmed copy (the body untouched, the headers too as
///   far as there is room for them, the reason in `x-assay-*` headers) and then acknowledge; `Released` requeues the message as it
///   was, after a pause that grows while nothing else becomes of messages;
/// - after the copy of a `Dead` message is confirmed, whoever sent it is told by a rejection (to the results exchange under
///   `rejected.<tenant>`, and to its `reply_to`): best effort, and no more than `broker.rejections_per_s` for each process;
/// - `publish` returns `Ok` only for a message that the broker has confirmed *and* routed to a queue; what is unchanged
///   ([`Outcome::is_unchanged`]) need not find one;
/// - a lost connection is made again in the background; what was unacknowledged is delivered again as a new job.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Starts taking messages from a queue.
    async fn consume(&self, request_queue: RequestQueue) -> Result<Consumer, BrokerError>;

    /// Publishes an outcome to the results exchange (and to the request's `reply_to`, best effort).
    /// Returns once the broker has confirmed it.
    async fn publish(&self, publication: Publication<'_>) -> Result<(), BrokerError>;

    /// Publishes to the results exchange what nobody gets, to see that an outcome would be taken.
    async fn prove(&self) -> Result<(), BrokerError>;

    /// From now on a consumer that is lost stays lost, so that its messages are not delivered again and again to somebody who
    /// can do nothing with them. Those that are there go on.
    fn pause_subscribing(&self);

    /// Consumers that were lost are made again, now and from now on.
    fn resume_subscribing(&self);

    /// The name of the results exchange.
    fn exchange(&self) -> String;

    fn health(&self) -> watch::Receiver<Health>;

    /// Messages that are ready, delivered to nobody, in the queues that this process takes messages from.
    async fn waiting(&self, request_queue: RequestQueue) -> Result<u32, BrokerError>;

    /// Waits until every settlement handed in so far has been carried out, then closes the connections.
    async fn close(&self);
}
