//! Messages in, outcomes out: the port to the message broker.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a consumed message stays unacknowledged until its ticket is settled, and comes back if it never is;
//! - at most `prefetch` messages are out at a time;
//! - `Done` acknowledges; `Dead` and `Later` first publish a confirmed copy (body and headers untouched,
//!   the reason in `x-assay-*` headers) and then acknowledge; `Released` puts the message back as it was;
//! - `publish` returns `Ok` only for a message that the broker has confirmed *and* routed to a queue;
//! - a lost connection is mended in the background; work that was out comes again as a new job.

pub mod memory;
pub mod rabbit;
pub mod topology;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use domain::delivery::Job;
use domain::request::validate_tenant;
use domain::{Context, Outcome, Request};

/// `[broker]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub url: SecretString,
    /// "" for the system's authorities.
    pub ca_file: String,
    pub topology: TopologyMode,
    pub prefix: String,
    pub prefetch: u16,
    pub bulk_prefetch: u16,
    pub retry_delays_s: Vec<u32>,
    pub delivery_limit: u32,
    pub consumer_timeout_s: u64,
    pub connect_timeout_s: u64,
    pub publish_timeout_s: u64,
    /// Bucket → tenant, for the request forms that name no tenant.
    #[serde(default)]
    pub tenants: BTreeMap<String, String>,
}

/// What is done about queues and exchanges at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopologyMode {
    /// Declare what is missing.
    Declare,
    /// Check that all is there.
    Verify,
    /// Trust that all is there.
    None,
}

impl Settings {
    /// What the types do not hold; the error names the key and the mend.
    pub fn validate(&self) -> Result<(), String> {
        let url = Url::parse(self.url.expose_secret()).map_err(|error| format!("broker.url is no URL: {error}"))?;
        if !matches!(url.scheme(), "amqp" | "amqps") || url.host_str().is_none_or(str::is_empty) {
            return Err(format!(
                "broker.url = {:?} must be amqp://user:password@host/vhost or amqps://…",
                self.address()
            ));
        }
        if self.prefetch == 0 {
            return Err("broker.prefetch = 0 would take any number of messages; name how many".into());
        }
        if self.prefix.is_empty() || self.prefix.len() > 64 {
            return Err("broker.prefix must be 1 to 64 bytes long: it begins every queue name".into());
        }
        for (bucket, tenant) in &self.tenants {
            validate_tenant(tenant).map_err(|error| format!("broker.tenants.{bucket}: {error}"))?;
        }
        tls::check_authorities("broker.ca_file", &self.ca_file)
    }

    /// What crosses the network for anybody to read, with the mend.
    pub fn exposure(&self) -> Option<String> {
        let url = Url::parse(self.url.expose_secret()).ok()?;
        let host = url.host_str()?;
        let plain = url.scheme() == "amqp" && url.password().is_some() && !tls::is_loopback(host);
        plain.then(|| format!("the password in broker.url goes to {host} unencrypted; use amqps://"))
    }

    /// The URL without its password, for people.
    pub fn address(&self) -> String {
        match Url::parse(self.url.expose_secret()) {
            Ok(mut url) => {
                // Fails only for a URL that can't have a password.
                let _ = url.set_password(None);
                url.set_query(None);
                url.set_fragment(None);
                // A password with a slash that isn't written %2f.
                if url.path().contains('@') {
                    url.set_path("");
                }
                url.to_string()
            }
            Err(_) => "broker.url".into(),
        }
    }

    pub(crate) fn prefetch_of(&self, lane: Lane) -> u16 {
        match lane {
            Lane::Live => self.prefetch,
            Lane::Bulk => self.bulk_prefetch,
        }
    }

    /// Tries before transient trouble becomes a failure: the first, and one after each delay.
    pub fn max_attempts(&self) -> u32 {
        self.retry_delays_s.len() as u32 + 1
    }
}

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

/// Requests as they come from one lane.
pub struct Consumer {
    /// Ends when the consumer was stopped and every job that the broker had handed out is in here or settled.
    pub jobs: mpsc::Receiver<Job<Request>>,
    /// Cancel it to stop taking new messages; jobs already handed out remain to be settled.
    pub stop: CancellationToken,
    /// The name of the queue.
    pub queue: String,
    /// Messages of this lane that could not be read and went to the dead letters, so far.
    pub unreadable: Arc<AtomicU64>,
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
    /// Away; the last error.
    Down(String),
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the broker at {address} can't be reached: {detail}; check broker.url and that RabbitMQ runs")]
    Unreachable { address: String, detail: String },
    #[error("the broker refuses the login of {address}: {detail}; check the user, password and vhost in broker.url")]
    Refused { address: String, detail: String },
    #[error("the broker at {address} is not trusted: {detail}")]
    Untrusted { address: String, detail: String },
    #[error("{what} is missing or declared otherwise: {detail}; {mend}")]
    Topology { what: String, detail: String, mend: String },
    #[error("nothing is bound to receive {routing_key:?} on {exchange:?}: bind a queue, or declare the topology again")]
    Unroutable { exchange: String, routing_key: String },
    #[error("the broker did not confirm a publication: {0}")]
    Unconfirmed(String),
    #[error("the broker connection is closed")]
    Closed,
}

impl BrokerError {
    /// Whether waiting can mend it, without anybody changing the configuration.
    pub fn is_transient(&self) -> bool {
        !matches!(self, BrokerError::Refused { .. } | BrokerError::Untrusted { .. } | BrokerError::Topology { .. })
    }
}

/// The message broker as the worker sees it.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Starts taking messages from a lane.
    async fn consume(&self, lane: Lane) -> Result<Consumer, BrokerError>;

    /// Publishes an outcome to the results exchange (and to the request's `reply_to`, best effort).
    /// Returns once the broker has confirmed it.
    async fn publish(&self, publication: Publication<'_>) -> Result<(), BrokerError>;

    /// The name of the results exchange.
    fn exchange(&self) -> String;

    fn health(&self) -> watch::Receiver<Health>;

    /// Messages of a lane that are ready, and out at nobody.
    async fn waiting(&self, lane: Lane) -> Result<u32, BrokerError>;

    /// Waits until every settlement handed in so far has been carried out, then closes the connections.
    async fn close(&self);
}
