//! One bad image spoils nothing but its own score.

use crate::{Crop, Detector, ScoreError};
use domain::Scores;

/// Scores every image, halving the batch where it doesn't fit or fails, until each culprit stands alone.
/// An `Err` inside is that one image's fault; an outer `Err` means that the device can't serve at all.
pub fn score_each(detector: &mut dyn Detector, crops: &[&Crop]) -> Result<Vec<Result<Scores, ScoreError>>, ScoreError> {
    if crops.is_empty() {
        return Ok(Vec::new());
    }
    let error = match detector.score(crops) {
        Ok(scores) => return Ok(scores.into_iter().map(Ok).collect()),
        Err(error) if error.is_fatal() => return Err(error),
        Err(error) => error,
    };
    if crops.len() > 1 {
        tracing::warn!(images = crops.len(), %error, "a batch failed: halving it");
        let (left, right) = crops.split_at(crops.len() / 2);
        let mut scores = score_each(detector, left)?;
        scores.extend(score_each(detector, right)?);
        return Ok(scores);
    }
    // The image alone fails. If a blank one fails too, the image is not to blame.
    match detector.score(&[&Crop::blank()]) {
        Ok(_) => Ok(vec![Err(error)]),
        Err(error) => Err(error),
    }
}
