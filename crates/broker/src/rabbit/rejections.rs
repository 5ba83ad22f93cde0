//! Telling senders of messages that were not taken.
//!
//! It comes after the dead letter's copy is confirmed and before the message is acknowledged, so it can lose nothing: an
//! answer that fails is given up, and a crash before the acknowledgement brings the message again. No more messages wait for
//! their answer than are unacknowledged, and no more answers go out than `broker.rejections_per_s`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lapin::BasicProperties;
use time::OffsetDateTime;

use super::amqp;
use super::publish::{Publisher, Route};
use crate::queue::Shard;
use crate::rate::RateLimit;
use crate::settings::Settings;
use crate::topology::Topology;
use crate::wire::{self, Message};
use domain::RejectionCode;

/// A message that lies among the dead letters.
pub(super) struct Rejected<'a> {
    pub shard: Shard,
    pub body: &'a [u8],
    pub properties: &'a BasicProperties,
    /// Whether it, or a part of it, can't be read.
    pub unreadable: bool,
    /// Counts the answers for which there was no room.
    pub withheld: &'a AtomicU64,
}

pub(super) struct Rejections {
    topology: Arc<Topology>,
    publisher: Arc<Publisher>,
    tenants: BTreeMap<String, String>,
    limit: RateLimit,
}

impl Rejections {
    pub(super) fn new(settings: &Settings, topology: Arc<Topology>, publisher: Arc<Publisher>) -> Rejections {
        let limit = RateLimit::new(settings.rejections_per_s);
        Rejections { topology, publisher, tenants: settings.tenants.clone(), limit }
    }

    /// Tells the sender why a message lies among the dead letters, if there is room for another answer.
    pub(super) async fn tell(&self, rejected: Rejected<'_>, reason: &str) {
        if !self.limit.admits(Instant::now()) {
            rejected.withheld.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let code = if rejected.unreadable { RejectionCode::Unreadable } else { RejectionCode::Conflict };
        let queue = self.topology.queue(rejected.shard);
        let message = amqp::message(rejected.body.to_vec(), rejected.properties);
        let now = OffsetDateTime::now_utc();
        let Some(rejection) = wire::rejection(&message, code, reason, &queue, &self.tenants, now) else { return };
        let answer = wire::rejection_message(&rejection, &message.properties);
        let (exchange, routing_key) = (self.topology.verdicts(), rejection.routing_key());
        self.send(Route::OptionalTopic { exchange: &exchange, routing_key: &routing_key }, &answer).await;
        if let Some(reply_to) = message.properties.reply_to.filter(|queue| !self.topology.owns(queue)) {
            self.send(Route::OptionalQueue(&reply_to), &answer).await;
        }
    }

    async fn send(&self, route: Route<'_>, answer: &Message) {
        let properties = amqp::properties(&answer.properties);
        if let Err(error) = self.publisher.publish(route, &answer.body, properties).await {
            tracing::debug!(%error, ?route, "a rejection could not be sent");
        }
    }
}
