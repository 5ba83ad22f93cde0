//! Scoring a batch so that an image which fails costs no other image its score.

use crate::{Crop, Detector, ScoreError};
use domain::Scores;

/// Scores images of one crop, or of several frames each, at most `most` crops at a time; of an image with several crops all must be
/// scored. An inner error is that of one image; an outer one means that the device can't score anything.
pub fn score_images(
    detector: &mut dyn Detector,
    images: &[Vec<&Crop>],
    most: usize,
) -> Result<Vec<Result<Scores, ScoreError>>, ScoreError> {
    let crops: Vec<&Crop> = images.iter().flatten().copied().collect();
    let mut scores = Vec::with_capacity(crops.len());
    for batch in crops.chunks(most.max(1)) {
        scores.extend(score_each(detector, batch)?);
    }
    let mut scores = scores.into_iter();
    let of_image = |image: &Vec<&Crop>| {
        // All of them are taken, also behind one that failed.
        let frames: Vec<_> = scores.by_ref().take(image.len()).collect();
        let frames = frames.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Scores::of_frames(frames).expect("an image has a crop"))
    };
    Ok(images.iter().map(of_image).collect())
}

/// Scores every crop; a batch that fails, or doesn't fit into memory, is halved until each crop that fails is alone.
/// An inner error is that of one crop; an outer one means that the device can't score anything.
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
