//! Objects and pictures that are kept for the next request: those that were used last, for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::encode::Picture;
use crate::source::{Digest, Place};
use crate::view::View;

/// What of an image is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Object,
    View,
    Fit,
    Actual,
}

#[derive(Clone)]
pub(crate) enum Stored {
    Object(Arc<Digest>),
    View(Arc<View>),
    Picture(Picture),
}

impl Stored {
    fn cost(&self) -> usize {
        match self {
            Stored::Object(object) => object.bytes.len(),
            Stored::View(view) => view.cost(),
            Stored::Picture(picture) => picture.bytes.len(),
        }
    }
}

pub(crate) struct Cache {
    most_bytes: usize,
    keeps_for: Duration,
    kept: Mutex<Kept>,
}

struct Kept {
    entries: LruCache<(Place, Slot), Entry>,
    bytes: usize,
}

struct Entry {
    stored: Stored,
    cost: usize,
    since: Instant,
}

impl Cache {
    pub(crate) fn new(most_bytes: usize, keeps_for: Duration) -> Cache {
        // Bounded by bytes, not by how many there are.
        Cache { most_bytes, keeps_for, kept: Mutex::new(Kept { entries: LruCache::unbounded(), bytes: 0 }) }
    }

    pub(crate) fn get(&self, place: &Place, slot: Slot) -> Option<Stored> {
        let key = (place.clone(), slot);
        let mut kept = self.lock();
        let entry = kept.entries.get(&key)?;
        if entry.since.elapsed() < self.keeps_for {
            return Some(entry.stored.clone());
        }
        kept.remove(&key);
        None
    }

    pub(crate) fn put(&self, place: &Place, slot: Slot, stored: Stored) {
        let cost = stored.cost() + place.cost();
        if cost > self.most_bytes {
            return;
        }
        let key = (place.clone(), slot);
        let mut kept = self.lock();
        kept.remove(&key);
        while kept.bytes + cost > self.most_bytes {
            let Some((_, oldest)) = kept.entries.pop_lru() else { break };
            kept.bytes -= oldest.cost;
        }
        kept.bytes += cost;
        kept.entries.put(key, Entry { stored, cost, since: Instant::now() });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &(Place, Slot)) {
        if let Some(entry) = self.entries.pop(key) {
            self.bytes -= entry.cost;
        }
    }
}
