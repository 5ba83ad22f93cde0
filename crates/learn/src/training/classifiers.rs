//! The second stage: both classifiers on the embeddings of an encoder that stays as it is.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::batch::Labels;
use super::encoder::TrainingError;
use super::optimiser::{Optimiser, Rule};
use super::parameters::{Norms, Parameters};
use super::sampling::{self, Order, Sampling, Weighting};
use super::schedule::Schedule;
use super::stratum::Stratum;
use super::{heads, loss};
use artefact::architecture::HIDDEN;
use augment::Rng;
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
    #[serde(default)]
    pub sampling: Sampling,
    #[serde(default)]
    pub weighting: Weighting,
    /// What is added to the loss for each squared weight of the linear layers, over 2.
    #[serde(default)]
    pub l2: f64,
    /// Only the part of the embedding that the first so many layers of the encoder make, 1 to 4, is looked at; `None` for all
    /// of it. What lies deeper tells more of what an image shows than of how it was made.
    #[serde(default)]
    pub layers: Option<usize>,
}

/// Embeddings of images, `[n, embedding]`, fp32 on the CPU, and what the images are.
#[derive(Debug)]
pub struct Embedded {
    pub embeddings: Tensor,
    pub labels: Labels,
    /// Of each row: images that show the same thing are in one group.
    pub groups: Vec<usize>,
    pub strata: Vec<Stratum>,
}

impl Embedded {
    /// Those rows that are in this fold, and all others. `folds`: of each row.
    pub fn split(&self, folds: &[usize], fold: usize) -> Result<(Embedded, Embedded), TchError> {
        let rows = 0..self.labels.0.len();
        let (own, others): (Vec<usize>, Vec<usize>) = rows.partition(|&row| folds[row] == fold);
        Ok((self.select(&own)?, self.select(&others)?))
    }

