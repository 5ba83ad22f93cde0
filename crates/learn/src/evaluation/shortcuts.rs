//! What a detector goes by, beside traces of a generator: what a picture shows, and how its file was saved.

use serde::Serialize;

use super::examination::Judged;
use super::tracks::ranking;
use augment::Perturbation;
use figures::{Bootstrap, Figures, share};
use labels::annotations::Annotation;

/// Under what each image is looked at for it.
pub(super) const SHORTCUTS: [Perturbation; 4] = [
    Perturbation::LowPass,
    Perturbation::Shuffled,
    Perturbation::Jpeg { quality: LOW_QUALITY },
    Perturbation::Jpeg { quality: HIGH_QUALITY },
];
const LOW_QUALITY: u8 = 50;
const HIGH_QUALITY: u8 = 95;

/// `auc_low_pass`: without detail, where no trace of a generator is left: what remains above 0.5 is content. `auc_shuffled`: with
/// 64-pixel blocks in another order, where content is gone: what is lost was content. `jpeg_shift`: how far, on average, the
/// logit of one picture at JPEG quality 50 lies from that at 95; `jpeg_drift`: the same with its sign, so above 0 where
/// compression makes pictures look synthetic.
#[derive(Clone, Debug, Serialize)]
pub struct Shortcuts {
    #[serde(flatten)]
    pub figures: Figures,
}

/// `judged`: of each of the [`SHORTCUTS`], all images in the same order.
pub(super) fn shortcuts(annotations: &[Annotation], judged: &[Vec<&Judged>], bootstrap: &Bootstrap) -> Shortcuts {
    let [low_pass, shuffled] = [0, 1].map(|place| ranking(annotations, judged[place].iter().copied()));
    let shifts: Vec<(usize, f64)> = judged[2]
        .iter()
        .zip(&judged[3])
        .map(|(low, high)| (low.image, f64::from(low.logit) - f64::from(high.logit)))
        .collect();
    let images: Vec<usize> = judged[0].iter().map(|judged| judged.image).collect();
    let names = ["auc_low_pass", "auc_shuffled", "jpeg_shift", "jpeg_drift"];
    let figures = bootstrap.figures(&names, &images, |weights| {
        let mean = |of: fn(f64) -> f64| {
            let all: f64 = shifts.iter().map(|(image, _)| weights[*image]).sum();
            share(shifts.iter().map(|(image, shift)| weights[*image] * of(*shift)).sum(), all)
        };
        vec![low_pass.auc(weights), shuffled.auc(weights), mean(f64::abs), mean(|shift| shift)]
    });
    Shortcuts { figures }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Decision, LabelledOrigin};

    #[test]
    fn a_detector_that_goes_by_file_history_shows_in_the_shift() {
        let annotation = |n: usize| Annotation {
            path: n.to_string(),
            origin: if n.is_multiple_of(2) { LabelledOrigin::Real } else { LabelledOrigin::Synthetic },
            content_type: "photos".into(),
            generator: None,
            source: String::new(),
        };
        let annotations: Vec<Annotation> = (0..40).map(annotation).collect();
        let judged = |condition: usize| -> Vec<Judged> {
            let logit = |image: usize| match condition {
                // Without detail the classes are told apart, without content they aren't.
                0 => {
                    if image.is_multiple_of(2) {
                        -1.0
                    } else {
                        1.0
                    }
                }
                1 => 0.0,
                2 => -1.5,
                _ => 0.5,
            };
            (0..40)
                .map(|image| Judged {
                    image,
                    condition,
                    logit: logit(image),
                    probability: 0.5,
                    decision: Decision::Uncertain,
                    generators: Vec::new(),
                    named: None,
                })
                .collect()
        };
        let all: Vec<Vec<Judged>> = (0..4).map(judged).collect();
        let all: Vec<Vec<&Judged>> = all.iter().map(|of| of.iter().collect()).collect();
        let found = shortcuts(&annotations, &all, &Bootstrap { rounds: 0, seed: 0 }).figures;
        let value = |name: &str| found.get(name).value.unwrap();
        assert_eq!((value("auc_low_pass"), value("auc_shuffled")), (1.0, 0.5));
        assert_eq!((value("jpeg_shift"), value("jpeg_drift")), (2.0, -2.0));
    }
}
