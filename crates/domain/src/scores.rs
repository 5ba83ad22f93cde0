//! What the detector says about one image, before any decision.

/// The raw answer of the network for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Origin logit: above 0 leans synthetic, below 0 leans real. Uncalibrated.
    pub logit: f32,
    /// Softmax over the label set of the model, in its order; empty if the model has no generator classifier.
    pub generators: Vec<f32>,
    /// How little the image resembles any known generator, 0 (well known) to 1 (never seen);
    /// `None` if the model carries no novelty statistics.
    pub novelty: Option<f32>,
}

impl Scores {
    /// What the frames of one animation say together, or the one picture of a still image; `None` of none.
    ///
    /// The logit is the median of theirs. Which generator it would be, and how new, is what the frame says whose logit that is; of
    /// an even number the upper one of the two in the middle, whose mean the median is.
    pub fn of_frames(mut frames: Vec<Scores>) -> Option<Scores> {
        frames.sort_by(|left, right| left.logit.total_cmp(&right.logit));
        let upper = frames.len() / 2;
        let lower = frames.len().checked_sub(1)? / 2;
        let logit =
            if lower == upper { frames[upper].logit } else { (frames[lower].logit + frames[upper].logit) / 2.0 };
        let named = frames.swap_remove(upper);
        Some(Scores { logit, ..named })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(logit: f32) -> Scores {
        Scores { logit, generators: vec![logit, 1.0], novelty: Some(logit / 10.0) }
    }

    fn of(logits: &[f32]) -> Option<Scores> {
        Scores::of_frames(logits.iter().copied().map(scores).collect())
    }

    #[test]
    fn several_frames_say_the_median_of_what_each_says() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(scores(3.0)));
        // One frame that says something else changes nothing.
        assert_eq!(of(&[-9.0, 3.0, 4.0]), Some(scores(3.0)));
        assert_eq!(of(&[4.0, 3.0, 99.0]), Some(scores(4.0)));
        assert_eq!(of(&[4.0, 1.0]), Some(Scores { logit: 2.5, ..scores(4.0) }));
    }

    #[test]
    fn a_number_that_is_none_is_not_hidden_by_its_place() {
        assert!(of(&[f32::NAN, 1.0]).unwrap().logit.is_nan());
        assert_eq!(of(&[f32::NAN, 1.0, 2.0]).unwrap().logit, 2.0);
    }
}
