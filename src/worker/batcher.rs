//! Forming batches: reserve the device first, then take what has gathered.
//!
//! Batches grow by themselves while the device is busy, and an idle device waits at most `max_delay`. What is counted are crops:
//! most items are one, an animation is up to three, which stay together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use broker::RequestQueue;

/// Why a batch was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    Full,
    /// The oldest has waited long enough.
    Waited,
    /// Nothing more will come.
    Drained,
}

impl Flush {
    pub fn as_str(self) -> &'static str {
        match self {
            Flush::Full => "full",
            Flush::Waited => "waited",
            Flush::Drained => "drained",
        }
    }
}

/// What takes some of the device.
pub trait Load {
    /// At least one.
    fn crops(&self) -> usize;
}

/// Items that wait for the device, oldest first. Pure: time comes in as an argument.
#[derive(Debug)]
pub struct Batcher<T> {
    /// Crops of a full batch.
    full_at: usize,
    max_delay: Duration,
    waiting: VecDeque<(Instant, T)>,
    /// Of all that waits.
    crops: usize,
}

impl<T: Load> Batcher<T> {
    pub fn new(full_at: usize, max_delay: Duration) -> Batcher<T> {
        Batcher { full_at: full_at.max(1), max_delay, waiting: VecDeque::new(), crops: 0 }
    }

    pub fn has_room(&self) -> bool {
        self.crops < self.full_at
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn push(&mut self, now: Instant, item: T) {
        self.crops += item.crops();
        self.waiting.push_back((now, item));
    }

    /// When [`Batcher::take`] will give a batch though nothing more comes; `None` while nothing waits.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(since, _)| *since + self.max_delay)
    }

    /// A batch, if it is time for one. It has no more crops than a full one, unless its only item has. `open`: whether more items may
    /// come.
    pub fn take(&mut self, now: Instant, open: bool) -> Option<(Vec<T>, Flush)> {
        let flush = if self.crops >= self.full_at {
            Flush::Full
        } else if self.waiting.is_empty() {
            return None;
        } else if !open {
            Flush::Drained
        } else if self.due().is_some_and(|due| due <= now) {
            Flush::Waited
        } else {
            return None;
        };
        let (mut batch, mut crops) = (Vec::new(), 0);
        while let Some((_, item)) = self.waiting.pop_front_if(|(_, item)| {
            let fits = crops + item.crops() <= self.full_at;
            fits || crops == 0
        }) {
            crops += item.crops();
            batch.push(item);
        }
        self.crops -= crops;
        Some((batch, flush))
    }
}

/// Items for the device, and the reservation that frees it when dropped.
pub(super) struct Batch<T> {
    pub items: Vec<T>,
    pub flush: Flush,
    pub device: OwnedSemaphorePermit,
}

/// One of something for each queue of requests.
pub(super) struct Lanes<L> {
    pub live: L,
    pub bulk: L,
}

impl<L> Lanes<L> {
    pub(super) fn of(&self, request_queue: RequestQueue) -> &L {
        match request_queue {
            RequestQueue::Live => &self.live,
            RequestQueue::Bulk => &self.bulk,
        }
    }
}

impl<T> Lanes<mpsc::Receiver<T>> {
    /// The next item, live ones first; `None` when no more will come.
    async fn next(&mut self) -> Option<T> {
        tokio::select! {
            biased;
            Some(item) = self.live.recv() => Some(item),
            Some(item) = self.bulk.recv() => Some(item),
            else => None,
        }
    }

    fn try_next(&mut self) -> Result<T, mpsc::error::TryRecvError> {
        use mpsc::error::TryRecvError::{Disconnected, Empty};
        match (self.live.try_recv(), &mut self.bulk) {
            (Ok(item), _) => Ok(item),
            (Err(Disconnected), bulk) => bulk.try_recv(),
            (Err(Empty), bulk) => bulk.try_recv().map_err(|_| Empty),
        }
    }
}

/// Moves items from `prepared` to the device in batches until both lanes are closed and empty. Live ones go first; every
/// fourth batch takes one of the bulk all the same, so that what was taken from its queue does not wait for ever.
pub(super) async fn run<T: Load + Send, W: From<Batch<T>>>(
    mut batcher: Batcher<T>,
    mut prepared: Lanes<mpsc::Receiver<T>>,
    batches: mpsc::Sender<W>,
    abandon: CancellationToken,
) {
    let slot = Arc::new(Semaphore::new(1));
    for turn in 1_u64.. {
        let device = tokio::select! {
            permit = slot.clone().acquire_owned() => permit.expect("the slot is never closed"),
            () = abandon.cancelled() => return,
        };
        let Some((items, flush)) = form(&mut batcher, &mut prepared, turn.is_multiple_of(4), &abandon).await else {
            return;
        };
        if batches.send(Batch { items, flush, device }.into()).await.is_err() {
            return;
        }
    }
}

