//! What is asked of an evaluation.

use super::examination::Condition;
use super::shortcuts::SHORTCUTS;
use augment::{Axis, Perturbation};
use labels::annotations::Annotation;

/// Levels of 255 by which each value of a pixel may be changed; before the first, 0: nothing is changed.
pub(super) const EPSILONS: [u8; 3] = [1, 2, 4];

/// Which figures, of what.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The file that says what the images are.
    pub annotations: String,
    pub perturbation: Perturbation,
    pub seed: u64,
    /// How often each image is perturbed anew; once is enough where chance has no part.
    pub draws: u32,
    pub axes: Vec<Axis>,
    /// Whether to ask what the detector goes by: content or file history.
    pub shortcuts: bool,
    /// Whether whole sources and generators are the unit of one more set of figures.
    pub by_source: bool,
    pub adversarial: Option<AttackPlan>,
    /// Resamples for the intervals.
    pub bootstrap: usize,
}

impl Asked {
    /// Under what each image is looked at: the draws, then the points of each axis, then the shortcuts.
    pub fn conditions(&self) -> Vec<Condition> {
        let draws = (0..self.draws()).map(|draw| Condition { perturbation: self.perturbation, draw });
        let points = self.axes.iter().flat_map(|axis| axis.points());
        let shortcuts = if self.shortcuts { SHORTCUTS.as_slice() } else { &[] };
        let others = points.map(|(_, perturbation)| perturbation).chain(shortcuts.iter().copied());
        draws.chain(others.map(|perturbation| Condition { perturbation, draw: 0 })).collect()
    }

    pub(super) fn draws(&self) -> u32 {
        if self.perturbation == Perturbation::Social { self.draws.max(1) } else { 1 }
    }
}

/// How a detector is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttackPlan {
    /// Of the search for the worst change.
    pub steps: u32,
    /// At most so many images, spread over the annotations; `None`: all.
    pub images: Option<usize>,
}

impl AttackPlan {
    /// Attacked crops of so many images.
    pub fn crops(images: usize) -> usize {
        images * EPSILONS.len()
    }

    /// Spread over the file, which may name all real ones first.
    pub(super) fn choose(self, annotations: &[Annotation]) -> Vec<Annotation> {
        let all = annotations.len();
        let images = self.images.unwrap_or(all).min(all);
        (0..images).map(|image| annotations[image * all / images].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::LabelledOrigin;

    fn annotation(name: usize) -> Annotation {
        let origin = LabelledOrigin::Real;
        Annotation {
            path: format!("{name}.png"),
            origin,
            content_type: "photos".into(),
            generator: None,
            source: String::new(),
        }
    }

    #[test]
    fn fewer_images_are_spread_over_the_file() {
        let annotations: Vec<_> = (0..10).map(annotation).collect();
        let paths = |images| -> Vec<String> {
            AttackPlan { steps: 1, images }.choose(&annotations).into_iter().map(|annotation| annotation.path).collect()
        };
        assert_eq!(paths(Some(3)), ["0.png", "3.png", "6.png"]);
        assert_eq!((paths(None).len(), paths(Some(99)).len(), paths(Some(0)).len()), (10, 10, 0));
    }
}
