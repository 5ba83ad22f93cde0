//! One connection to RabbitMQ, made again for as long as it is wanted.

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

use super::board::{Board, Part};
use super::secure;
use crate::{BrokerError, Health, Settings};

/// Seconds between heartbeats unless the URL says otherwise (`?heartbeat=`): a cut cable is noticed in twice that.
const HEARTBEAT_S: u16 = 10;
/// How often a connection is looked at, beside the events that it tells of itself.
const LOOK: Duration = Duration::from_secs(1);
/// Longest pause between two tries to connect, before jitter, which may double it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the broker may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(5);
/// Reply codes of AMQP that mean the login, not the network.
const LOGIN_REFUSED: [u16; 2] = [403, 530];

/// Where the broker is and how to log in.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
    /// Without the password.
    shown: String,
    ca_file: String,
    timeout: Duration,
}

impl Address {
    pub fn of(settings: &Settings) -> Result<Address, BrokerError> {
        let url = settings.url.expose_secret();
        let shown = settings.address();
        let mut uri: AMQPUri =
            url.parse().map_err(|detail| BrokerError::Unreachable { address: shown.clone(), detail })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Address {
            uri,
            shown,
            ca_file: settings.ca_file.clone(),
            timeout: Duration::from_secs(settings.connect_timeout_s),
        })
    }

    async fn connect(&self, part: Part) -> Result<Arc<Connection>, BrokerError> {
        let name = format!("assay {} ({})", env!("CARGO_PKG_VERSION"), part.name());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = secure::connect(self.uri.clone(), &self.ca_file, properties);
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(Ok(connection)) => Ok(Arc::new(connection)),
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(_) => Err(self.unreachable(format!("no answer for {} s", self.timeout.as_secs()))),
        }
    }

    fn trouble(&self, error: &lapin::Error) -> BrokerError {
        match error.kind() {
            ErrorKind::ProtocolError(protocol) if LOGIN_REFUSED.contains(&protocol.get_id()) => {
                BrokerError::Refused { address: self.shown.clone(), detail: error.to_string() }
            }
            _ => match tls::distrust(error, "broker.ca_file") {
                Some(detail) => BrokerError::Untrusted { address: self.shown.clone(), detail },
                None => self.unreachable(error.to_string()),
            },
        }
    }

    fn unreachable(&self, detail: String) -> BrokerError {
        BrokerError::Unreachable { address: self.shown.clone(), detail }
    }
}

/// Pauses between tries: growing, jittered, without an end.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

pub(super) struct Link {
    current: watch::Receiver<Option<Arc<Connection>>>,
    stop: CancellationToken,
    supervisor: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Link {
    /// Connects, or says at once why not; from then on a lost connection is made again.
    pub async fn open(address: Address, part: Part, board: Arc<Board>) -> Result<Link, BrokerError> {
        board.set(part, Health::Connecting);
        let first = address.connect(part).await?;
        board.set(part, Health::Ready);
        let (sender, current) = watch::channel(Some(first.clone()));
        let stop = CancellationToken::new();
        let supervisor = Supervisor { address, part, board, sender, stop: stop.clone() };
        let supervisor = std::sync::Mutex::new(Some(tokio::spawn(supervisor.run(first))));
        Ok(Link { current, stop, supervisor })
    }

    /// The connection, as soon as there is one.
    pub async fn connection(&self) -> Result<Arc<Connection>, BrokerError> {
        let mut current = self.current.clone();
        let connection = current.wait_for(Option::is_some).await.map_err(|_| BrokerError::Closed)?;
        connection.clone().ok_or(BrokerError::Closed)
    }

    pub async fn close(&self) {
        self.stop.cancel();
        let supervisor = self.supervisor.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            let _ = supervisor.await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Supervisor {
    address: Address,
    part: Part,
    board: Arc<Board>,
    sender: watch::Sender<Option<Arc<Connection>>>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self, mut connection: Arc<Connection>) {
        while let Some(reason) = self.watch_over(&connection).await {
            tracing::warn!(connection = self.part.name(), reason, "the broker is away: connecting again");
            self.sender.send_replace(None);
            self.board.set(self.part, Health::Down(reason));
            let Some(again) = self.connect_again().await else { return };
            tracing::info!(connection = self.part.name(), "connected to the broker again");
            self.board.set(self.part, Health::Ready);
            self.sender.send_replace(Some(again.clone()));
            connection = again;
        }
        self.sender.send_replace(None);
        let _ = tokio::time::timeout(FAREWELL, connection.close(200, "done".into())).await;
    }

    /// Why the connection was lost, or `None` when it is wanted no longer.
    async fn watch_over(&self, connection: &Connection) -> Option<String> {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut look = tokio::time::interval(LOOK);
        let mut reason = "the broker closed the connection".to_string();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                Some(event) = events.next() => match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(reason, "the broker blocks publishing");
                        self.board.set(self.part, Health::Blocked(reason));
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!("the broker takes publications again");
                        self.board.set(self.part, Health::Ready);
                    }
                    Event::Error(error) => reason = error.to_string(),
                    _ => {}
                },
                _ = look.tick() => {}
            }
            if !connection.status().connected() {
                return Some(reason);
            }
        }
    }

    async fn connect_again(&self) -> Option<Arc<Connection>> {
        for pause in pauses() {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            match self.address.connect(self.part).await {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    tracing::debug!(%error, "not yet");
                    self.board.set(self.part, Health::Down(error.to_string()));
                }
            }
        }
        None
    }
}
