//! The health of the whole from the health of its parts: the worst of them counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::Health;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The connection that messages come by.
    Consuming,
    /// The connection that outcomes and copies go by. Apart, because an alarm of the broker blocks it whole.
    Publishing,
    /// A consumer of the live lane: without it there is nothing to do, however well the connections are.
    LiveLane(usize),
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Part::Consuming => "consuming",
            Part::Publishing => "publishing",
            Part::LiveLane(_) => "live lane",
        }
    }
}

pub(super) struct Board {
    parts: Mutex<BTreeMap<Part, Health>>,
    health: watch::Sender<Health>,
}

impl Board {
    pub fn new() -> Board {
        Board { parts: Mutex::new(BTreeMap::new()), health: watch::Sender::new(Health::Connecting) }
    }

    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub fn set(&self, part: Part, health: Health) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.insert(part, health);
        let worst = parts.values().max_by_key(|health| gravity(health)).cloned().unwrap_or(Health::Connecting);
        // Under the lock, so that no older view overtakes a newer one.
        self.health.send_if_modified(|shown| {
            let news = *shown != worst;
            *shown = worst;
            news
        });
    }
}

fn gravity(health: &Health) -> u8 {
    match health {
        Health::Ready => 0,
        Health::Blocked(_) => 1,
        Health::Connecting => 2,
        Health::Down(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_counts() {
        let board = Board::new();
        let health = board.health();
        assert_eq!(*health.borrow(), Health::Connecting);
        board.set(Part::Consuming, Health::Ready);
        assert_eq!(*health.borrow(), Health::Ready);
        board.set(Part::Publishing, Health::Blocked("memory".into()));
        assert_eq!(*health.borrow(), Health::Blocked("memory".into()));
        board.set(Part::Consuming, Health::Down("cut".into()));
        assert_eq!(*health.borrow(), Health::Down("cut".into()));
        board.set(Part::Consuming, Health::Ready);
        board.set(Part::Publishing, Health::Ready);
        assert_eq!(*health.borrow(), Health::Ready);
    }
}
