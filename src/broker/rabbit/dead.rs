//! Looking through the dead letters.

use std::time::Duration;

use super::read::{Letter, Reader};
use super::survey;
use crate::broker::topology::Topology;
use crate::broker::{BrokerError, Settings};

/// So long without another message, and whatever the count said, there is none.
const SILENCE: Duration = Duration::from_secs(5);

/// The dead letters that were there when it was opened, oldest first. What is not acknowledged goes back to its place
/// when the value is closed or dropped.
pub struct DeadLetters {
    reader: Reader,
    left: u32,
}

impl DeadLetters {
    /// Most that are looked at: all of them are held here until the end.
    pub const MOST: u16 = 10_000;

    pub async fn open(settings: &Settings) -> Result<DeadLetters, BrokerError> {
        let queue = Topology::new(settings).dead();
        let depths = survey(settings).await?;
        let ready = depths.iter().find(|depth| depth.queue == queue).map_or(0, |depth| depth.ready);
        let reader = Reader::of_dead(settings).await?;
        Ok(DeadLetters { reader, left: ready.min(Self::MOST.into()) })
    }

    /// Letters that are still to come.
    pub fn left(&self) -> u32 {
        self.left
    }

    pub async fn next(&mut self) -> Result<Option<Letter>, BrokerError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        match tokio::time::timeout(SILENCE, self.reader.next()).await {
            Ok(letter) => letter.map(Some),
            // Somebody else took it meanwhile.
            Err(_) => {
                self.left = 0;
                Ok(None)
            }
        }
    }

    pub async fn close(self) {
        self.reader.close().await;
    }
}
