//! Confirmed publishing, many at a time.
//!
//! Each publication under way has a channel to itself. On a shared channel the broker may confirm many at once,
//! and lapin then hands a returned (unroutable) message to any one of them: the wrong publisher would get it.
//! Channels are opened as they are needed and kept for the next publication.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::Semaphore;

use super::channel;
use super::connection::{Endpoint, ReconnectingConnection};
use super::health::{Component, ConnectionHealth};
use super::room;
use crate::error::{BrokerError, Unconfirmed};
use crate::settings::Settings;

/// Most publications under way on one connection.
pub(super) const MAX_IN_FLIGHT: usize = 128;

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// Straight into a queue, which must be there.
    Queue(&'a str),
    /// To an exchange that must find at least one queue for it.
    Topic { exchange: &'a str, routing_key: &'a str },
    /// To an exchange, whether or not a queue wants it.
    OptionalTopic { exchange: &'a str, routing_key: &'a str },
    /// Into a queue if it is there; no error if it is not.
    OptionalQueue(&'a str),
}

impl<'a> Route<'a> {
    fn parts(self) -> (&'a str, &'a str, bool) {
        match self {
            Route::Queue(queue) => ("", queue, true),
            Route::Topic { exchange, routing_key } => (exchange, routing_key, true),
            Route::OptionalTopic { exchange, routing_key } => (exchange, routing_key, false),
            Route::OptionalQueue(queue) => ("", queue, false),
        }
    }
}

pub(super) struct Publisher {
    connection: ReconnectingConnection,
    slots: Semaphore,
    idle: Mutex<Vec<Channel>>,
    timeout: Duration,
}

impl Publisher {
    pub(super) async fn open(settings: &Settings, health: Arc<ConnectionHealth>) -> Result<Publisher, BrokerError> {
        Ok(Publisher {
            connection: ReconnectingConnection::open(Endpoint::of(settings)?, Component::Publishing, health).await?,
            slots: Semaphore::new(MAX_IN_FLIGHT),
            idle: Mutex::new(Vec::new()),
            timeout: Duration::from_secs(settings.publish_timeout_s),
        })
    }

    /// Publishes and waits for the broker's confirmation.
    pub(super) async fn publish(
        &self,
        route: Route<'_>,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), BrokerError> {
        match tokio::time::timeout(self.timeout, self.publish_now(route, body, properties)).await {
            Ok(result) => result,
            Err(_) => Err(BrokerError::Unconfirmed(Unconfirmed::Timeout { seconds: self.timeout.as_secs() })),
        }
    }

    async fn publish_now(&self, route: Route<'_>, body: &[u8], properties: BasicProperties) -> Result<(), BrokerError> {
        let _slot = self.slots.acquire().await.map_err(|_| BrokerError::Closed)?;
        let (exchange, routing_key, mandatory) = route.parts();
        let unroutable =
            || BrokerError::Unroutable { exchange: exchange.to_string(), routing_key: routing_key.to_string() };
        let short = |text: &str| ShortString::try_new(text).map_err(|_| unroutable());
        let (to_exchange, by_key) = (short(exchange)?, short(routing_key)?);
        let channel = self.channel().await?;
        let failed = |error: lapin::Error| {
            if channel::is_not_found(&error) {
                return unroutable();
            }
            BrokerError::Unconfirmed(Unconfirmed::Interrupted(error.into()))
        };
        let options = BasicPublishOptions { mandatory, immediate: false };
        let confirm = channel.basic_publish(to_exchange, by_key, options, body, properties).await.map_err(failed)?;
        let confirmation = confirm.await.map_err(failed)?;
        // Only now: the channel of a publication that timed out or failed is not used again.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(unroutable()),
            Confirmation::Nack(None) => Err(BrokerError::Unconfirmed(Unconfirmed::Rejected)),
            Confirmation::NotRequested => Err(BrokerError::Unconfirmed(Unconfirmed::NotInConfirmMode)),
        }
    }

    /// The connection, once there is one.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, BrokerError> {
        self.connection.current().await
    }

    /// How many bytes of another message's headers a copy may have.
    pub(super) async fn room_for_headers(&self) -> Result<usize, BrokerError> {
        Ok(room::within(self.connection.current().await?.configuration().frame_max()))
    }

    async fn channel(&self) -> Result<Channel, BrokerError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(channel) if channel.status().connected() => return Ok(channel),
                Some(_) => {}
                None => break,
            }
        }
        let failed = |error: lapin::Error| BrokerError::Unconfirmed(Unconfirmed::Interrupted(error.into()));
        let channel = self.connection.current().await?.create_channel().await.map_err(failed)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        Ok(channel)
    }

    pub(super) async fn close(&self) {
        self.slots.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(idle.iter().map(channel::close)).await;
        self.connection.close().await;
    }
}
