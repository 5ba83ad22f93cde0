//! Confirmed publishing, many at a time.
//!
//! Each publication under way has a channel to itself. On a shared channel the broker may confirm many at once,
//! and lapin then hands a returned (unroutable) message to any one of them: the wrong publisher would hear of it.
//! Channels are opened as they are needed and kept for the next publication.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};
use tokio::sync::Semaphore;

use super::board::{Board, Part};
use super::link::{Address, Link};
use crate::topology::leave;
use crate::{BrokerError, Settings};

/// Most publications under way on one connection.
pub(super) const WIDTH: usize = 128;

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// Straight into a queue, which must be there.
    Queue(&'a str),
    /// To an exchange that must find at least one queue for it.
    Topic { exchange: &'a str, routing_key: &'a str },
    /// Into a queue if it is there; nobody minds if not.
    Perhaps(&'a str),
}

impl<'a> Route<'a> {
    fn parts(self) -> (&'a str, &'a str, bool) {
        match self {
            Route::Queue(queue) => ("", queue, true),
            Route::Topic { exchange, routing_key } => (exchange, routing_key, true),
            Route::Perhaps(queue) => ("", queue, false),
        }
    }
}

pub(super) struct Publisher {
    link: Link,
    slots: Semaphore,
    idle: Mutex<Vec<Channel>>,
    timeout: Duration,
}

impl Publisher {
    pub async fn open(settings: &Settings, board: Arc<Board>) -> Result<Publisher, BrokerError> {
        Ok(Publisher {
            link: Link::open(Address::of(settings)?, Part::Publishing, board).await?,
            slots: Semaphore::new(WIDTH),
            idle: Mutex::new(Vec::new()),
            timeout: Duration::from_secs(settings.publish_timeout_s),
        })
    }

    /// Publishes and waits for the broker's word that the message is safe.
    pub async fn publish(&self, route: Route<'_>, body: &[u8], properties: BasicProperties) -> Result<(), BrokerError> {
        match tokio::time::timeout(self.timeout, self.publish_now(route, body, properties)).await {
            Ok(result) => result,
            Err(_) => Err(BrokerError::Unconfirmed(format!("no word for {} s", self.timeout.as_secs()))),
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
        let trouble = |error: lapin::Error| match error.kind() {
            ErrorKind::ProtocolError(protocol) if protocol.get_id() == 404 => unroutable(),
            _ => BrokerError::Unconfirmed(error.to_string()),
        };
        let options = BasicPublishOptions { mandatory, immediate: false };
        let confirm = channel.basic_publish(to_exchange, by_key, options, body, properties).await.map_err(trouble)?;
        let confirmation = confirm.await.map_err(trouble)?;
        // Only now: a publication that was given up or that failed takes its channel with it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(unroutable()),
            Confirmation::Nack(None) => Err(BrokerError::Unconfirmed("the broker refused it".into())),
            Confirmation::NotRequested => Err(BrokerError::Unconfirmed("the channel has no confirms".into())),
        }
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
        let away = |error: lapin::Error| BrokerError::Unconfirmed(error.to_string());
        let channel = self.link.connection().await?.create_channel().await.map_err(away)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(away)?;
        Ok(channel)
    }

    pub async fn close(&self) {
        self.slots.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(idle.iter().map(leave)).await;
        self.link.close().await;
    }
}
