//! How fast a stage of the work goes, and how long the rest of it will take. Pure.

use std::time::{Duration, Instant};

/// Of one stage alone: what came before it says nothing of its pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    began: Instant,
    /// What an earlier run did of it.
    done_before: u64,
    images: u64,
}

impl Estimate {
    /// Of a stage that begins now, with so much of it done already.
    pub(super) fn begin(done_before: u64, now: Instant) -> Estimate {
        Estimate { began: now, done_before, images: 0 }
    }

    pub(super) fn add_images(&mut self, images: u64) {
        self.images += images;
    }

    pub(super) fn images_per_second(&self, now: Instant) -> f64 {
        self.images as f64 / self.seconds(now).max(1e-9)
    }

    /// How long the rest takes at the pace so far, `done` counting what was done before.
    pub(super) fn rest(&self, done: u64, all: u64, now: Instant) -> Duration {
        let done_now = done.saturating_sub(self.done_before).max(1);
        Duration::from_secs_f64(self.seconds(now) / done_now as f64 * all.saturating_sub(done) as f64)
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_rest_of_a_stage_does_not_count_the_stage_before_it() {
        let start = Instant::now();
        let mut embedding = Estimate::begin(0, start);
        embedding.add_images(6000);
        assert_eq!(embedding.rest(50, 100, start + 60 * MINUTE), 60 * MINUTE);
        // Two hours later another stage begins: one minute a step, and 19 of 20 are left.
        let mut training = Estimate::begin(0, start + 120 * MINUTE);
        training.add_images(120);
        let now = start + 121 * MINUTE;
        assert_eq!(training.rest(1, 20, now), 19 * MINUTE);
        assert_eq!(training.images_per_second(now), 2.0);
    }

    #[test]
    fn steps_of_an_earlier_run_have_no_part_in_the_pace() {
        let start = Instant::now();
        let resumed = Estimate::begin(90, start);
        assert_eq!(resumed.rest(92, 100, start + 2 * MINUTE), 8 * MINUTE);
        assert_eq!(resumed.rest(100, 100, start + 10 * MINUTE), Duration::ZERO);
    }
}
