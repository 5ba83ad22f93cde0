//! Random numbers that follow from a seed.

use sha2::{Digest, Sha256};

/// Numbers that look random and follow from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// For one thing among many, say an image's digest and an epoch: others get other numbers, whatever the order in
    /// which they come.
    pub fn of(seed: u64, names: &[&[u8]]) -> Rng {
        let mut digest = Sha256::new();
        digest.update(seed.to_le_bytes());
        for name in names {
            // With its length before it, so that no two lists of names read the same.
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let [first, ..] = digest.as_chunks().0 else { return Rng(seed) };
        Rng(u64::from_le_bytes(*first))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `count`, all alike; 0 where there is no other.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// A whole number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// From 0 up to and without 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in a share `p` of all draws.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }

    /// Mean 0, variance 1, and a bell up to 6 on either side: the sum of twelve uniform draws. Logarithms and cosines would
    /// give the tails beyond, and other bits on another machine.
    pub fn normal(&mut self) -> f64 {
        let sum: u64 = (0..3).map(|_| quarters(self.bits())).sum();
        // Twelve sixteenths of a word, each even over 0..=65535 with a mean of 32767.5.
        (sum as f64 - 12.0 * 32_767.5) / 65_536.0
    }
}

/// The sum of the four 16-bit numbers in a word.
fn quarters(bits: u64) -> u64 {
    (0..4).map(|part| bits >> (16 * part) & 0xffff).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // As its authors' own program prints them for the seed 1234567.
        let mut rng = Rng::new(1_234_567);
        let wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423_u64];
        assert_eq!(wanted, std::array::from_fn(|_| rng.bits()));
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_all_of_it() {
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 5];
        for _ in 0..5000 {
            seen[rng.between(3, 7) - 3] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
        assert_eq!((rng.below(0), rng.below(1), rng.between(9, 9), rng.between(9, 3)), (0, 0, 9, 9));
        let heads = (0..10_000).filter(|_| rng.chance(0.33)).count();
        assert!((3_150..3_450).contains(&heads), "{heads}");
        assert!(!rng.chance(0.0) && rng.chance(1.0));
    }

    #[test]
    fn normal_draws_have_mean_0_and_variance_1() {
        let mut rng = Rng::new(2);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        let beyond_two = draws.iter().filter(|draw| draw.abs() > 2.0).count() as f64 / draws.len() as f64;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!((beyond_two - 0.0455).abs() < 0.005, "{beyond_two}");
    }

    #[test]
    fn each_list_of_names_has_a_sequence_of_its_own() {
        let first = |seed, names: &[&[u8]]| Rng::of(seed, names).bits();
        assert_eq!(first(1, &[b"a", b"b"]), first(1, &[b"a", b"b"]));
        assert_ne!(first(1, &[b"a", b"b"]), first(2, &[b"a", b"b"]));
        assert_ne!(first(1, &[b"a", b"b"]), first(1, &[b"ab", b""]));
        assert_ne!(first(1, &[b"a", b"b"]), first(1, &[b"b", b"a"]));
    }
}
