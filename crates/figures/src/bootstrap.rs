//! What a figure is worth: the interval that it would stay in, had other images of the same kind been taken.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Fewer defined values than this give no interval.
const FEWEST: usize = 20;

/// A number, and the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figure {
    /// `None` where there is nothing to measure.
    pub value: Option<f64>,
    pub interval: Option<[f64; 2]>,
}

/// Figures by name. A document has each as `name` and `name_interval`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(pub Vec<(&'static str, Figure)>);

impl Figures {
    /// No figure where there is none of the name.
    pub fn get(&self, name: &str) -> Figure {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, figure)| *figure).unwrap_or_default()
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 * self.0.len()))?;
        for (name, figure) in &self.0 {
            map.serialize_entry(name, &figure.value)?;
            map.serialize_entry(&format!("{name}_interval"), &figure.interval)?;
        }
        map.end()
    }
}

/// Percentile intervals over resamples of the images (Efron and Tibshirani 1993, chapter 13). All answers about an image
/// come and go with it: they are no independent evidence.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// Resamples; 0 gives no intervals.
    pub rounds: usize,
    pub seed: u64,
}

impl Bootstrap {
    /// Measures once on all images, and on each resample. `measure` takes a weight for each image number up to the largest
    /// of `images`, and gives one value for each of the names.
    pub fn figures(
        &self,
        names: &[&'static str],
        images: &[usize],
        measure: impl Fn(&[f64]) -> Vec<Option<f64>>,
    ) -> Figures {
        let images = distinct(images);
        let values = measure(&once(&images));
        let mut resampled = vec![Vec::with_capacity(self.rounds); names.len()];
        self.each_resample(&images, |weights| {
            for (all, value) in resampled.iter_mut().zip(measure(weights)) {
                all.extend(value);
            }
        });
        let figures = names.iter().zip(values).zip(resampled);
        Figures(figures.map(|((name, value), all)| (*name, Figure { value, interval: interval(all) })).collect())
    }

    /// The share of the resamples of which something holds, weights as in [`Bootstrap::figures`]; 0 without rounds.
    pub fn share_of_resamples(&self, images: &[usize], holds: impl Fn(&[f64]) -> bool) -> f64 {
        let mut holding = 0_usize;
        self.each_resample(&distinct(images), |weights| holding += usize::from(holds(weights)));
        holding as f64 / self.rounds.max(1) as f64
    }

    /// `images`: each once, in order.
    fn each_resample(&self, images: &[usize], mut visit: impl FnMut(&[f64])) {
        let mut weights = once(images);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        for _ in 0..self.rounds {
            images.iter().for_each(|&image| weights[image] = 0.0);
            (0..images.len()).for_each(|_| weights[images[random.random_range(0..images.len())]] += 1.0);
            visit(&weights);
        }
    }
}

fn distinct(images: &[usize]) -> Vec<usize> {
    let mut images = images.to_vec();
    images.sort_unstable();
    images.dedup();
    images
}

/// A weight of one for each of these images, of none for those between.
fn once(images: &[usize]) -> Vec<f64> {
    let mut weights = vec![0.0; images.last().map_or(0, |last| last + 1)];
    images.iter().for_each(|&image| weights[image] = 1.0);
    weights
}

/// From the 2.5th to the 97.5th percentile.
pub(crate) fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    if values.len() < FEWEST {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let percentile = |part: f64| {
        let place = part * (values.len() - 1) as f64;
        let (below, rest) = (place as usize, place.fract());
        let above = (below + 1).min(values.len() - 1);
        values[below] * (1.0 - rest) + values[above] * rest
    };
    Some([percentile(0.025), percentile(0.975)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::{Ranking, Scored};

    fn mean(weights: &[f64], values: &[f64]) -> Option<f64> {
        let all: f64 = weights.iter().sum();
        Some(weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>() / all)
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_textbook() {
        // 400 coins: the deviation of their mean is a half over 20.
        let values: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let images: Vec<usize> = (0..400).collect();
        let bootstrap = Bootstrap { rounds: 4000, seed: 3 };
        let figure = bootstrap.figures(&["mean"], &images, |weights| vec![mean(weights, &values)]).get("mean");
        assert_eq!(figure.value, Some(0.5));
        let [low, high] = figure.interval.unwrap();
        assert!(
            (low - (0.5 - 1.96 * 0.025)).abs() < 0.004 && (high - (0.5 + 1.96 * 0.025)).abs() < 0.004,
            "{low} {high}"
        );
        let again = bootstrap.figures(&["mean"], &images, |weights| vec![mean(weights, &values)]).get("mean");
        assert_eq!(again, figure, "the same seed gives the same interval");
    }

    #[test]
    fn percentiles_lie_between_the_values() {
        let [low, high] = interval((0..=100).rev().map(f64::from).collect()).unwrap();
        assert!((low - 2.5).abs() < 1e-9 && (high - 97.5).abs() < 1e-9, "{low} {high}");
        assert_eq!(interval(vec![1.0; 5]), None);
    }

    #[test]
    fn only_images_of_the_track_are_drawn_and_each_as_a_whole() {
        let figures = Bootstrap { rounds: 50, seed: 0 }.figures(&["outside", "all"], &[2, 5, 2], |weights| {
            vec![Some(weights[0] + weights[1] + weights[3] + weights[4]), Some(weights.iter().sum())]
        });
        assert_eq!(figures.get("outside"), Figure { value: Some(0.0), interval: Some([0.0, 0.0]) });
        assert_eq!(figures.get("all"), Figure { value: Some(2.0), interval: Some([2.0, 2.0]) });
        assert_eq!(figures.get("no such"), Figure::default());
    }

    /// 60 images that overlap, every answer about each given `times` times over, as about one image or as about others.
    fn repeated(times: usize, image: impl Fn(usize, usize) -> usize) -> Ranking {
        let answers = (0..60).flat_map(|place| (0..times).map(move |time| (place, time)));
        Ranking::of(answers.map(|(place, time)| {
            let logit = ((place * 37) % 60) as f32 + if place % 2 == 0 { 12.0 } else { 0.0 };
            Scored { image: image(place, time), logit, probability: 0.5, synthetic: place % 2 == 0 }
        }))
    }

    fn width(ranking: &Ranking) -> f64 {
        let images: Vec<usize> = ranking.scored().iter().map(|scored| scored.image).collect();
        let bootstrap = Bootstrap { rounds: 2000, seed: 1 };
        let [low, high] = bootstrap.figures(&["auc"], &images, |w| vec![ranking.auc(w)]).get("auc").interval.unwrap();
        high - low
    }

    #[test]
    fn counting_an_image_twice_does_not_make_the_interval_narrower() {
        let (single, twice) = (repeated(1, |place, _| place), repeated(2, |place, _| place));
        assert!((width(&single) - width(&twice)).abs() < 1e-9);
        // As if the second answers were about other images: falsely sure.
        let independent = repeated(2, |place, time| 2 * place + time);
        assert!(width(&independent) < 0.8 * width(&single), "{} {}", width(&independent), width(&single));
    }

    #[test]
    fn a_share_of_resamples_is_that_of_the_textbook() {
        // The mean of 400 coins exceeds a half by a deviation in a sixth of the samples.
        let values: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let images: Vec<usize> = (0..400).collect();
        let bootstrap = Bootstrap { rounds: 4000, seed: 3 };
        let share = bootstrap.share_of_resamples(&images, |weights| mean(weights, &values) > Some(0.525));
        assert!((share - 0.159).abs() < 0.03, "{share}");
        assert_eq!(Bootstrap { rounds: 0, seed: 3 }.share_of_resamples(&images, |_| true), 0.0);
        assert_eq!(bootstrap.share_of_resamples(&[], |weights| weights.is_empty()), 1.0);
    }

    #[test]
    fn a_document_has_the_interval_beside_the_figure() {
        let figures =
            Figures(vec![("auc", Figure { value: Some(0.9), interval: Some([0.8, 1.0]) }), ("ece", Figure::default())]);
        let wanted = serde_json::json!({"auc": 0.9, "auc_interval": [0.8, 1.0], "ece": null, "ece_interval": null});
        assert_eq!(serde_json::to_value(figures).unwrap(), wanted);
    }
}
