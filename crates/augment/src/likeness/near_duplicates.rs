//! Groups of hashes of which few bits differ, without comparing each with each.
//!
//! Multi-index hashing (Norouzi, Punjani and Fleet, arXiv 1307.2982): a hash is cut into bands. Two hashes that differ in few
//! bits differ in hardly any of at least one band (the pigeonhole principle), so only those are compared whose bands are
//! equal, or nearly so. What is found is what comparing all would find.

use std::ops::Range;

pub(super) type Hash = [u64; 4];

/// 16 bits each: of 160,000 hashes two or three have the same band by chance.
const BANDS: u32 = 16;
/// Values of a band.
const KEYS: usize = 1 << 16;

/// The group of each hash: those that differ in at most `reach` bits are in one, and so are those that a chain of such pairs
/// joins. Groups are numbered by their first members. The more bits hashes of different things have in common, the more of them are compared.
pub(super) fn groups(hashes: &[Hash], reach: u32) -> Vec<usize> {
    let hashes: Vec<Hash> = hashes.iter().map(spread).collect();
    let mut sets = DisjointSets::new(hashes.len());
    join_neighbours(&hashes, reach, &mut sets);
    for band in 0..BANDS {
        if let Some(radius) = radius(band, reach) {
            Band::of(&hashes, band, &mut sets).join_near(radius, reach, &mut sets);
        }
    }
    sets.numbers()
}

/// Joins crowds of near copies, by comparing each hash with its neighbours in order: else all of a crowd would be compared with
/// all.
fn join_neighbours(hashes: &[Hash], reach: u32, sets: &mut DisjointSets) {
    for band in 0..BANDS {
        let mut places: Vec<usize> = (0..hashes.len()).collect();
        places.sort_unstable_by_key(|&place| (key(&hashes[place], band), hashes[place]));
        for pair in places.windows(2) {
            if bits_apart(&hashes[pair[0]], &hashes[pair[1]]) <= reach {
                sets.join(pair[0], pair[1]);
            }
        }
    }
}

/// The bits in another order. Hashes of images are squares of frequencies, 16 bits a row, and images of one kind have much in
/// common in the lowest ones: those are dealt out to all bands. Band n gets the nth diagonal.
fn spread(hash: &Hash) -> Hash {
    let mut dealt = [0; 4];
    for row in 0..16 {
        for column in 0..16 {
            let bit = hash[row / 4] >> (16 * (row % 4) + column) & 1;
            let band = (column + row) % 16;
            dealt[band / 4] |= bit << (16 * (band % 4) + row);
        }
    }
    dealt
}

pub(super) fn bits_apart(left: &Hash, right: &Hash) -> u32 {
    left.iter().zip(right).map(|(left, right)| (left ^ right).count_ones()).sum()
}

/// In how many bits of this band two hashes may differ and still be looked at; `None` where the band need not be searched.
/// With `reach` = 16 a + b, either one of the first b + 1 bands differs in at most a bits, or one of the others in at most a - 1:
/// else it would be (b + 1) (a + 1) + (15 - b) a = `reach` + 1 bits at least.
fn radius(band: u32, reach: u32) -> Option<u32> {
    let (each, rest) = (reach / BANDS, reach % BANDS);
    if band <= rest { Some(each) } else { each.checked_sub(1) }
}

fn key(hash: &Hash, band: u32) -> u16 {
    (hash[band as usize / 4] >> (16 * (band % 4))) as u16
}

/// All hashes by one of their bands.
struct Band {
    /// Hashes in the order of their keys, those of one set together.
    hashes: Vec<Hash>,
    /// Neighbours in that order that have the same key and are of one set: where they lie, and one of their places.
    runs: Vec<(Range<usize>, usize)>,
    /// Of each key, the first of its runs; the last entry is the number of runs.
    first: Vec<usize>,
}

