//! The second stage: both classifiers on the embeddings of an encoder that stays as it is.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::batch::{Label, Labels};
use super::encoder::TrainingError;
use super::optimiser::{Optimiser, Rule};
use super::parameters::{Norms, Parameters};
use super::schedule::Schedule;
use super::{heads, loss};
use crate::augment::Dice;
use artefact::architecture::HIDDEN;
use engine::weights::Weights;

/// `[classifiers]` of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Differently perturbed crops of each image that are embedded, at the size that is served.
    pub views: usize,
    /// Share of these that go through what a social network does.
    pub social: f64,
    pub epochs: u64,
    pub batch: usize,
    pub optimiser: Rule,
    pub schedule: Schedule,
    /// Share of the hidden layers that each step goes without.
    #[serde(default)]
    pub dropout: f64,
    #[serde(default)]
    pub smoothing: f64,
    /// Whether real and synthetic images count alike, and all generators alike, however many there are of each.
    #[serde(default)]
    pub balance: bool,
}

/// Embeddings of images, `[n, embedding]`, fp32 on the CPU, and what the images are.
#[derive(Debug)]
pub struct Embedded {
    pub embeddings: Tensor,
    pub labels: Labels,
    /// Of each row: images that show the same thing are in one group.
    pub groups: Vec<usize>,
}

impl Embedded {
    /// Those groups of images whose turn it is in this of so many parts, and all others.
    pub fn split(&self, fold: usize, folds: usize) -> Result<(Embedded, Embedded), TchError> {
        let rows = 0..self.labels.0.len();
        let (own, others): (Vec<usize>, Vec<usize>) = rows.partition(|&row| self.groups[row] % folds == fold);
        Ok((self.select(&own)?, self.select(&others)?))
    }

    /// Those rows, in that order.
    pub fn select(&self, rows: &[usize]) -> Result<Embedded, TchError> {
        let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        Ok(Embedded {
            embeddings: self.embeddings.f_index_select(0, &Tensor::from_slice(&indices))?,
            labels: Labels(rows.iter().map(|&row| self.labels.0[row]).collect()),
            groups: rows.iter().map(|&row| self.groups[row]).collect(),
        })
    }
}

/// Trains both from the weights that are given for them (`origin.*`, and `generators.*` if there are classes), and gives
/// theirs. The embeddings are taken as they are, and losses take logits: as in serving.
pub fn fit(plan: &Plan, start: &Weights, embedded: &Embedded, seed: u64) -> Result<Weights, TrainingError> {
    let labels = &embedded.labels.0;
    let synthetic = labels.iter().filter(|label| label.is_synthetic()).count();
    if synthetic < 2 || labels.len() - synthetic < 2 {
        return Err(TrainingError::TooLittle(format!(
            "the classifiers want at least two real and two synthetic images; there are {} and {synthetic}",
            labels.len() - synthetic
        )));
    }
    let mut own = start.below("origin.").under("origin.");
    own.extend(start.below("generators.").under("generators."));
    let parameters = Parameters::new(&own, tch::Device::Cpu);
    let names_generators = own.find("generators.3.bias").is_some();
    let mut optimiser = Optimiser::new(plan.optimiser);
    let order = Order::new(labels, plan.balance);
    let per_epoch = labels.len().div_ceil(plan.batch.max(2)) as u64;
    for epoch in 0..plan.epochs {
        let rows = order.of_epoch(seed, epoch);
        for (step, rows) in rows.chunks(plan.batch.max(2)).enumerate() {
            if rows.len() < 2 {
                // One row has no variance to normalise by.
                continue;
            }
            let batch = embedded.select(rows)?;
            let number = epoch * per_epoch + step as u64;
            let mut dice = Dice::of(seed, &[b"dropout", &number.to_le_bytes()]);
            parameters.clear();
            let loss = loss_of(plan, &parameters, &batch, &mut dice, names_generators)?;
            loss.f_backward()?;
            if !f64::try_from(loss.to_kind(Kind::Double))?.is_finite() {
                return Err(TrainingError::Diverged { step: number });
            }
            let rate = plan.schedule.at(number, plan.epochs * per_epoch);
            optimiser.step(&parameters, |_| rate)?;
        }
    }
    Ok(parameters.weights())
}

fn loss_of(
    plan: &Plan,
    parameters: &Parameters,
    batch: &Embedded,
    dice: &mut Dice,
    names_generators: bool,
) -> Result<Tensor, TchError> {
    let kept = dropped_out(batch.labels.0.len() as i64, plan.dropout, dice);
    let logits = heads::origin(parameters, &batch.embeddings, Norms::Moving, kept.as_ref())?;
    let origin = loss::origin(&logits, &batch.labels.synthetic(), plan.smoothing)?;
    let (rows, classes) = batch.labels.generators();
    if !names_generators || rows.numel() < 2 {
        return Ok(origin);
    }
    let kept = dropped_out(rows.size()[0], plan.dropout, dice);
    let synthetic = batch.embeddings.f_index_select(0, &rows)?;
    let logits = heads::generators(parameters, &synthetic, Norms::Moving, kept.as_ref())?;
    origin.f_add(&loss::generators(&logits, &classes, plan.smoothing)?)
}

/// `[n, hidden]`: 0 for a share of all, so much more for the rest that the mean stays.
fn dropped_out(rows: i64, share: f64, dice: &mut Dice) -> Option<Tensor> {
    (share > 0.0).then(|| {
        let kept = (1.0 / (1.0 - share)) as f32;
        let mask: Vec<f32> = (0..rows * HIDDEN).map(|_| if dice.chance(share) { 0.0 } else { kept }).collect();
        Tensor::from_slice(&mask).view([rows, HIDDEN])
    })
}

