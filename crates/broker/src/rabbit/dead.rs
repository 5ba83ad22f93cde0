//! Looking through the dead letters.
//!
//! Page by page, each on a channel of its own that has no more messages out than it can settle to the last one when it
//! closes (see `consume`). Its consumer ends with the page, so that what is settled makes no room for more.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::Channel;
use lapin::options::BasicCancelOptions;

use super::consume::MOST_UNSETTLED;
use super::link::Link;
use super::read::{Letter, consume, link, next};
use crate::topology::{Topology, leave, ready};
use crate::{BrokerError, Settings};

/// So long without another message, and whatever the count said, there is none.
const SILENCE: Duration = Duration::from_secs(5);

/// The dead letters that were there when it was opened, oldest first. What is not acknowledged goes back to its place
/// when the value is closed or dropped.
pub struct DeadLetters {
    link: Link,
    queue: String,
    channels: Vec<Channel>,
    page: VecDeque<Letter>,
    /// Letters that are not read yet.
    unread: u32,
}

impl DeadLetters {
    /// Most that are looked at.
    pub const MOST: u32 = 10_000;

    pub async fn open(settings: &Settings) -> Result<DeadLetters, BrokerError> {
        let link = link(settings).await?;
        let queue = Topology::new(settings).dead();
        let unread = ready(&queue, &*link.connection().await?).await?.min(Self::MOST);
        Ok(DeadLetters { link, queue, channels: Vec::new(), page: VecDeque::new(), unread })
    }

    /// Letters that are still to come.
    pub fn left(&self) -> u32 {
        self.unread + self.page.len() as u32
    }

    pub async fn next(&mut self) -> Result<Option<Letter>, BrokerError> {
        if self.page.is_empty() && self.unread > 0 {
            self.turn_over().await?;
        }
        Ok(self.page.pop_front())
    }

    async fn turn_over(&mut self) -> Result<(), BrokerError> {
        let (channel, mut deliveries) = consume(&self.link, &self.queue).await?;
        let wanted = self.unread.min(MOST_UNSETTLED.into());
        for _ in 0..wanted {
            match tokio::time::timeout(SILENCE, next(&mut deliveries)).await {
                Ok(letter) => self.page.push_back(letter?),
                // Somebody else took the rest meanwhile.
                Err(_) => break,
            }
        }
        self.unread = if self.page.len() as u32 == wanted { self.unread - wanted } else { 0 };
        // Only tells the broker to send no more; what is here stays here.
        let _ = channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await;
        self.channels.push(channel);
        Ok(())
    }

    pub async fn close(self) {
        // What is on the rest of a page has not been looked at.
        drop(self.page);
        join_all(self.channels.iter().map(leave)).await;
        self.link.close().await;
    }
}
