//! How the scores of a finished model are read, anew, from labelled images that it has not learnt from: nothing is trained.

use super::dataset;
use super::observer::TrainingObserver;
use super::training_run::{TrainingRun, TrainingRunError};
use crate::training::calibration::UnseenFigures;
use crate::training::recipe::Classes;
use crate::training::unseen::{self, UnseenImage};
use artefact::Manifest;
use artefact::manifest::Reading;
use domain::LabelledOrigin;
use engine::weights::Weights;

#[derive(Debug, thiserror::Error)]
pub enum RecalibrationError {
    #[error(
        "{learnt} of the {all} images are among those that the model has learnt from: of them it is surer than of others; name \
         images that it has not seen"
    )]
    Learnt { learnt: usize, all: usize },
    #[error("there are {real} real and {synthetic} synthetic images; both kinds are needed")]
    OneKind { real: usize, synthetic: usize },
    #[error(transparent)]
    Scoring(#[from] TrainingRunError),
}

/// Calibration, thresholds and the limit of novelty by the run's held-out images, as its recipe's `[calibration]` says. The
/// images are judged as they are, as social networks would have them, and with their file history equalised.
pub fn recalibrate(
    run: &TrainingRun<'_>,
    manifest: &Manifest,
    weights: &Weights,
    observer: &mut dyn TrainingObserver,
) -> Result<Reading, RecalibrationError> {
    let images = run.held_out.items();
    let all = images.len();
    let learnt = all - dataset::learnt_by_none(images, &[manifest]).len();
    if learnt > 0 {
        return Err(RecalibrationError::Learnt { learnt, all });
    }
    let synthetic = images.iter().filter(|image| image.origin == LabelledOrigin::Synthetic).count();
    if synthetic == 0 || synthetic == all {
        return Err(RecalibrationError::OneKind { real: all - synthetic, synthetic });
    }
    let mut said = run.answers(&run.held_out, weights, manifest.novelty.as_ref(), observer)?;
    let names_families = manifest.labels.generators.iter().all(|generator| generator.label == generator.family);
    let classes = if names_families { Classes::Families } else { Classes::Generators };
    let unseen = images.iter().filter_map(|image| {
        Some(UnseenImage {
            content_type: image.content_type.clone(),
            label: dataset::label(image, classes, &manifest.labels),
            stratum: dataset::stratum(image),
            answers: said.remove(&image.sha256)?,
        })
    });
    let read = unseen::read(&run.recipe.calibration, &unseen.collect::<Vec<_>>());
    let mut metrics = read.fitted.metrics.to_json();
    metrics["unseen"] = serde_json::to_value(&read.report).map_err(TrainingRunError::Recipe)?;
    metrics["thresholds_on_unseen_sources"] =
        read.fitted.metrics.unseen.as_ref().map_or(serde_json::Value::Null, UnseenFigures::to_json);
    let mut novelty = manifest.novelty.clone();
    if let (Some(known), Some(limit)) = (&mut novelty, read.novelty_limit) {
        known.limit = limit;
    }
    Ok(Reading {
        calibration: read.fitted.calibration,
        thresholds: read.fitted.thresholds,
        novelty,
        metrics: Some(metrics),
    })
}
