//! Values that threads make ahead of when they are needed, handed over in order.

use std::ops::{ControlFlow, Range};
use std::sync::mpsc;
use std::thread;

/// Makes the values of a range on so many threads, and takes them in the range's order. Each thread is one value ahead at
/// most, so memory stays within twice as many values as threads. `take` may break off.
pub fn in_order<T: Send, B>(
    threads: usize,
    range: Range<u64>,
    make: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(u64, T) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let threads = threads.max(1);
    thread::scope(|scope| {
        let make = &make;
        let receivers: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, receiver) = mpsc::sync_channel(1);
                let own = range.clone().skip(first).step_by(threads);
                scope.spawn(move || {
                    for place in own {
                        // Nobody takes any more: the rest is not made.
                        if sender.send(make(place)).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for (turn, place) in range.enumerate() {
            let made = receivers[turn % threads].recv().expect("a thread sends all of its values, or panics");
            take(place, made)?;
        }
        ControlFlow::Continue(())
    })
}

/// The same, broken off by the first error of `take`.
pub fn try_in_order<T: Send, E>(
    threads: usize,
    range: Range<u64>,
    make: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(u64, T) -> Result<(), E>,
) -> Result<(), E> {
    let end = in_order(threads, range, make, |place, made| match take(place, made) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match end {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn values_are_taken_in_order() {
        let mut taken = Vec::new();
        let end = in_order::<_, ()>(
            3,
            5..25,
            |place| place * 2,
            |place, made| {
                assert_eq!(made, place * 2);
                taken.push(place);
                ControlFlow::Continue(())
            },
        );
        assert_eq!(end, ControlFlow::Continue(()));
        assert_eq!(taken, (5..25).collect::<Vec<_>>());
    }

    #[test]
    fn few_values_are_made_beyond_the_last_one_taken() {
        let made = AtomicU64::new(0);
        let make = |place| {
            made.fetch_add(1, Ordering::Relaxed);
            place
        };
        let end = in_order(2, 0..1000, make, |place, _| {
            if place == 9 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
        });
        assert_eq!(end, ControlFlow::Break("enough"));
        // Ten taken; each of two threads may have one in the channel and one that it is sending.
        assert!(made.load(Ordering::Relaxed) <= 14, "{made:?}");
    }
}
