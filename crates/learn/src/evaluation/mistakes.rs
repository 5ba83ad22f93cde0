//! The worst mistakes of an evaluation, with the crops that were judged: what a person looks at before theorising.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::examination::{Condition, Examination, ExaminationError, Examiner, Judged, crops_of};
use domain::{Decision, LabelledOrigin};
use imaging::{CROP_SIDE, Crop};
use labels::annotations::Annotation;

/// An image that was called the opposite of what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Mistake {
    pub path: String,
    /// `real` or `synthetic`.
    pub truth: &'static str,
    /// The generator, or the source of a real image.
    pub maker: String,
    /// That it is synthetic, 0 to 1.
    pub probability: f32,
    /// The crop as it was judged: a PNG as a `data:` address.
    pub crop: String,
}

/// Of the answers under the first condition those that are wrong and surest, the surest first; each an index into `judged`.
pub(super) fn worst(annotations: &[Annotation], judged: &[Judged], most: usize) -> Vec<usize> {
    let error = |one: &Judged| match annotations[one.image].origin {
        LabelledOrigin::Real if one.decision == Decision::Synthetic => Some(one.probability),
        LabelledOrigin::Synthetic if one.decision == Decision::Real => Some(1.0 - one.probability),
        _ => None,
    };
    let wrong = judged.iter().enumerate().filter(|(_, one)| one.condition == 0);
    let mut wrong: Vec<(f32, usize)> = wrong.filter_map(|(index, one)| Some((error(one)?, index))).collect();
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    wrong.into_iter().take(most).map(|(_, index)| index).collect()
}

/// The worst `most` of them with their crops, which are decoded once more.
pub fn mistakes(
    annotations: &[Annotation],
    first: Condition,
    examination: &Examination,
    examiner: &Examiner<'_>,
    most: usize,
) -> Result<Vec<Mistake>, ExaminationError> {
    let mut found = Vec::new();
    for index in worst(annotations, &examination.judged, most) {
        let one = &examination.judged[index];
        let annotation = &annotations[one.image];
        // One that was readable a moment ago and no longer is can't be shown.
        let Some(crop) = crops_of(&annotation.path, &[first], examiner)?.into_iter().next() else { continue };
        found.push(Mistake {
            path: annotation.path.clone(),
            truth: annotation.origin.as_str(),
            maker: annotation.generator.as_ref().map_or(&annotation.source, |generator| &generator.label).clone(),
            probability: one.probability,
            crop: as_address(&crop).map_err(|error| ExaminationError::Crop(error.to_string()))?,
        });
    }
    Ok(found)
}

fn as_address(crop: &Crop) -> io::Result<String> {
    let mut bytes = Vec::new();
    let side = CROP_SIDE as u32;
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(crop.pixels())?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_of_the_wrong_answers_come_first_and_the_unsure_are_none() {
        let annotation = |origin| Annotation {
            path: "a".into(),
            origin,
            content_type: "photos".into(),
            generator: None,
            source: "s".into(),
        };
        let (real, synthetic) = (annotation(LabelledOrigin::Real), annotation(LabelledOrigin::Synthetic));
        let annotations = [real.clone(), real.clone(), synthetic.clone(), synthetic, real];
        let judged = |image, condition, probability, decision| Judged {
            image,
            condition,
            logit: 0.0,
            probability,
            decision,
            generators: Vec::new(),
            named: None,
        };
        let all = [
            judged(0, 0, 0.8, Decision::Synthetic),
            judged(1, 0, 0.55, Decision::Uncertain),
            judged(2, 0, 0.1, Decision::Real),
            judged(2, 1, 0.01, Decision::Real),
            judged(3, 0, 0.9, Decision::Synthetic),
            judged(4, 0, 0.99, Decision::Synthetic),
        ];
        assert_eq!(worst(&annotations, &all, 9), [5, 2, 0]);
        assert_eq!(worst(&annotations, &all, 1), [5]);
    }

    #[test]
    fn a_crop_becomes_a_png_that_a_page_shows() {
        let address = as_address(&Crop::blank()).unwrap();
        let bytes = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let header = png::Decoder::new(io::Cursor::new(bytes)).read_header_info().unwrap().size();
        assert_eq!(header, (CROP_SIDE as u32, CROP_SIDE as u32));
    }
}
