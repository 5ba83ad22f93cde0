//! The health of the whole from the health of its components: the worst of them counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::port::Health;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Component {
    /// The connection that messages come by.
    Consuming,
    /// The connection that outcomes and copies go by. A connection of its own, because an alarm of the broker blocks it whole.
    Publishing,
    /// A consumer of the live queue: without it there is nothing to do, however well the connections are.
    LiveQueue(usize),
}

impl Component {
    pub(super) fn name(self) -> &'static str {
        match self {
            Component::Consuming => "consuming",
            Component::Publishing => "publishing",
            Component::LiveQueue(_) => "live queue",
        }
    }
}

pub(super) struct ConnectionHealth {
    components: Mutex<BTreeMap<Component, Health>>,
    health: watch::Sender<Health>,
}

impl ConnectionHealth {
    pub(super) fn new() -> ConnectionHealth {
        ConnectionHealth { components: Mutex::new(BTreeMap::new()), health: watch::Sender::new(Health::Connecting) }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn set(&self, component: Component, health: Health) {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.insert(component, health);
        let worst = components.values().max_by_key(|health| severity(health)).cloned().unwrap_or(Health::Connecting);
        // Under the lock, so that no older view overtakes a newer one.
        self.health.send_if_modified(|shown| {
            let changed = *shown != worst;
            *shown = worst;
            changed
        });
    }
}

fn severity(health: &Health) -> u8 {
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
        let tracker = ConnectionHealth::new();
        let health = tracker.subscribe();
        assert_eq!(*health.borrow(), Health::Connecting);
        tracker.set(Component::Consuming, Health::Ready);
        assert_eq!(*health.borrow(), Health::Ready);
        tracker.set(Component::Publishing, Health::Blocked("memory".into()));
        assert_eq!(*health.borrow(), Health::Blocked("memory".into()));
        tracker.set(Component::Consuming, Health::Down("cut".into()));
        assert_eq!(*health.borrow(), Health::Down("cut".into()));
        tracker.set(Component::Consuming, Health::Ready);
        tracker.set(Component::Publishing, Health::Ready);
        assert_eq!(*health.borrow(), Health::Ready);
    }
}