/// Fisher and Yates.
fn shuffle(places: &mut [usize], dice: &mut Dice) {
    for place in (1..places.len()).rev() {
        places.swap(place, dice.below(place + 1));
    }
}

/// In which order an epoch goes through the images.
pub struct Order {
    /// Groups of places that count alike; one group of all where nothing is balanced.
    groups: Vec<Vec<usize>>,
    images: usize,
}

impl Order {
    pub fn new(labels: &[Label], balance: bool) -> Order {
        let images = labels.len();
        if !balance {
            return Order { groups: vec![(0..images).collect()], images };
        }
        let mut groups: std::collections::BTreeMap<Option<usize>, Vec<usize>> = std::collections::BTreeMap::new();
        for (place, label) in labels.iter().enumerate() {
            // 0 for real, then one for synthetic images of unnamed generators, then the generators.
            let group = label.is_synthetic().then(|| label.generator().map_or(0, |generator| generator + 1));
            groups.entry(group).or_default().push(place);
        }
        Order { groups: groups.into_values().collect(), images }
    }

    /// As many places as there are images; each once, or where groups are balanced: half of them real, the other half
    /// from all generators alike, each group again and again in a new order.
    pub fn of_epoch(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let mut dice = Dice::of(seed, &[b"order", &epoch.to_le_bytes()]);
        if let [all] = self.groups.as_slice() {
            let mut places = all.clone();
            shuffle(&mut places, &mut dice);
            return places;
        }
        let mut decks: Vec<Vec<usize>> = vec![Vec::new(); self.groups.len()];
        let mut deal = |group: usize| {
            if decks[group].is_empty() {
                decks[group].clone_from(&self.groups[group]);
                shuffle(&mut decks[group], &mut dice);
            }
            decks[group].pop()
        };
        let others = self.groups.len() - 1;
        (0..self.images)
            .filter_map(|turn| {
                let group = if turn.is_multiple_of(2) { 0 } else { 1 + turn / 2 % others };
                deal(group)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::testing;
    use engine::heads::{Generators, Origin};

    fn plan() -> Plan {
        Plan {
            views: 1,
            social: 0.0,
            epochs: 30,
            batch: 16,
            optimiser: Rule::Adamw { beta1: 0.9, beta2: 0.999, weight_decay: 1e-3 },
            schedule: Schedule { rate: 3e-3, warm_up: 0.0, floor: 0.0 },
            dropout: 0.2,
            smoothing: 0.0,
            balance: true,
        }
    }

    /// Clouds around a point for each label.
    fn embedded(count: usize) -> Embedded {
        let labels: Vec<Label> =
            (0..count).map(|i| if i % 2 == 0 { Label::Real } else { Label::Synthetic(Some(i / 2 % 3)) }).collect();
        let embeddings = testing::wave(&[count as i64, 128], 0.3) * 0.6;
        for (row, label) in labels.iter().enumerate() {
            let place = label.generator().map_or(0, |generator| generator as i64 + 1);
            let _ = embeddings.get(row as i64).get(place).fill_(3.0);
        }
        Embedded { embeddings, labels: Labels(labels), groups: (0..count).collect() }
    }

    #[test]
    fn what_was_trained_serves() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let embedded = embedded(60);
        let fitted = fit(&plan(), &testing::weights(architecture, 3), &embedded, 1).unwrap();
        // By the engine's own classifiers.
        let origin = Origin::new(&fitted, tch::Device::Cpu).forward(&embedded.embeddings).unwrap();
        let logits = Vec::<f32>::try_from(origin).unwrap();
        let right =
            logits.iter().zip(&embedded.labels.0).filter(|(logit, label)| (**logit > 0.0) == label.is_synthetic());
        assert!(right.count() >= 58);
        let generators = Generators::new(&fitted, tch::Device::Cpu).forward(&embedded.embeddings).unwrap();
        let named = Vec::<i64>::try_from(generators.argmax(1, false)).unwrap();
        let wrong = named
            .iter()
            .zip(&embedded.labels.0)
            .filter(|(named, label)| label.generator().is_some_and(|g| g as i64 != **named));
        assert!(wrong.count() <= 1);
        // And once more, bit for bit.
        let again = fit(&plan(), &testing::weights(architecture, 3), &embedded, 1).unwrap();
        assert!(again.iter().all(|(name, tensor)| tensor.equal(fitted.get(name))));
    }

    #[test]
    fn one_kind_alone_teaches_nothing() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let mut embedded = embedded(8);
        embedded.labels.0.fill(Label::Real);
        let error = fit(&plan(), &testing::weights(architecture, 3), &embedded, 1).unwrap_err().to_string();
        assert!(error.contains("8 and 0"), "{error}");
    }

    #[test]
    fn a_balanced_epoch_is_half_real_and_deals_all_generators_alike() {
        let mut labels = vec![Label::Real; 10];
        labels.extend([Label::Synthetic(Some(0)); 4]);
        labels.extend([Label::Synthetic(Some(1)); 26]);
        let places = Order::new(&labels, true).of_epoch(3, 0);
        let count = |wanted: Label| places.iter().filter(|&&place| labels[place] == wanted).count();
        assert_eq!(
            [count(Label::Real), count(Label::Synthetic(Some(0))), count(Label::Synthetic(Some(1)))],
            [20, 10, 10]
        );
        // Each of the four is dealt before any comes a third time.
        assert!((10..14).all(|place| (2..=3).contains(&places.iter().filter(|&&p| p == place).count())));
        let mut plain = Order::new(&labels, false).of_epoch(3, 0);
        plain.sort_unstable();
        assert_eq!(plain, (0..40).collect::<Vec<_>>());
    }
}
