//! In which order an epoch goes through the images, and how much each counts.

use serde::{Deserialize, Serialize};

use super::batch::Label;
use super::stratum::{self, Stratum};
use augment::Rng;

/// Most of the real images of an epoch that may come from one source, unless there are too few sources for that.
const MOST_OF_ONE_SOURCE: f64 = 0.08;

/// `sampling` of a recipe: how often an image comes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Each image once an epoch.
    #[default]
    Plain,
    /// Half of an epoch is real, and the other half comes from all generators of the label set alike, however many images
    /// there are of each.
    Generators,
    /// Half is real, from all sources by the square root of their number of images but at most 8 % from one; the other half is
    /// synthetic, from all generators by the square root of theirs. Whoever learns one source by heart gains little.
    Sources,
}

/// `weighting` of a recipe: how much an image counts in a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// All alike.
    #[default]
    Plain,
    /// Real and synthetic images count alike over all, and of these each by the square root of the number of images of its
    /// source or generator.
    Sources,
}

/// In which order an epoch goes through the images.
#[derive(Debug)]
pub struct Order {
    /// Real and synthetic images; empty where each comes once.
    halves: Vec<Half>,
    images: usize,
    /// The same where each comes once: what an image of the other class is drawn from.
    classes: [Half; 2],
}

/// The real or the synthetic images.
#[derive(Debug, Default)]
struct Half {
    decks: Vec<Vec<usize>>,
    /// Of each deck; their sum is 1.
    shares: Vec<f64>,
}

impl Order {
    /// `strata`: as many as `labels`.
    pub fn new(labels: &[Label], strata: &[Stratum], sampling: Sampling) -> Order {
        let images = labels.len();
        let halves = match sampling {
            Sampling::Plain => Vec::new(),
            Sampling::Generators => by_labels(labels),
            Sampling::Sources => by_strata(strata),
        };
        // One half alone is no balance.
        let halves = if halves.iter().any(|half| half.decks.is_empty()) { Vec::new() } else { halves };
        Order { halves, images, classes: [false, true].map(|synthetic| whole(labels, synthetic)) }
    }

    /// A random place of a class, as often as it comes up; `None` if the class has none.
    pub fn draw(&self, synthetic: bool, rng: &mut Rng) -> Option<usize> {
        let class = usize::from(synthetic);
        let half = self.halves.get(class).unwrap_or(&self.classes[class]);
        let mut rest = rng.unit();
        let found = half.shares.iter().position(|share| {
            rest -= share;
            rest < 0.0
        });
        let deck = half.decks.get(found.unwrap_or(half.decks.len().saturating_sub(1)))?;
        deck.get(rng.below(deck.len())).copied()
    }

    /// As many places as there are images: each once, or where they are balanced real and synthetic by turns, each deck again
    /// and again in a new order.
    pub fn of_epoch(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let mut rng = Rng::of(seed, &[b"order", &epoch.to_le_bytes()]);
        if self.halves.is_empty() {
            let mut places: Vec<usize> = (0..self.images).collect();
            rng.shuffle(&mut places);
            return places;
        }
        let mut hands: Vec<Hand<'_>> = self.halves.iter().map(|half| Hand::new(half, &mut rng)).collect();
        let turns = hands.len();
        (0..self.images).map(|turn| hands[turn % turns].deal(&mut rng)).collect()
    }
}

/// A half while it is dealt.
struct Hand<'a> {
    half: &'a Half,
    /// What each deck is owed: the one with the most is next, so that every stretch of an epoch has the shares of the whole.
    owed: Vec<f64>,
    left: Vec<Vec<usize>>,
}

