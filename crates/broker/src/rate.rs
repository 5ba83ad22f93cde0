//! So many a second and no more. It is told the time.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Admits at most `per_second` on average, and as many at once.
pub(crate) struct RateLimit {
    per_second: f64,
    /// What may still be admitted, and as of when.
    left: Mutex<(f64, Option<Instant>)>,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> RateLimit {
        let per_second = f64::from(per_second);
        RateLimit { per_second, left: Mutex::new((per_second, None)) }
    }

    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *left;
        let passed = since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        let tokens = (tokens + passed * self.per_second).min(self.per_second);
        let admitted = tokens >= 1.0;
        *left = (if admitted { tokens - 1.0 } else { tokens }, Some(now));
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ten_thousand_a_second_become_a_few() {
        let limit = RateLimit::new(50);
        let start = Instant::now();
        let at =
            |second: u32, number: u32| start + Duration::from_secs(second.into()) + Duration::from_micros(100) * number;
        let in_second = |second| (0..10_000).filter(|number| limit.admits(at(second, *number))).count();
        // What was saved up, and what a second gives.
        assert!((99..=100).contains(&in_second(0)));
        assert!((49..=51).contains(&in_second(1)));
        // An hour of rest saves up no more than a second's worth.
        assert!((99..=100).contains(&in_second(3600)));
    }

    #[test]
    fn none_a_second_is_none() {
        let limit = RateLimit::new(0);
        assert!(!limit.admits(Instant::now()));
    }
}
