//! The learning rate of each step.

use serde::{Deserialize, Serialize};

/// Linear from 0 over the warm-up, then down a cosine to `floor` of the peak.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The peak.
    pub rate: f64,
    /// Share of all steps that the way up takes, 0 to 1.
    #[serde(default)]
    pub warm_up: f64,
    /// Share of the peak that is left at the end, 0 to 1.
    #[serde(default)]
    pub floor: f64,
}

impl Schedule {
    /// The rate of `step` (from 0) of `steps`.
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        let warm_up = (self.warm_up * steps as f64).round();
        // The middle of the step: neither the first nor the last one is wasted on a rate of 0.
        let place = step as f64 + 0.5;
        if place < warm_up {
            return self.rate * place / warm_up;
        }
        let way = ((place - warm_up) / (steps as f64 - warm_up).max(1.0)).clamp(0.0, 1.0);
        let cosine = f64::midpoint(1.0, (std::f64::consts::PI * way).cos());
        self.rate * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_on_a_line_and_falls_on_a_cosine() {
        let schedule = Schedule { rate: 0.1, warm_up: 0.2, floor: 0.1 };
        let at = |step| schedule.at(step, 100);
        assert!((at(9) - 0.1 * 9.5 / 20.0).abs() < 1e-12);
        assert!(at(20) > 0.099 && at(20) <= 0.1);
        // Half way down: the mean of peak and floor.
        assert!((f64::midpoint(at(59), at(60)) - 0.055).abs() < 1e-4, "{}", at(60));
        assert!(at(99) > 0.01 && at(99) < 0.0105, "{}", at(99));
        assert!((20..99).all(|step| at(step + 1) < at(step)));
    }

    #[test]
    fn without_a_warm_up_the_first_step_is_at_the_peak() {
        let schedule = Schedule { rate: 1.0, warm_up: 0.0, floor: 0.0 };
        assert!(schedule.at(0, 1000) > 0.999);
        assert!(schedule.at(0, 1) > 0.4);
    }
}