impl Band {
    fn of(hashes: &[Hash], band: u32, sets: &mut DisjointSets) -> Band {
        let mut order: Vec<(u16, usize, usize)> =
            hashes.iter().enumerate().map(|(place, hash)| (key(hash, band), sets.root(place), place)).collect();
        order.sort_unstable();
        let mut runs = Vec::new();
        let mut first = vec![0; KEYS + 1];
        let mut start = 0;
        for run in order.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
            runs.push((start..start + run.len(), run[0].2));
            start += run.len();
            first[usize::from(run[0].0) + 1] += 1;
        }
        for key in 0..KEYS {
            first[key + 1] += first[key];
        }
        Band { hashes: order.iter().map(|(_, _, place)| hashes[*place]).collect(), runs, first }
    }

    /// Joins what is alike among hashes that differ in at most `radius` bits of this band.
    fn join_near(&self, radius: u32, reach: u32, sets: &mut DisjointSets) {
        let flips: Vec<usize> = (0..KEYS).filter(|flip| flip.count_ones() <= radius).collect();
        for key in (0..KEYS).filter(|&key| self.first[key] < self.first[key + 1]) {
            // Of two keys, the smaller one looks for the larger.
            for other in flips.iter().map(|flip| key ^ flip).filter(|&other| key <= other) {
                for left in self.first[key]..self.first[key + 1] {
                    let from = if key == other { left + 1 } else { self.first[other] };
                    for right in from..self.first[other + 1] {
                        self.join_runs(&self.runs[left], &self.runs[right], reach, sets);
                    }
                }
            }
        }
    }

    fn join_runs(
        &self,
        (left, place): &(Range<usize>, usize),
        (right, other): &(Range<usize>, usize),
        reach: u32,
        sets: &mut DisjointSets,
    ) {
        if sets.root(*place) == sets.root(*other) {
            return;
        }
        let (left, right) = (&self.hashes[left.clone()], &self.hashes[right.clone()]);
        if left.iter().any(|one| right.iter().any(|two| bits_apart(one, two) <= reach)) {
            sets.join(*place, *other);
        }
    }
}

/// Union-find: which places are known to be in one set.
struct DisjointSets {
    /// Of each place another one of its set, nearer to its root; a root is its own.
    parents: Vec<usize>,
    /// Of each root, how many are in its set.
    sizes: Vec<usize>,
}

impl DisjointSets {
    fn new(places: usize) -> DisjointSets {
        DisjointSets { parents: (0..places).collect(), sizes: vec![1; places] }
    }

    fn root(&mut self, mut place: usize) -> usize {
        while self.parents[place] != place {
            self.parents[place] = self.parents[self.parents[place]];
            place = self.parents[place];
        }
        place
    }

    fn join(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        if left != right {
            let (small, large) = if self.sizes[left] < self.sizes[right] { (left, right) } else { (right, left) };
            self.parents[small] = large;
            self.sizes[large] += self.sizes[small];
        }
    }

