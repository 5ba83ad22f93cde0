//! Whether one of two detectors is worse on the same images, or only unlucky.

use special::Beta;

/// Images that only one of two detectors got right. Those that both got right or both wrong say nothing of which is better
/// (the sign test on pairs, also known as McNemar's exact test).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignTest {
    /// Right before, wrong after.
    pub broken: u64,
    /// Wrong before, right after.
    pub fixed: u64,
}

impl SignTest {
    /// Of pairs (right before, right after), one for each image.
    pub fn of(pairs: &[(bool, bool)]) -> SignTest {
        let count = |wanted: (bool, bool)| pairs.iter().filter(|pair| **pair == wanted).count() as u64;
        SignTest { broken: count((true, false)), fixed: count((false, true)) }
    }

    /// The chance of at least so many losses among these images if both detectors were equally good: the one-sided p-value.
    /// Fewer than five images can't bring it below 5 %.
    pub fn chance_of_losses(self) -> f64 {
        if self.broken == 0 {
            return 1.0;
        }
        // The upper tail of the binomial distribution is a regularised incomplete beta function (DLMF 8.17.5).
        let (at_least, others) = (self.broken as f64, self.fixed as f64 + 1.0);
        0.5_f64.inc_beta(at_least, others, at_least.ln_beta(others))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chance(broken: u64, fixed: u64) -> f64 {
        SignTest { broken, fixed }.chance_of_losses()
    }

    #[test]
    fn chances_are_those_of_a_fair_coin() {
        assert!((chance(5, 0) - 1.0 / 32.0).abs() < 1e-12);
        assert!((chance(4, 0) - 1.0 / 16.0).abs() < 1e-12);
        assert!((chance(2, 1) - 0.5).abs() < 1e-12);
        // 1 + 10 + 45 of 1024.
        assert!((chance(8, 2) - 56.0 / 1024.0).abs() < 1e-12);
        assert_eq!((chance(0, 0), chance(0, 7)), (1.0, 1.0));
    }

    #[test]
    fn many_images_neither_vanish_nor_overflow() {
        // Two deviations of a million coins: the normal tail, corrected for whole numbers.
        assert!((chance(501_000, 499_000) - 0.0228).abs() < 1e-4, "{}", chance(501_000, 499_000));
        assert!(chance(1_000_000, 0) < 1e-100);
    }

    #[test]
    fn only_pairs_that_differ_are_counted() {
        let pairs = [(true, true), (true, false), (false, true), (true, false), (false, false)];
        assert_eq!(SignTest::of(&pairs), SignTest { broken: 2, fixed: 1 });
    }

    proptest! {
        #[test]
        fn at_least_so_many_broken_and_fewer_are_all_there_is(broken in 1_u64..300, fixed in 0_u64..300) {
            // Fewer than `broken` losses are at least `fixed + 1` wins.
            prop_assert!((chance(broken, fixed) + chance(fixed + 1, broken - 1) - 1.0).abs() < 1e-9);
        }
    }
}
