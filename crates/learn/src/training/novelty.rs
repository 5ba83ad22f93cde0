//! Fits the statistics by which `engine::novelty` tells how little an image resembles the known generators.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::classifiers::Embedded;
use super::encoder::TrainingError;
use super::network::normalise;
use super::predictions::Predictions;
use artefact::novelty::{Doubt, Known};
use engine::novelty::Novelty;
use engine::weights::Weights;

/// `[novelty]` of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Dimensions of the projection, at most.
    pub dimensions: usize,
    /// Share of the mean spread that is added to every direction, so that few images do not make some of them count for all.
    pub shrinkage: f64,
    /// Whether embeddings are scaled to length 1 first.
    pub unit: bool,
    /// Share of known images that keep their generator's name.
    pub known: f32,
    /// Whether doubts about the generator count too.
    #[serde(default)]
    pub doubt: bool,
}

/// So many distances of known images are kept.
const QUANTILES: i64 = 101;

/// Directions and means by `trained`, distances by `held_out`, of which `predictions` is what classifiers said: those of images that
/// were trained on are too short. Only synthetic images whose generator is named count. `None` where there are too few.
pub fn fit(
    plan: &Plan,
    trained: &Embedded,
    held_out: &Embedded,
    predictions: &Predictions,
) -> Result<Option<(Known, Weights)>, TrainingError> {
    let _no_grad = tch::no_grad_guard();
    let Some((known, weights)) = space(plan, trained)? else { return Ok(None) };
    let distances = distances(plan, &known, &weights, held_out)?;
    Ok(with_quantiles(plan, (known, weights), &distances, predictions))
}

/// The same by all images; the distance of each from what the other folds show. `folds`: of each row.
pub fn fit_out_of_fold(
    plan: &Plan,
    embedded: &Embedded,
    folds: &[usize],
    predictions: &Predictions,
) -> Result<Option<(Known, Weights)>, TrainingError> {
    let _no_grad = tch::no_grad_guard();
    let mut all = Vec::new();
    for fold in 0..folds.iter().max().map_or(0, |last| last + 1) {
        let (own, others) = embedded.split(folds, fold)?;
        if let Some((known, weights)) = space(plan, &others)? {
            all.extend(distances(plan, &known, &weights, &own)?);
        }
    }
    Ok(space(plan, embedded)?.and_then(|(known, weights)| with_quantiles(plan, (known, weights), &all, predictions)))
}

/// `predictions`: what classifiers said of the same images, in the same order, and of others between them.
fn with_quantiles(
    plan: &Plan,
    (mut known, mut weights): (Known, Weights),
    distances: &[f32],
    predictions: &Predictions,
) -> Option<(Known, Weights)> {
    if distances.len() < 2 {
        return None;
    }
    let named =
        predictions.labels.iter().zip(&predictions.confidences).filter(|(label, _)| label.generator().is_some());
    let confidences: Vec<f32> = named.map(|(_, confidence)| *confidence).collect();
    known.doubt = plan.doubt.then(|| Doubt { distance: spread(distances), confidence: spread(&confidences) });
    let statistic = distances
        .iter()
        .zip(&confidences)
        .map(|(&distance, &confidence)| known.doubt.map_or(distance, |doubt| doubt.with(distance, confidence)));
    weights.insert("novelty.quantiles", Tensor::from_slice(&quantiles(statistic.collect())));
    Some((known, weights))
}

/// Mean and deviation.
fn spread(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, variance.sqrt().max(1e-6) as f32)
}

/// Of each row the share of known images that are less novel, as the engine will say it. `predictions`: what classifiers said of
/// the same rows.
pub fn shares(
    known: &Known,
    weights: &Weights,
    embedded: &Embedded,
    predictions: &Predictions,
) -> Result<Vec<f32>, TchError> {
    let _no_grad = tch::no_grad_guard();
    let novelty = Novelty::new(weights, known, Device::Cpu);
    let confidences: Vec<Vec<f32>> = predictions.confidences.iter().map(|&confidence| vec![confidence]).collect();
    novelty.shares(&novelty.distances(&embedded.embeddings)?, &confidences)
}