/// The next batch; `None` when there will be none.
async fn form<T: Load>(
    batcher: &mut Batcher<T>,
    prepared: &mut Lanes<mpsc::Receiver<T>>,
    bulk_first: bool,
    abandon: &CancellationToken,
) -> Option<(Vec<T>, Flush)> {
    let mut open = true;
    if bulk_first
        && batcher.has_room()
        && let Ok(item) = prepared.bulk.try_recv()
    {
        batcher.push(Instant::now(), item);
    }
    loop {
        while batcher.has_room() {
            match prepared.try_next() {
                Ok(item) => batcher.push(Instant::now(), item),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    open = false;
                    break;
                }
            }
        }
        if let Some(batch) = batcher.take(Instant::now(), open) {
            return Some(batch);
        }
        if !open {
            return None;
        }
        let due = batcher.due();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            item = prepared.next() => if let Some(item) = item { batcher.push(Instant::now(), item) },
            () = wait => {}
            () = abandon.cancelled() => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(5);

    impl Load for i32 {
        fn crops(&self) -> usize {
            1
        }
    }

    impl Load for char {
        fn crops(&self) -> usize {
            1
        }
    }

    /// Of so many crops.
    impl Load for [usize; 1] {
        fn crops(&self) -> usize {
            self[0]
        }
    }

    #[test]
    fn a_batch_has_no_more_crops_than_a_full_one_and_items_stay_whole() {
        let now = Instant::now();
        let taken = |full_at: usize, items: &[usize]| {
            let mut batcher = Batcher::new(full_at, DELAY);
            items.iter().for_each(|&crops| batcher.push(now, [crops]));
            let mut batches = Vec::new();
            while let Some((batch, flush)) = batcher.take(now, false) {
                batches.push((batch.iter().map(|item| item[0]).collect::<Vec<_>>(), flush));
            }
            assert!(batcher.is_empty() && batcher.has_room());
            batches
        };
        use Flush::{Drained, Full};
        assert_eq!(taken(4, &[1, 3, 3, 1]), [(vec![1, 3], Full), (vec![3, 1], Full)]);
        assert_eq!(taken(4, &[3, 3]), [(vec![3], Full), (vec![3], Drained)]);
        assert_eq!(taken(4, &[2, 3, 1]), [(vec![2], Full), (vec![3, 1], Full)]);
        // One that is more than a full batch goes alone.
        assert_eq!(taken(2, &[1, 3, 1]), [(vec![1], Full), (vec![3], Full), (vec![1], Drained)]);
    }

    #[test]
    fn a_full_batch_is_sent_at_once() {
        let now = Instant::now();
        let mut batcher = Batcher::new(3, DELAY);
        (0..7).for_each(|item| batcher.push(now, item));
        assert_eq!(batcher.take(now, true), Some((vec![0, 1, 2], Flush::Full)));
        assert_eq!(batcher.take(now, true), Some((vec![3, 4, 5], Flush::Full)));
        assert_eq!(batcher.take(now, true), None);
    }

    #[test]
    fn the_oldest_waits_no_longer_than_allowed() {
        let now = Instant::now();
        let mut batcher = Batcher::new(3, DELAY);
        assert_eq!((batcher.due(), batcher.take(now, true)), (None, None));
        batcher.push(now, 'a');
        batcher.push(now + DELAY / 2, 'b');
        assert_eq!(batcher.due(), Some(now + DELAY));
        assert_eq!(batcher.take(now + DELAY / 2, true), None);
        assert_eq!(batcher.take(now + DELAY, true), Some((vec!['a', 'b'], Flush::Waited)));
    }

    #[test]
    fn what_is_left_is_a_batch_when_nothing_more_comes() {
        let now = Instant::now();
        let mut batcher = Batcher::new(3, DELAY);
        batcher.push(now, 1);
        assert_eq!(batcher.take(now, false), Some((vec![1], Flush::Drained)));
        assert_eq!(batcher.take(now, false), None);
    }

    fn lanes(size: usize) -> (Lanes<mpsc::Sender<i32>>, Lanes<mpsc::Receiver<i32>>) {
        let ((live, from_live), (bulk, from_bulk)) = (mpsc::channel(size), mpsc::channel(size));
        (Lanes { live, bulk }, Lanes { live: from_live, bulk: from_bulk })
    }

    #[tokio::test]
    async fn live_items_go_first_and_every_fourth_batch_has_one_of_the_bulk() {
        let (items, prepared) = lanes(16);
        let (sender, mut batches) = mpsc::channel::<Batch<i32>>(1);
        for item in 0..4 {
            items.bulk.send(100 + item).await.unwrap();
        }
        for item in 0..10 {
            items.live.send(item).await.unwrap();
        }
        drop(items);
        let running = tokio::spawn(run(Batcher::new(2, DELAY), prepared, sender, CancellationToken::new()));
        let mut seen = Vec::new();
        while let Some(batch) = batches.recv().await {
            seen.push(batch.items);
        }
        let first: Vec<_> = seen.iter().take(5).collect();
        assert_eq!(first, [&vec![0, 1], &vec![2, 3], &vec![4, 5], &vec![100, 6], &vec![7, 8]]);
        assert_eq!(seen.concat().len(), 14);
        running.await.unwrap();
    }

    #[tokio::test]
    async fn batches_grow_while_the_device_is_busy() {
        let (items, prepared) = lanes(16);
        let (sender, mut batches) = mpsc::channel::<Batch<i32>>(1);
        let running = tokio::spawn(run(Batcher::new(8, DELAY), prepared, sender, CancellationToken::new()));
        items.live.send(0).await.unwrap();
        let first = batches.recv().await.unwrap();
        assert_eq!(first.items, [0]);
        for item in 1..=8 {
            items.live.send(item).await.unwrap();
        }
        drop(first);
        assert_eq!(batches.recv().await.unwrap().items, [1, 2, 3, 4, 5, 6, 7, 8]);
        drop(items);
        assert!(batches.recv().await.is_none());
        running.await.unwrap();
    }
}