    /// The number of each place's set, numbered in the order in which they appear.
    fn numbers(&mut self) -> Vec<usize> {
        let places = self.parents.len();
        let mut of_roots = vec![None; places];
        let mut sets = 0;
        let number = |place: usize| {
            let root = self.root(place);
            *of_roots[root].get_or_insert_with(|| {
                sets += 1;
                sets - 1
            })
        };
        (0..places).map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rng;

    /// By comparing each with each.
    fn by_brute_force(hashes: &[Hash], reach: u32) -> Vec<usize> {
        let mut sets = DisjointSets::new(hashes.len());
        for (place, hash) in hashes.iter().enumerate() {
            for (earlier, before) in hashes[..place].iter().enumerate() {
                if bits_apart(hash, before) <= reach {
                    sets.join(earlier, place);
                }
            }
        }
        sets.numbers()
    }

    fn flipped(mut hash: Hash, bits: &[u8]) -> Hash {
        bits.iter().for_each(|&bit| hash[usize::from(bit) / 64] ^= 1 << (bit % 64));
        hash
    }

    fn random(rng: &mut Rng) -> Hash {
        std::array::from_fn(|_| rng.bits())
    }

    /// Hashes of so many things, of each from one to five with up to 12 bits of it flipped.
    fn clusters(things: usize, rng: &mut Rng) -> Vec<Hash> {
        let mut hashes = Vec::new();
        for _ in 0..things {
            let thing = random(rng);
            for _ in 0..rng.between(1, 5) {
                let bits: Vec<u8> = (0..rng.below(13)).map(|_| rng.below(256) as u8).collect();
                hashes.push(flipped(thing, &bits));
            }
        }
        // Copies are not neighbours.
        for place in (1..hashes.len()).rev() {
            hashes.swap(place, rng.below(place + 1));
        }
        hashes
    }

    #[test]
    fn the_bits_are_dealt_out_without_loss() {
        let mut rng = Rng::new(3);
        let (one, two) = (random(&mut rng), random(&mut rng));
        assert_eq!(bits_apart(&spread(&one), &spread(&two)), bits_apart(&one, &two));
        assert_eq!(spread(&[u64::MAX; 4]), [u64::MAX; 4]);
        // A row has one bit in each band.
        let row = spread(&[0xffff, 0, 0, 0]);
        assert!((0..BANDS).all(|band| key(&row, band).count_ones() == 1));
    }

    #[test]
    fn hashes_with_much_in_common_are_grouped_too() {
        // All alike in three quarters of their bits, so that bands tell little apart.
        let mut rng = Rng::new(9);
        let common = random(&mut rng);
        let hashes: Vec<Hash> = (0..600).map(|_| [common[0], common[1], common[2], rng.bits() & rng.bits()]).collect();
        let found = groups(&hashes, 16);
        assert_eq!(found, by_brute_force(&hashes, 16));
        assert!(count(&found) > 1);
    }

    fn count(groups: &[usize]) -> usize {
        groups.iter().max().map_or(0, |last| last + 1)
    }

    #[test]
    fn a_pair_is_found_however_its_bits_are_spread() {
        // Two bits of each diagonal, which is a band: the fewest that the most different band can have at 32.
        let diagonal = |band: u8, row: u8| 16 * row + (band + 16 - row) % 16;
        let even: Vec<u8> = (0..16).flat_map(|band| [diagonal(band, 0), diagonal(band, 7)]).collect();
        let hash = [0x0123_4567_89ab_cdef; 4];
        assert_eq!(groups(&[hash, flipped(hash, &even)], 32), [0, 0]);
        let one_more = [even.as_slice(), &[diagonal(3, 9)]].concat();
        assert_eq!(groups(&[hash, flipped(hash, &one_more)], 32), [0, 1]);
        // All in two bands.
        let narrow: Vec<u8> = (0..16).flat_map(|row| [diagonal(4, row), diagonal(9, row)]).collect();
        assert_eq!(groups(&[hash, flipped(hash, &narrow)], 32), [0, 0]);
    }

    #[test]
    fn groups_of_a_hundred_and_sixty_thousand_images_are_those_that_were_made() {
        let mut rng = Rng::new(7);
        let things = 53_400;
        let hashes = clusters(things, &mut rng);
        assert!((155_000..165_000).contains(&hashes.len()), "{}", hashes.len());
        assert_eq!(count(&groups(&hashes, 32)), things);
    }

    #[test]
    fn a_crowd_of_near_copies_among_others_is_one_group() {
        let mut rng = Rng::new(8);
        let thing = random(&mut rng);
        let copies: Vec<Hash> =
            (0..60_000).map(|_| flipped(thing, &[rng.below(256) as u8, rng.below(256) as u8])).collect();
        let others = (0..20_000).map(|_| random(&mut rng));
        let hashes: Vec<Hash> = copies.into_iter().chain(others).collect();
        let found = groups(&hashes, 32);
        assert_eq!(count(&found), 20_001);
        assert!(found[..60_000].iter().all(|&group| group == 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_found_is_what_comparing_each_with_each_finds(
            steps in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..45)), 1..60),
            seeds in prop::collection::vec(any::<Hash>(), 1..4),
            reach in prop_oneof![Just(32_u32), 0_u32..50],
        ) {
            let mut hashes = seeds;
            for (of, bits) in steps {
                hashes.push(flipped(*of.get(&hashes), &bits));
            }
            prop_assert_eq!(groups(&hashes, reach), by_brute_force(&hashes, reach));
        }
    }
}