/// Of images with a named generator, by the engine's own arithmetic.
fn distances(plan: &Plan, known: &Known, weights: &Weights, held_out: &Embedded) -> Result<Vec<f32>, TchError> {
    let Some((rows, _)) = named(plan, held_out)? else { return Ok(Vec::new()) };
    // They are scaled already.
    let as_they_are = Known { unit: false, ..known.clone() };
    let distances = Novelty::new(weights, &as_they_are, Device::Cpu).distances(&rows.f_to_kind(Kind::Float)?)?;
    Vec::try_from(distances)
}

/// The projection, and where the generators lie in it; the quantiles are not known yet.
fn space(plan: &Plan, trained: &Embedded) -> Result<Option<(Known, Weights)>, TchError> {
    let Some((rows, classes)) = named(plan, trained)? else { return Ok(None) };
    let means = class_means(&rows, &classes)?;
    let generators = means.size()[0];
    let residuals = rows.f_sub(&means.f_index_select(0, &ranks(&classes)?)?)?;
    let freedom = (rows.size()[0] - generators).max(1) as f64;
    let spread = residuals.f_transpose(0, 1)?.f_matmul(&residuals)?.f_div_scalar(freedom)?;
    let mean_spread = f64::try_from(spread.f_trace()?)? / spread.size()[0] as f64;
    let added = (plan.shrinkage * mean_spread).max(1e-12);
    let (variances, directions) = spread.f_linalg_eigh("L")?;
    // Ascending: the widest are the last.
    let dimensions = (plan.dimensions as i64).clamp(1, variances.size()[0]);
    let kept = |tensor: &Tensor| {
        let last = tensor.dim() as i64 - 1;
        tensor.f_narrow(last, tensor.size()[last as usize] - dimensions, dimensions)
    };
    let scale = (kept(&variances)?.f_clamp_min(0.0)? + added).f_rsqrt()?;
    let projection = kept(&directions)?.f_mul(&scale)?.f_transpose(0, 1)?;
    let mean = rows.f_mean_dim([0_i64].as_slice(), false, Kind::Double)?;
    let places = means.f_sub(&mean)?.f_matmul(&projection.f_transpose(0, 1)?)?;
    let known = Known {
        statistic: Known::STATISTIC.into(),
        unit: plan.unit,
        dimensions,
        generators,
        quantiles: QUANTILES,
        doubt: None,
        limit: plan.known,
    };
    let mut weights = Weights::default();
    let float = |tensor: Tensor| tensor.to_kind(Kind::Float).contiguous();
    weights.insert("novelty.mean", float(mean));
    weights.insert("novelty.projection", float(projection));
    weights.insert("novelty.generators", float(places));
    weights.insert("novelty.quantiles", Tensor::zeros([QUANTILES], (Kind::Float, Device::Cpu)));
    Ok(Some((known, weights)))
}

/// Embeddings of images with a named generator, in fp64, and the generators; `None` for fewer than two.
fn named(plan: &Plan, embedded: &Embedded) -> Result<Option<(Tensor, Vec<usize>)>, TchError> {
    let labels = embedded.labels.0.iter().enumerate();
    let (rows, classes): (Vec<_>, Vec<_>) =
        labels.filter_map(|(row, label)| Some((row as i64, label.generator()?))).unzip();
    if rows.len() < 2 {
        return Ok(None);
    }
    let chosen = embedded.embeddings.f_index_select(0, &Tensor::from_slice(&rows))?.f_to_kind(Kind::Double)?;
    Ok(Some((if plan.unit { normalise(&chosen)? } else { chosen }, classes)))
}

/// The generators that are there, numbered without gaps.
fn ranks(classes: &[usize]) -> Result<Tensor, TchError> {
    let mut there = classes.to_vec();
    there.sort_unstable();
    there.dedup();
    let rank = |class: &usize| there.partition_point(|other| other < class) as i64;
    Tensor::f_from_slice(&classes.iter().map(rank).collect::<Vec<_>>())
}

