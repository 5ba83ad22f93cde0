//! What a share that was counted is worth.

use special::Error;

/// The interval that holds the true share with this confidence (from 0 to below 1), after `hits` of `trials`: Wilson's score
/// interval (1927). Unlike the interval around the counted share it stays within 0 to 1, and none of none hit gives no
/// certainty. `None` without trials.
pub fn wilson_interval(hits: u64, trials: u64, confidence: f64) -> Option<[f64; 2]> {
    if trials == 0 {
        return None;
    }
    let (count, share) = (trials as f64, hits.min(trials) as f64 / trials as f64);
    // The normal distribution's deviations that hold so much between them.
    let z = std::f64::consts::SQRT_2 * confidence.clamp(0.0, 1.0 - f64::EPSILON).inv_error();
    let spread = z * z / count;
    let middle = (share + spread / 2.0) / (1.0 + spread);
    let half = (spread * (share * (1.0 - share) + spread / 4.0)).sqrt() / (1.0 + spread);
    Some([(middle - half).max(0.0), (middle + half).min(1.0)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(hits: u64, trials: u64, [low, high]: [f64; 2]) {
        let found = wilson_interval(hits, trials, 0.95).unwrap();
        assert!((found[0] - low).abs() < 5e-4 && (found[1] - high).abs() < 5e-4, "{hits} of {trials}: {found:?}");
    }

    #[test]
    fn intervals_are_those_of_the_literature() {
        // Newcombe 1998, table I.
        near(81, 263, [0.2553, 0.3662]);
        near(15, 148, [0.0624, 0.1605]);
        near(0, 20, [0.0, 0.1611]);
        near(1, 29, [0.0061, 0.1718]);
        assert_eq!(wilson_interval(0, 0, 0.95), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_counted_share_and_mirrors_misses(trials in 1_u64..10_000, part in 0.0..1.0_f64) {
            let hits = (part * trials as f64) as u64;
            let [low, high] = wilson_interval(hits, trials, 0.95).unwrap();
            let share = hits as f64 / trials as f64;
            prop_assert!((0.0..=share + 1e-12).contains(&low) && (share - 1e-12..=1.0).contains(&high));
            let [below, above] = wilson_interval(trials - hits, trials, 0.95).unwrap();
            prop_assert!((1.0 - above - low).abs() < 1e-9 && (1.0 - below - high).abs() < 1e-9);
            let [wider_low, wider_high] = wilson_interval(hits, trials, 0.99).unwrap();
            prop_assert!(wider_low <= low && high <= wider_high);
        }
    }
}