impl<'a> Hand<'a> {
    fn new(half: &'a Half, rng: &mut Rng) -> Hand<'a> {
        let owed = half.shares.iter().map(|_| rng.unit()).collect();
        Hand { half, owed, left: vec![Vec::new(); half.decks.len()] }
    }

    fn deal(&mut self, rng: &mut Rng) -> usize {
        self.owed.iter_mut().zip(&self.half.shares).for_each(|(owed, share)| *owed += share);
        let most = (0..self.owed.len()).max_by(|&one, &other| self.owed[one].total_cmp(&self.owed[other]));
        let deck = most.unwrap_or_default();
        self.owed[deck] -= 1.0;
        if self.left[deck].is_empty() {
            self.left[deck].clone_from(&self.half.decks[deck]);
            rng.shuffle(&mut self.left[deck]);
        }
        self.left[deck].pop().unwrap_or_default()
    }
}

/// All images of a class as one deck.
fn whole(labels: &[Label], synthetic: bool) -> Half {
    let places: Vec<usize> = (0..labels.len()).filter(|&place| labels[place].is_synthetic() == synthetic).collect();
    match places.is_empty() {
        true => Half::default(),
        false => Half { decks: vec![places], shares: vec![1.0] },
    }
}

fn by_labels(labels: &[Label]) -> Vec<Half> {
    let mut groups: std::collections::BTreeMap<Option<usize>, Vec<usize>> = std::collections::BTreeMap::new();
    for (place, label) in labels.iter().enumerate() {
        // 0 for synthetic images of unnamed generators, then the generators.
        let group = label.is_synthetic().then(|| label.generator().map_or(0, |generator| generator + 1));
        groups.entry(group).or_default().push(place);
    }
    let half = |decks: Vec<Vec<usize>>| Half { shares: vec![1.0 / decks.len().max(1) as f64; decks.len()], decks };
    let real = groups.remove(&None).into_iter().collect();
    vec![half(real), half(groups.into_values().collect())]
}

fn by_strata(strata: &[Stratum]) -> Vec<Half> {
    let (mut real, mut synthetic) = (Half::default(), Half::default());
    for (stratum, rows) in stratum::rows(strata) {
        let half = if stratum.is_synthetic() { &mut synthetic } else { &mut real };
        half.shares.push((rows.len() as f64).sqrt());
        half.decks.push(rows);
    }
    real.shares = capped(&real.shares, MOST_OF_ONE_SOURCE);
    synthetic.shares = capped(&synthetic.shares, 1.0);
    vec![real, synthetic]
}

/// Shares of 1 in these proportions, none above `most`: what is cut from the large ones goes to the others. Where there are
/// too few for that, all are alike.
fn capped(proportions: &[f64], most: f64) -> Vec<f64> {
    let most = most.max(1.0 / proportions.len().max(1) as f64);
    let mut is_full = vec![false; proportions.len()];
    loop {
        let full = is_full.iter().filter(|&&full| full).count();
        let rest: f64 = proportions.iter().zip(&is_full).filter(|(_, full)| !**full).map(|(share, _)| share).sum();
        let left = (1.0 - most * full as f64).max(0.0);
        let share = |place: usize| if is_full[place] { most } else { left * proportions[place] / rest };
        let shares: Vec<f64> = (0..proportions.len()).map(share).collect();
        let over: Vec<usize> = (0..shares.len()).filter(|&place| shares[place] > most + 1e-12).collect();
        if over.is_empty() {
            return shares;
        }
        over.into_iter().for_each(|place| is_full[place] = true);
    }
}

/// How much each row counts; their mean is 1.
pub fn weights(strata: &[Stratum], weighting: Weighting) -> Vec<f64> {
    let mut weights = vec![1.0; strata.len()];
    if weighting == Weighting::Plain {
        return weights;
    }
    let rows = stratum::rows(strata);
    let sum = |synthetic: bool| -> f64 {
        let own = rows.iter().filter(|(stratum, _)| stratum.is_synthetic() == synthetic);
        own.map(|(_, rows)| (rows.len() as f64).sqrt()).sum()
    };
    let sums = [sum(false), sum(true)];
    let classes = sums.iter().filter(|&&sum| sum > 0.0).count() as f64;
    for (stratum, rows) in &rows {
        let all = sums[usize::from(stratum.is_synthetic())] * classes;
        let weight = strata.len() as f64 / ((rows.len() as f64).sqrt() * all);
        rows.iter().for_each(|&row| weights[row] = weight);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(source: &str, count: usize) -> Vec<Stratum> {
        vec![Stratum::Source(source.into()); count]
    }

    fn synthetic(generator: &str, count: usize) -> Vec<Stratum> {
        vec![Stratum::Generator(generator.into()); count]
    }

    fn labels(strata: &[Stratum]) -> Vec<Label> {
        strata.iter().map(|stratum| if stratum.is_synthetic() { Label::Synthetic(None) } else { Label::Real }).collect()
    }

    #[test]
    fn a_balanced_epoch_is_half_real_and_deals_all_generators_alike() {
        let mut labels = vec![Label::Real; 10];
        labels.extend([Label::Synthetic(Some(0)); 4]);
        labels.extend([Label::Synthetic(Some(1)); 26]);
        let strata = real("a", 40);
        let places = Order::new(&labels, &strata, Sampling::Generators).of_epoch(3, 0);
        let count = |wanted: Label| places.iter().filter(|&&place| labels[place] == wanted).count();
        assert_eq!(
            [count(Label::Real), count(Label::Synthetic(Some(0))), count(Label::Synthetic(Some(1)))],
            [20, 10, 10]
        );
        // Each of the four is dealt before any comes a third time.
        assert!((10..14).all(|place| (2..=3).contains(&places.iter().filter(|&&p| p == place).count())));
        let mut plain = Order::new(&labels, &strata, Sampling::Plain).of_epoch(3, 0);
        plain.sort_unstable();
        assert_eq!(plain, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn sources_and_generators_come_by_the_square_root_of_their_images() {
        let sizes = [400, 100, 100, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25];
        let mut strata: Vec<Stratum> =
            sizes.iter().enumerate().flat_map(|(n, &size)| real(&format!("source {n:02}"), size)).collect();
        strata.extend([synthetic("a", 900), synthetic("b", 100)].concat());
        let order = Order::new(&labels(&strata), &strata, Sampling::Sources);
        let places = order.of_epoch(1, 0);
        assert_eq!(places.len(), strata.len());
        let share = |stratum: &Stratum| {
            places.iter().filter(|&&place| strata[place] == *stratum).count() as f64 / places.len() as f64
        };
        // Roots 20, 10, 10 and 13 times 5: 19 % and 9.5 % are cut to 8 %, the rest is dealt to the small ones.
        for (n, wanted) in [(0, 0.04), (1, 0.04), (2, 0.04), (5, 0.38 / 13.0)] {
            let found = share(&Stratum::Source(format!("source {n:02}").into()));
            assert!((found - wanted).abs() < 0.002, "{n}: {found} {wanted}");
        }
        assert!((share(&Stratum::Generator("a".into())) - 0.375).abs() < 0.002);
        // Any batch of 48 has many sources.
        for batch in places.chunks_exact(48) {
            let sources: std::collections::BTreeSet<&Stratum> =
                batch.iter().map(|&place| &strata[place]).filter(|stratum| !stratum.is_synthetic()).collect();
            assert!(sources.len() >= 12, "{}", sources.len());
        }
        assert_eq!(places, order.of_epoch(1, 0));
        assert_ne!(places, order.of_epoch(1, 1));
    }

    #[test]
    fn an_image_of_a_class_is_drawn_as_often_as_it_comes_up() {
        let strata = [real("a", 100), real("b", 4), synthetic("c", 50)].concat();
        for (sampling, wanted) in [(Sampling::Plain, 4.0 / 104.0), (Sampling::Sources, 0.5)] {
            let order = Order::new(&labels(&strata), &strata, sampling);
            let mut rng = Rng::new(1);
            let drawn: Vec<usize> = (0..4000).map(|_| order.draw(false, &mut rng).unwrap()).collect();
            let share = drawn.iter().filter(|&&place| (100..104).contains(&place)).count() as f64 / 4000.0;
            assert!((share - wanted).abs() < 0.03 && drawn.iter().all(|&place| place < 104), "{sampling:?} {share}");
        }
        assert_eq!(Order::new(&[Label::Real], &real("a", 1), Sampling::Plain).draw(true, &mut Rng::new(1)), None);
    }

    #[test]
    fn few_sources_are_dealt_alike_and_one_class_alone_is_dealt_plainly() {
        assert_eq!(capped(&[9.0, 1.0], 0.08), [0.5, 0.5]);
        let strata = real("a", 9);
        let mut places = Order::new(&labels(&strata), &strata, Sampling::Sources).of_epoch(1, 0);
        places.sort_unstable();
        assert_eq!(places, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn weights_make_both_classes_count_alike_and_sources_by_their_root() {
        let strata = [real("a", 16), real("b", 4), synthetic("c", 100)].concat();
        let weights = weights(&strata, Weighting::Sources);
        let sum = |stratum: &Stratum| -> f64 {
            strata.iter().zip(&weights).filter(|(own, _)| *own == stratum).map(|(_, weight)| weight).sum()
        };
        let [a, b, c] = [0, 16, 20].map(|row| sum(&strata[row]));
        assert!((a + b - 60.0).abs() < 1e-9 && (c - 60.0).abs() < 1e-9, "{a} {b} {c}");
        assert!((a - 2.0 * b).abs() < 1e-9, "{a} {b}");
        assert_eq!(super::weights(&strata, Weighting::Plain), [1.0; 120]);
    }
}
