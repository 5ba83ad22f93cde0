//! How fast messages go back to the queue when nothing but that happens to them. Pure: it is told what happened.
//!
//! A message that is released comes again at once. Where the reason lasts, it would be delivered and released as fast as the
//! network allows, and each time is one of the deliveries that the broker grants it.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// Releases after which the pause doubles: what one channel may have out.
const STEP: u32 = 32;

/// Counts the releases since the last message that came to an end.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    in_a_row: u32,
}

impl Pacing {
    /// A message is released: how long to keep it before.
    pub(crate) fn release(&mut self) -> Duration {
        let doublings = (self.in_a_row / STEP).min(8);
        self.in_a_row = self.in_a_row.saturating_add(1);
        (FIRST * 2_u32.pow(doublings)).min(LONGEST)
    }

    /// A message came to an end.
    pub(crate) fn progress(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_there_are_only_releases_and_have_an_end() {
        let mut pacing = Pacing::default();
        let pauses: Vec<_> = (0..1000).map(|_| pacing.release()).collect();
        assert!(pauses.is_sorted() && pauses[0] == FIRST && pauses[999] == LONGEST, "{pauses:?}");
        assert!(pauses[..STEP as usize].iter().all(|pause| *pause == FIRST), "one prefetch that goes back is no loop");
        pacing.progress();
        assert_eq!(pacing.release(), FIRST);
    }
}
