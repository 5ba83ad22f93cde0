//! Chance that comes out the same for everybody who computes it.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use domain::OutcomeId;

/// What makes draws unpredictable to those who choose what they submit: an outcome's id follows from the submission's, so who
/// knew the salt could choose submissions that are never drawn. The same for all workers and for good: with another salt a
/// repeated delivery would be drawn anew.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(Vec<u8>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the salt of the draws has {0} bytes, fewer than {fewest}: give at least {fewest} random ones", fewest = Salt::FEWEST)]
pub struct SaltTooShort(usize);

/// What is drawn for. The draws of one outcome for different purposes are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Audit,
    DoubleReview,
}

impl Salt {
    /// Fewest bytes.
    pub const FEWEST: usize = 16;

    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Salt, SaltTooShort> {
        let bytes = bytes.into();
        if bytes.len() < Self::FEWEST { Err(SaltTooShort(bytes.len())) } else { Ok(Salt(bytes)) }
    }

    /// The id of an item whose answer is known, of the same version as the ids of all items: who does not have the salt can't tell it
    /// from them.
    pub(crate) fn golden_id(&self, outcome: OutcomeId) -> Uuid {
        Uuid::new_v5(&outcome.0, &[b"assay.golden\0", self.0.as_slice()].concat())
    }

    /// A number from 0 to below 1, uniform over outcomes: the first 8 bytes, big-endian, of the SHA-256 of the purpose, NUL, the
    /// salt and the 16 bytes of the outcome's id.
    pub(crate) fn draw(&self, purpose: Purpose, outcome: OutcomeId) -> f64 {
        let digest =
            Sha256::new().chain_update(purpose.as_bytes()).chain_update(&self.0).chain_update(outcome.0).finalize();
        let first = digest.iter().take(8).fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
        // 53 bits are what a double holds: with more, rounding could give 1.
        (first >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Purpose {
    /// Ends with NUL, so that no purpose and salt together read like another purpose and salt.
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Purpose::Audit => b"audit\0",
            Purpose::DoubleReview => b"double-review\0",
        }
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn outcome(number: u128) -> OutcomeId {
        OutcomeId(Uuid::from_u128(number))
    }

    fn salt(byte: u8) -> Salt {
        Salt::new([byte; 32]).unwrap()
    }

    #[test]
    fn a_draw_is_written_down_so_that_other_programs_can_repeat_it() {
        // printf 'audit\0' + 32 bytes of 7 + uuid 00000000-0000-0000-0000-000000000001, by sha256sum.
        let drawn = salt(7).draw(Purpose::Audit, outcome(1));
        assert_eq!(drawn, (0x182a_b1de_aa9c_0c64_u64 >> 11) as f64 / (1_u64 << 53) as f64);
    }

    #[test]
    fn the_id_of_a_golden_item_follows_from_the_salt_and_looks_like_any_other() {
        let id = salt(7).golden_id(outcome(1));
        assert_eq!(id, salt(7).golden_id(outcome(1)));
        assert_ne!(id, salt(8).golden_id(outcome(1)));
        assert_ne!(id, salt(7).golden_id(outcome(2)));
        assert_eq!(id.get_version(), Uuid::new_v5(&outcome(1).0, b"assay.review").get_version());
    }

    #[test]
    fn draws_are_uniform() {
        let mut tenths = [0_u32; 10];
        for number in 0..50_000 {
            let drawn = salt(1).draw(Purpose::Audit, outcome(number));
            assert!((0.0..1.0).contains(&drawn));
            tenths[(drawn * 10.0) as usize] += 1;
        }
        // Chi-square with 9 degrees of freedom: above 27.9 once in a thousand.
        let distance: f64 = tenths.iter().map(|&count| (f64::from(count) - 5000.0).powi(2) / 5000.0).sum();
        assert!(distance < 27.9, "{tenths:?}");
    }

    #[test]
    fn purposes_and_salts_draw_independently() {
        let all: Vec<u128> = (0..20_000).collect();
        let both = |left: &dyn Fn(OutcomeId) -> f64, right: &dyn Fn(OutcomeId) -> f64| {
            all.iter().filter(|&&number| left(outcome(number)) < 0.5 && right(outcome(number)) < 0.5).count()
        };
        let audit = |id| salt(1).draw(Purpose::Audit, id);
        // A quarter of 20,000, and five deviations around it.
        for count in [
            both(&audit, &|id| salt(1).draw(Purpose::DoubleReview, id)),
            both(&audit, &|id| salt(2).draw(Purpose::Audit, id)),
        ] {
            assert!(count.abs_diff(5000) < 310, "{count}");
        }
    }

    #[test]
    fn a_short_salt_is_refused_and_none_is_shown() {
        assert_eq!(Salt::new([1; 15]), Err(SaltTooShort(15)));
        let shown = SaltTooShort(15).to_string();
        assert!(shown.contains("15 bytes") && shown.contains("at least 16"), "{shown}");
        assert_eq!(format!("{:?}", salt(200)), "Salt(…)");
    }
}