    /// Those rows, in that order.
    pub fn select(&self, rows: &[usize]) -> Result<Embedded, TchError> {
        let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        Ok(Embedded {
            embeddings: self.embeddings.f_index_select(0, &Tensor::from_slice(&indices))?,
            labels: Labels(rows.iter().map(|&row| self.labels.0[row]).collect()),
            groups: rows.iter().map(|&row| self.groups[row]).collect(),
            strata: rows.iter().map(|&row| self.strata[row].clone()).collect(),
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
    let order = Order::new(labels, &embedded.strata, plan.sampling);
    let weights = sampling::weights(&embedded.strata, plan.weighting);
    let seen = match plan.layers {
        Some(layers) => Some(heads::columns_of(start, layers).map_err(TrainingError::TooLittle)?),
        None => None,
    };
    heads::look_only_at(&parameters, seen)?;
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
            let mut rng = Rng::of(seed, &[b"dropout", &number.to_le_bytes()]);
            parameters.clear();
            let own: Vec<f32> = rows.iter().map(|&row| weights[row] as f32).collect();
            let loss = loss_of(plan, &parameters, &batch, &own, &mut rng, names_generators)?;
            loss.f_backward()?;
            if !f64::try_from(loss.to_kind(Kind::Double))?.is_finite() {
                return Err(TrainingError::Diverged { step: number });
            }
            let rate = plan.schedule.at(number, plan.epochs * per_epoch);
            optimiser.step(&parameters, |_| rate)?;
            heads::look_only_at(&parameters, seen)?;
        }
    }
    Ok(parameters.weights())
}

fn loss_of(
    plan: &Plan,
    parameters: &Parameters,
    batch: &Embedded,
    weights: &[f32],
    rng: &mut Rng,
    names_generators: bool,
) -> Result<Tensor, TchError> {
    let weights = (plan.weighting != Weighting::Plain).then(|| Tensor::from_slice(weights));
    let kept = dropped_out(batch.labels.0.len() as i64, plan.dropout, rng);
    let logits = heads::origin(parameters, &batch.embeddings, Norms::Moving, kept.as_ref())?;
    let mut loss = loss::weighted_origin(&logits, &batch.labels.synthetic(), plan.smoothing, weights.as_ref())?;
    if plan.l2 > 0.0 {
        loss = loss.f_add(&heads::squares(parameters)?.f_mul_scalar(plan.l2 / 2.0)?)?;
    }
    let (rows, classes) = batch.labels.generators();
    if !names_generators || rows.numel() < 2 {
        return Ok(loss);
    }
    let kept = dropped_out(rows.size()[0], plan.dropout, rng);
    let synthetic = batch.embeddings.f_index_select(0, &rows)?;
    let logits = heads::generators(parameters, &synthetic, Norms::Moving, kept.as_ref())?;
    let weights = weights.map(|weights| weights.f_index_select(0, &rows)).transpose()?;
    loss.f_add(&loss::weighted_generators(&logits, &classes, plan.smoothing, weights.as_ref())?)
}

/// `[n, hidden]`: 0 for a share of all, so much more for the rest that the mean stays.
fn dropped_out(rows: i64, share: f64, rng: &mut Rng) -> Option<Tensor> {
    (share > 0.0).then(|| {
        let kept = (1.0 / (1.0 - share)) as f32;
        let mask: Vec<f32> = (0..rows * HIDDEN).map(|_| if rng.chance(share) { 0.0 } else { kept }).collect();
        Tensor::from_slice(&mask).view([rows, HIDDEN])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::batch::Label;
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
            sampling: Sampling::Generators,
            weighting: Weighting::Plain,
            l2: 0.0,
            layers: None,
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
        let strata = labels.iter().map(|label| match label {
            Label::Real => Stratum::Source("a".into()),
            Label::Synthetic(_) => Stratum::Generator("b".into()),
        });
        Embedded { embeddings, strata: strata.collect(), labels: Labels(labels), groups: (0..count).collect() }
    }

    #[test]
    fn the_engine_serves_what_was_fitted() {
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
    fn one_class_alone_is_refused() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let mut embedded = embedded(8);
        embedded.labels.0.fill(Label::Real);
        let error = fit(&plan(), &testing::weights(architecture, 3), &embedded, 1).unwrap_err().to_string();
        assert!(error.contains("8 and 0"), "{error}");
    }

    #[test]
    fn l2_makes_weights_smaller_and_balanced_weights_make_another_classifier() {
        let architecture = "resnet18-nodown-16".parse().unwrap();
        let start = testing::weights(architecture, 3);
        let of = |plan: Plan| fit(&plan, &start, &embedded(60), 1).unwrap();
        let size =
            |weights: &Weights| f64::try_from(weights.get("origin.1.weight").square().sum(Kind::Double)).unwrap();
        let plain = of(plan());
        assert!(size(&of(Plan { l2: 0.1, ..plan() })) < 0.9 * size(&plain));
        let weighted = of(Plan { weighting: Weighting::Sources, ..plan() });
        assert!(weighted.get("origin.1.weight").isfinite().all().try_into().is_ok_and(|finite: bool| finite));
    }

    #[test]
    fn classifiers_of_the_first_layers_do_not_depend_on_the_others() {
        let architecture: artefact::Architecture = "resnet50-half".parse().unwrap();
        let start = testing::weights(architecture, 3);
        let mut embedded = embedded(24);
        embedded.embeddings = testing::wave(&[24, 1920], 0.3);
        let fitted = fit(&Plan { layers: Some(2), epochs: 2, ..plan() }, &start, &embedded, 1).unwrap();
        let logits = |embeddings: &Tensor| {
            Vec::<f32>::try_from(Origin::new(&fitted, tch::Device::Cpu).forward(embeddings).unwrap()).unwrap()
        };
        let changed = embedded.embeddings.copy();
        let _ = tch::no_grad(|| changed.narrow(1, 128 + 256, 1920 - 128 - 256).fill_(5.0));
        assert_eq!(logits(&embedded.embeddings), logits(&changed));
        let error = |name: &str, layers| {
            let start = testing::weights(name.parse().unwrap(), 3);
            fit(&Plan { layers: Some(layers), ..plan() }, &start, &embedded, 1).unwrap_err().to_string()
        };
        assert!(error("resnet18-nodown-16", 2).contains("classifiers.layers"));
    }
}