/// `[generators, embedding]`, in the order of [`ranks`].
fn class_means(rows: &Tensor, classes: &[usize]) -> Result<Tensor, TchError> {
    let ranks = ranks(classes)?;
    let generators = i64::try_from(ranks.max())? + 1;
    let means = (0..generators).map(|generator| {
        let own = ranks.f_eq(generator)?.f_nonzero()?.f_squeeze_dim(1)?;
        rows.f_index_select(0, &own)?.f_mean_dim([0_i64].as_slice(), false, Kind::Double)
    });
    Tensor::f_stack(&means.collect::<Result<Vec<_>, _>>()?, 0)
}

/// At equal shares, with straight lines between neighbours.
fn quantiles(mut distances: Vec<f32>) -> Vec<f32> {
    distances.sort_by(f32::total_cmp);
    let last = (distances.len() - 1) as f32;
    let at = |step: i64| {
        let place = last * step as f32 / (QUANTILES - 1) as f32;
        let below = distances[place as usize];
        let above = distances[(place as usize + 1).min(distances.len() - 1)];
        below + (above - below) * place.fract()
    };
    (0..QUANTILES).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::batch::{Label, Labels};
    use crate::training::stratum::Stratum;
    use augment::Rng;

    /// Classifiers that are sure of everything.
    fn predictions(embedded: &Embedded) -> Predictions {
        let labels = embedded.labels.0.clone();
        Predictions { confidences: vec![1.0; labels.len()], labels, ..Predictions::default() }
    }

    /// Two clouds, wide in the second direction and narrow in the others.
    fn clouds(count: usize, seed: u64) -> Embedded {
        let mut rng = Rng::new(seed);
        let (mut numbers, mut labels) = (Vec::new(), Vec::new());
        for row in 0..count {
            let (class, place) = if row % 2 == 0 { (0, 1.0) } else { (3, -1.0) };
            let spread = [(place, 0.1), (0.0, 5.0), (0.0, 0.1), (0.0, 0.1)];
            numbers.extend(spread.map(|(centre, width)| (centre + width * rng.normal()) as f32));
            labels.push(Label::Synthetic(Some(class)));
        }
        let embeddings = Tensor::from_slice(&numbers).view([count as i64, 4]);
        let strata = vec![Stratum::Generator("a".into()); count];
        Embedded { embeddings, labels: Labels(labels), groups: (0..count).collect(), strata }
    }

    #[test]
    fn what_is_unlike_every_generator_passes_the_limit_and_what_is_known_mostly_does_not() {
        let plan = Plan { dimensions: 4, shrinkage: 1e-4, unit: false, doubt: false, known: 0.95 };
        let held_out = clouds(100, 2);
        let (known, weights) = fit(&plan, &clouds(200, 1), &held_out, &predictions(&held_out)).unwrap().unwrap();
        assert_eq!((known.generators, known.dimensions, known.limit), (2, 4, 0.95));
        let novelty = Novelty::new(&weights, &known, Device::Cpu);
        let rate = |embeddings: &Tensor| {
            let generators = vec![vec![1.0]; embeddings.size()[0] as usize];
            novelty.shares(&novelty.distances(embeddings).unwrap(), &generators).unwrap()
        };
        let of_known = rate(&clouds(100, 3).embeddings);
        let beyond = of_known.iter().filter(|&&rate| rate >= known.limit).count();
        assert!(beyond <= 15, "{beyond}");
        // Between the two clouds, and beside them in a narrow direction: strange. Far out in the wide one: not very.
        let strange = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]).view([2, 4]);
        assert_eq!(rate(&strange), [1.0, 1.0]);
        assert!(rate(&Tensor::from_slice(&[1.0_f32, 4.0, 0.0, 0.0]).view([1, 4]))[0] < 0.95);
    }

    #[test]
    fn without_named_generators_there_are_no_statistics() {
        let plan = Plan { dimensions: 4, shrinkage: 1e-4, unit: true, doubt: true, known: 0.95 };
        let mut nameless = clouds(10, 4);
        nameless.labels.0.fill(Label::Synthetic(None));
        let held_out = clouds(10, 4);
        assert!(fit(&plan, &nameless, &held_out, &predictions(&held_out)).unwrap().is_none());
    }
}
