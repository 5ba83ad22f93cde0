//! One connection to RabbitMQ, made again whenever it is lost, until it is closed.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ErrorKind, Event};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::health::{Component, ConnectionHealth};
use super::secure;
use crate::error::{BrokerError, Cause};
use crate::port::Health;
use crate::settings::Settings;

/// Seconds between heartbeats unless the URL says otherwise (`?heartbeat=`): a cut cable is noticed in twice that.
const HEARTBEAT_S: u16 = 10;
/// How often a connection is checked, beside the events that it reports itself.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to connect, before jitter, which may double it.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How long the broker may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Reply codes of AMQP that mean the login, not the network.
const LOGIN_REFUSED: [u16; 2] = [403, 530];

/// Where the broker is and how to log in.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: AMQPUri,
    /// Without the password.
    shown: String,
    /// What may be wrong with the vhost.
    about_vhost: Option<&'static str>,
    ca_file: String,
    timeout: Duration,
}

impl Endpoint {
    pub(super) fn of(settings: &Settings) -> Result<Endpoint, BrokerError> {
        let url = settings.url.expose_secret();
        let shown = settings.address();
        let mut uri: AMQPUri = url
            .parse()
            .map_err(|error: String| BrokerError::Unreachable { address: shown.clone(), source: error.into() })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Endpoint {
            uri,
            shown,
            about_vhost: settings.about_vhost(),
            ca_file: settings.ca_file.clone(),
            timeout: Duration::from_secs(settings.connect_timeout_s),
        })
    }

    pub(super) async fn connect(&self, component: Component) -> Result<Arc<Connection>, BrokerError> {
        let name = format!("assay {} ({})", env!("CARGO_PKG_VERSION"), component.name());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = secure::connect(self.uri.clone(), &self.ca_file, properties);
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(Ok(connection)) => Ok(Arc::new(connection)),
            Ok(Err(error)) => Err(self.connect_error(error)),
            Err(_) => Err(self.unreachable(ConnectTimeout { seconds: self.timeout.as_secs() })),
        }
    }

    fn connect_error(&self, error: lapin::Error) -> BrokerError {
        let address = self.shown.clone();
        match error.kind() {
            ErrorKind::ProtocolError(protocol) if LOGIN_REFUSED.contains(&protocol.get_id()) => {
                let source = match self.about_vhost {
                    Some(about_vhost) => format!("{error} ({about_vhost})").into(),
                    None => error.into(),
                };
                BrokerError::Refused { address, source }
            }
            _ => match tls::failure(&error, "broker.ca_file") {
                Some(explanation) => BrokerError::Untrusted { address, explanation, source: error.into() },
                None => self.unreachable(error),
            },
        }
    }

    fn unreachable(&self, source: impl Into<Cause>) -> BrokerError {
        BrokerError::Unreachable { address: self.shown.clone(), source: source.into() }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no answer for {seconds} s")]
struct ConnectTimeout {
    seconds: u64,
}

/// Pauses between attempts: exponential, with jitter, without an end.
pub(super) fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(MAX_BACKOFF)
        .with_jitter()
        .without_max_times()
        .build()
}

pub(super) struct ReconnectingConnection {
    current: watch::Receiver<Option<Arc<Connection>>>,
    stop: CancellationToken,
    supervisor: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl ReconnectingConnection {
    /// Connects, or says at once why not; from then on a lost connection is made again.
    pub(super) async fn open(
        endpoint: Endpoint,
        component: Component,
        health: Arc<ConnectionHealth>,
    ) -> Result<ReconnectingConnection, BrokerError> {
        health.set(component, Health::Connecting);
        let first = endpoint.connect(component).await?;
        health.set(component, Health::Ready);
        let (sender, current) = watch::channel(Some(first.clone()));
        let stop = CancellationToken::new();
        let supervisor = Supervisor { endpoint, component, health, sender, stop: stop.clone() };
        let supervisor = std::sync::Mutex::new(Some(tokio::spawn(supervisor.run(first))));
        Ok(ReconnectingConnection { current, stop, supervisor })
    }

    /// The connection, as soon as there is one.
    pub(super) async fn current(&self) -> Result<Arc<Connection>, BrokerError> {
        let mut current = self.current.clone();
        let connection = current.wait_for(Option::is_some).await.map_err(|_| BrokerError::Closed)?;
        connection.clone().ok_or(BrokerError::Closed)
    }

    pub(super) async fn close(&self) {
        self.stop.cancel();
        let supervisor = self.supervisor.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            let _ = supervisor.await;
        }
    }
}

impl Drop for ReconnectingConnection {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Supervisor {
    endpoint: Endpoint,
    component: Component,
    health: Arc<ConnectionHealth>,
    sender: watch::Sender<Option<Arc<Connection>>>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self, mut connection: Arc<Connection>) {
        while let Some(reason) = self.supervise(&connection).await {
            tracing::warn!(
                connection = self.component.name(),
                reason,
                "the broker connection is lost: connecting again"
            );
            self.sender.send_replace(None);
            self.health.set(self.component, Health::Down(reason));
            let Some(again) = self.connect_again().await else { return };
            tracing::info!(connection = self.component.name(), "connected to the broker again");
            self.health.set(self.component, Health::Ready);
            self.sender.send_replace(Some(again.clone()));
            connection = again;
        }
        self.sender.send_replace(None);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close(200, "done".into())).await;
    }

    /// Why the connection was lost, or `None` when it is to be closed.
    async fn supervise(&self, connection: &Connection) -> Option<String> {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        let mut reason = "the broker closed the connection".to_string();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                Some(event) = events.next() => match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(reason, "the broker blocks publishing");
                        self.health.set(self.component, Health::Blocked(reason));
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!("the broker takes publications again");
                        self.health.set(self.component, Health::Ready);
                    }
                    Event::Error(error) => reason = error.to_string(),
                    _ => {}
                },
                _ = check.tick() => {}
            }
            if !connection.status().connected() {
                return Some(reason);
            }
        }
    }

    async fn connect_again(&self) -> Option<Arc<Connection>> {
        for pause in backoff() {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            match self.endpoint.connect(self.component).await {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    tracing::debug!(%error, "can't connect yet");
                    self.health.set(self.component, Health::Down(error.to_string()));
                }
            }
        }
        None
    }
}
