//! What networks say of images of sources and generators that they have not learnt from, and what follows from that: how
//! scores are read, from which novelty on a generator is unknown, and the figures that hold for what nobody has seen.

mod figures;

use serde::{Deserialize, Serialize};

use super::batch::Label;
use super::calibration::{self, Fitted};
use super::predictions::Predictions;
use super::stratum::Stratum;
use augment::Perturbation;
use domain::Policy;

pub use figures::UnseenReport;

/// Under what each image is looked at.
pub const CONDITIONS: [Perturbation; 3] = [Perturbation::None, Perturbation::Social, Perturbation::Equalised];
/// The first so many are how images reach a platform: scores are read by these. The others tell what file histories do.
const SERVED: usize = 2;
/// A name is given only where it is right in at least so many of the held-out cases …
const NAMES_RIGHT: f64 = 0.8;
/// … and at most so many of the images that are called synthetic get a wrong one.
const NAMES_WRONG: f64 = 0.1;

/// What was said of one image by a network that learnt neither from its source nor from its generator.
#[derive(Clone, Debug, PartialEq)]
pub struct UnseenImage {
    pub content_type: Option<String>,
    pub label: Label,
    pub stratum: Stratum,
    /// Under each of the [`CONDITIONS`].
    pub answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Of the origin.
    pub logit: f32,
    /// The generator classifier's first guess; `None` without one.
    pub guess: Option<usize>,
    /// Share of known images that are less novel; `None` where the recipe has no statistics of novelty.
    pub novelty: Option<f32>,
}

/// How a model reads its scores, by what networks like it said of images that they had not learnt from.
#[derive(Debug)]
pub struct Reading {
    pub fitted: Fitted,
    /// From which novelty on a synthetic image's generator is unknown; `None` where nothing is known of it.
    pub novelty_limit: Option<f32>,
    pub report: UnseenReport,
}

/// Fits calibration, thresholds and the limit of novelty to what was said of unseen images.
pub fn read(plan: &calibration::Plan, images: &[UnseenImage]) -> Reading {
    let fitted = calibration::fit(plan, &served(images));
    let policy = Policy { calibration: fitted.calibration, thresholds: fitted.thresholds, ..Policy::default() };
    let is_synthetic = |answer: &Answer| policy.probability(answer.logit) >= policy.thresholds.high;
    let novelty_limit = novelty_limit(images, is_synthetic);
    let report = UnseenReport::of(plan, &policy, novelty_limit, images);
    Reading { fitted, novelty_limit, report }
}

/// What was said under the conditions that images are served in, as rows; how generators are named is a question to known ones.
fn served(images: &[UnseenImage]) -> Predictions {
    let mut predictions = Predictions::default();
    for (group, image) in images.iter().enumerate() {
        for answer in image.answers.iter().take(SERVED) {
            predictions.logits.push(answer.logit);
            predictions.labels.push(image.label);
            predictions.groups.push(group);
            predictions.strata.push(image.stratum.clone());
        }
    }
    predictions
}

/// The highest limit with which names keep both promises, over all synthetic images that are called so.
fn novelty_limit(images: &[UnseenImage], is_called_synthetic: impl Fn(&Answer) -> bool) -> Option<f32> {
    let mut named: Vec<(f32, bool)> = Vec::new();
    for image in images.iter().filter(|image| image.label.is_synthetic()) {
        for answer in image.answers.iter().take(SERVED).filter(|answer| is_called_synthetic(answer)) {
            // One whose family no image has taught is right under no name.
            let is_right = answer.guess.is_some() && answer.guess == image.label.generator();
            named.push((answer.novelty?, is_right));
        }
    }
    named.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let (mut right, mut limit) = (0, 0.0);
    for (place, &(novelty, is_right)) in named.iter().enumerate() {
        right += usize::from(is_right);
        let (given, wrong) = (place + 1, place + 1 - right);
        // Those of the same novelty are named together.
        let is_last = named.get(place + 1).is_none_or(|(next, _)| *next > novelty);
        let keeps = right as f64 >= NAMES_RIGHT * given as f64 && wrong as f64 <= NAMES_WRONG * named.len() as f64;
        if is_last && keeps {
            limit = novelty.next_up();
        }
    }
    Some(limit.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synthetic(family: Option<usize>, guess: usize, novelty: f32) -> UnseenImage {
        let answer = Answer { logit: 3.0, guess: Some(guess), novelty: Some(novelty) };
        UnseenImage {
            content_type: None,
            label: Label::Synthetic(family),
            stratum: Stratum::Generator("a".into()),
            answers: vec![answer; 3],
        }
    }

    #[test]
    fn names_are_given_as_long_as_four_of_five_are_right_and_one_of_ten_is_wrong() {
        // Ten that are right, then by turns.
        let mut images: Vec<_> = (0..10).map(|n| synthetic(Some(1), 1, 0.01 * n as f32)).collect();
        images.extend((0..30).map(|n| synthetic(Some(1), n % 2, 0.3 + 0.01 * n as f32)));
        let limit = novelty_limit(&images, |_| true).unwrap();
        let given = || images.iter().filter(|image| image.answers[0].novelty.unwrap() < limit);
        let right = given().filter(|image| image.answers[0].guess == Some(1)).count();
        assert!(right as f64 / given().count() as f64 >= 0.8 && given().count() - right <= 4, "{limit}");
        assert!(given().count() >= 14, "{limit}");
        // Of a family that nobody knows, no name is right.
        let unknown: Vec<_> = (0..9).map(|n| synthetic(None, 1, 0.1 * n as f32)).collect();
        assert_eq!(novelty_limit(&unknown, |_| true), Some(0.0));
        let mut without = images;
        without[3].answers[0].novelty = None;
        assert_eq!(novelty_limit(&without, |_| true), None);
    }
}
