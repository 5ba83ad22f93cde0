//! What the tests of training share: tiny networks and batches.

use super::batch::{Batch, Label, Labels};
use artefact::manifest::{Lineage, WeightsFile};
use artefact::{Architecture, LabelSet, Manifest};
pub(super) use engine::testing::{furthest, wave};
use engine::untrained;
use engine::weights::Weights;

pub(super) fn weights(architecture: Architecture, classes: usize) -> Weights {
    untrained::weights(architecture, classes, 7)
}

/// Of a model that is nowhere written.
pub(super) fn manifest(version: &str) -> Manifest {
    Manifest {
        schema: String::new(),
        version: version.into(),
        trained: true,
        architecture: Architecture::RESNET18,
        preprocessing: String::new(),
        labels: LabelSet::none(),
        calibration: None,
        thresholds: domain::Thresholds::default(),
        novelty: None,
        metrics: None,
        self_test: None,
        lineage: Lineage::of_source("a test".into(), None),
        weights: WeightsFile { file: String::new(), sha256: String::new() },
    }
}

/// Images that are striped if synthetic, by one of three generators: the label shows in the pixels.
pub(super) fn batch(images: usize, side: usize, views: usize) -> Batch {
    let label =
        |image: usize| if image.is_multiple_of(2) { Label::Real } else { Label::Synthetic(Some(image / 2 % 3)) };
    let mut pixels = Vec::with_capacity(images * views * side * side * 3);
    for view in 0..views {
        for image in 0..images {
            let period = label(image).generator().map_or(97, |generator| generator + 2);
            for place in 0..side * side * 3 {
                let stripe = if (place / 3 % side).is_multiple_of(period) { 60 } else { 0 };
                pixels.push((100 + stripe + (place * 31 + image * 17 + view * 5) % 40) as u8);
            }
        }
    }
    Batch { pixels, side, labels: Labels((0..images).map(label).collect()) }
}
