//! Whether a candidate takes the place of the model that serves. Pure: what both said of the same images in, a decision with
//! its reasons out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use figures::{Bootstrap, Ranking, Scored, SignTest, calibration_error};

/// Resamples of the held-out images.
const ROUNDS: usize = 1000;

/// A group of fewer images tells nothing.
const ENOUGH: usize = 10;

/// What has to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// How improbable a loss on a generator or a content type must be as mere noise to count as one, 0 to 1.
    pub noise: f64,
    /// Share of bootstrap samples in which the candidate must be the better one.
    pub confidence: f64,
    /// Expected calibration error that the candidate may have.
    pub max_ece: f64,
}

/// One held-out image under one condition, and what both models said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Place among the held-out images: the same under every condition.
    pub image: usize,
    /// `clean` or `social`.
    pub condition: String,
    pub synthetic: bool,
    pub content_type: Option<String>,
    /// As its label names it; `None` for a real image.
    pub generator: Option<String>,
    pub incumbent: Prediction,
    pub candidate: Prediction,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Probability of synthetic, calibrated where the model is.
    pub probability: f32,
    /// Whether the generator's family was named rightly; `None` where there is none to name.
    pub named: Option<bool>,
}

impl Prediction {
    fn is_right(&self, synthetic: bool) -> bool {
        (self.probability >= 0.5) == synthetic
    }
}

/// Passed or not, with every reason for and against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateDecision {
    pub passed: bool,
    pub reasons: Vec<Reason>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// `null`: there are too few images to tell.
    pub holds: Option<bool>,
    pub words: String,
}

/// The verdict on the candidate; `self_test` is what it gave in a fresh process.
pub fn decide(trials: &[Trial], self_test: Result<String, String>, bounds: &Bounds) -> GateDecision {
    let mut reasons = vec![better(trials, bounds)];
    reasons.extend(no_worse(trials, bounds));
    reasons.push(calibrated(trials, bounds));
    reasons.push(match self_test {
        Ok(words) => Reason { holds: Some(true), words },
        Err(words) => Reason { holds: Some(false), words: format!("the self-test failed: {words}") },
    });
    GateDecision { passed: reasons.iter().all(|reason| reason.holds != Some(false)), reasons }
}

/// On all images under both conditions, by the area under the ROC curve. Images are resampled, each with its scores under all
/// conditions: two looks at one image are no two independent images.
fn better(trials: &[Trial], bounds: &Bounds) -> Reason {
    let incumbent = ranking(trials.iter(), |trial| &trial.incumbent);
    let candidate = ranking(trials.iter(), |trial| &trial.candidate);
    let even = candidate.even();
    let (Some(before), Some(after)) = (incumbent.auc(&even), candidate.auc(&even)) else {
        let words = "among the held-out images that neither model has learnt, all are real or all are synthetic: nothing can be \
             compared; label more images".into();
        return Reason { holds: Some(false), words };
    };
    let images: Vec<usize> = trials.iter().map(|trial| trial.image).collect();
    let bootstrap = Bootstrap { rounds: ROUNDS, seed: 0 };
    let share = bootstrap.share_of_resamples(&images, |weights| candidate.auc(weights) > incumbent.auc(weights));
    Reason {
        holds: Some(after > before && share >= bounds.confidence),
        words: format!(
            "overall AUC {after:.4} against {before:.4}; the better one in {:.0} % of bootstrap samples, {:.0} % are wanted",
            100.0 * share,
            100.0 * bounds.confidence
        ),
    }
}

/// Of one model's probabilities.
pub(super) fn ranking<'a>(trials: impl Iterator<Item = &'a Trial>, of: fn(&Trial) -> &Prediction) -> Ranking {
    Ranking::of(trials.map(|trial| {
        let probability = of(trial).probability;
        Scored { image: trial.image, logit: probability, probability, synthetic: trial.synthetic }
    }))
}

/// On every generator, every content type, and in naming the family; under each condition apart, so that an image is in each
/// group once.
fn no_worse(trials: &[Trial], bounds: &Bounds) -> Vec<Reason> {
    let mut groups: BTreeMap<String, Vec<(bool, bool)>> = BTreeMap::new();
    for trial in trials {
        let right = |prediction: &Prediction| prediction.is_right(trial.synthetic);
        let pair = (right(&trial.incumbent), right(&trial.candidate));
        let mut put = |group: String, pair| groups.entry(group).or_default().push(pair);
        let generator =
            trial.generator.as_deref().unwrap_or(if trial.synthetic { "unnamed generators" } else { "real images" });
        put(format!("{generator}, {}", trial.condition), pair);
        if let Some(content_type) = &trial.content_type {
            put(format!("{content_type}, {}", trial.condition), pair);
        }
        if let (Some(before), Some(after)) = (trial.incumbent.named, trial.candidate.named) {
            put(format!("naming the family, {}", trial.condition), (before, after));
        }
    }
    groups.into_iter().map(|(group, pairs)| compare(&group, &pairs, bounds)).collect()
}

/// By an exact sign test on the images that only one of the two got right.
fn compare(group: &str, pairs: &[(bool, bool)], bounds: &Bounds) -> Reason {
    let test = SignTest::of(pairs);
    let SignTest { broken, fixed } = test;
    let share = |right: usize| 100.0 * right as f64 / pairs.len().max(1) as f64;
    let before = share(pairs.iter().filter(|pair| pair.0).count());
    let after = share(pairs.iter().filter(|pair| pair.1).count());
    let chance = test.chance_of_losses();
    let holds = (pairs.len() >= ENOUGH).then_some(broken <= fixed || chance > bounds.noise);
    let verdict = match (holds, broken > fixed) {
        (None, _) => "; too few to tell".into(),
        (Some(true), false) => String::new(),
        (Some(true), true) => format!("; inconclusive (p = {chance:.3}, a loss is below {})", bounds.noise),
        (Some(false), _) => format!("; worse (p = {chance:.4}, a loss is below {})", bounds.noise),
    };
    let words = format!(
        "{group}: {after:.1} % right against {before:.1} % of {} ({fixed} fixed, {broken} broken){verdict}",
        pairs.len()
    );
    Reason { holds, words }
}

fn calibrated(trials: &[Trial], bounds: &Bounds) -> Reason {
    let (probabilities, synthetic): (Vec<f32>, Vec<bool>) =
        trials.iter().map(|trial| (trial.candidate.probability, trial.synthetic)).unzip();
    let error = calibration_error(&probabilities, &synthetic).unwrap_or_default();
    Reason {
        holds: Some(error <= bounds.max_ece),
        words: format!("expected calibration error {error:.3}; {} is allowed", bounds.max_ece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { noise: 0.05, confidence: 0.8, max_ece: 0.2 };

    /// Real images and those of two generators, each model right in these shares of them.
    fn trials(incumbent: [f64; 3], candidate: [f64; 3]) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (group, generator) in [None, Some("gan"), Some("sdxl-1.0")].into_iter().enumerate() {
            for index in 0..60 {
                let synthetic = generator.is_some();
                let answer = |shares: [f64; 3], turn: usize| {
                    let right = ((index * 7 + turn) % 60) as f64 / 60.0 < shares[group];
                    let probability = if right == synthetic { 0.9 } else { 0.1 };
                    Prediction { probability, named: synthetic.then_some(right) }
                };
                trials.push(Trial {
                    image: trials.len(),
                    condition: "clean".into(),
                    synthetic,
                    content_type: Some(["photos", "faces"][index % 2].into()),
                    generator: generator.map(Into::into),
                    incumbent: answer(incumbent, 0),
                    candidate: answer(candidate, 13),
                });
            }
        }
        trials
    }

    fn decide_on(incumbent: [f64; 3], candidate: [f64; 3]) -> GateDecision {
        decide(&trials(incumbent, candidate), Ok("the self-test passed".into()), &BOUNDS)
    }

    fn against(decision: &GateDecision) -> String {
        let against =
            decision.reasons.iter().filter(|reason| reason.holds == Some(false)).map(|reason| reason.words.as_str());
        against.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_better_candidate_passes_and_says_by_how_much() {
        let decision = decide_on([0.7; 3], [0.9; 3]);
        assert!(decision.passed, "{}", against(&decision));
        assert!(decision.reasons[0].words.contains("overall AUC"), "{decision:?}");
        assert!(decision.reasons.iter().any(|reason| reason.words.starts_with("gan, clean: 90.0 %")), "{decision:?}");
    }

    #[test]
    fn the_same_again_is_not_better() {
        let mut same = trials([0.8; 3], [0.8; 3]);
        same.iter_mut().for_each(|trial| trial.candidate = trial.incumbent);
        let decision = decide(&same, Ok(String::new()), &BOUNDS);
        assert!(!decision.passed && against(&decision).starts_with("overall AUC"), "{decision:?}");
    }

    #[test]
    fn a_gain_elsewhere_does_not_pay_for_one_generator() {
        let decision = decide_on([0.6, 0.9, 0.6], [0.95, 0.6, 0.95]);
        assert!(!decision.passed);
        let words = against(&decision);
        assert!(words.contains("gan, clean") && words.contains("; worse (p = "), "{words}");
        assert!(!words.contains("sdxl-1.0"), "{words}");
    }

    #[test]
    fn a_loss_within_the_noise_is_said_and_let_pass() {
        // 2 of 60 fewer on one generator.
        let decision = decide_on([0.7, 0.8, 0.7], [0.9, 0.77, 0.9]);
        assert!(decision.passed, "{}", against(&decision));
        assert!(decision.reasons.iter().any(|reason| reason.words.contains("inconclusive")), "{decision:?}");
    }

    #[test]
    fn a_group_of_fewer_than_ten_images_tells_nothing() {
        let mut all = trials([0.7; 3], [0.9; 3]);
        for image in 0..9 {
            let (right, wrong) =
                (Prediction { probability: 0.9, named: None }, Prediction { probability: 0.1, named: None });
            let generator = Some("rare".into());
            all.push(Trial { image: 1000 + image, generator, incumbent: right, candidate: wrong, ..all[60].clone() });
        }
        let of_rare = |all: &[Trial]| {
            let reasons = no_worse(all, &BOUNDS).into_iter();
            reasons.filter(|reason| reason.words.starts_with("rare, ")).collect::<Vec<_>>()
        };
        let few = of_rare(&all);
        assert!(few[0].holds.is_none() && few[0].words.ends_with("too few to tell"), "{few:?}");
        all.push(Trial { image: 2000, ..all.last().unwrap().clone() });
        assert_eq!(of_rare(&all)[0].holds, Some(false));
    }

    #[test]
    fn overconfidence_and_a_failed_self_test_are_each_enough_to_refuse() {
        let mut sure = trials([0.6; 3], [0.75; 3]);
        sure.iter_mut().for_each(|trial| {
            let p = trial.candidate.probability;
            trial.candidate.probability = if p > 0.5 { 1.0 } else { 0.0 };
        });
        let strict = Bounds { max_ece: 0.1, ..BOUNDS };
        assert!(against(&decide(&sure, Ok(String::new()), &strict)).contains("calibration error 0.25"));
        let failed = decide(&trials([0.7; 3], [0.9; 3]), Err("self-test image 1: …".into()), &BOUNDS);
        assert!(!failed.passed && against(&failed).contains("the self-test failed: self-test image 1"));
        assert!(!decide(&[], Ok(String::new()), &BOUNDS).passed, "nothing shown is nothing won");
    }

    /// The same images under a second condition, with the same scores.
    fn with_copies(trials: &[Trial]) -> Vec<Trial> {
        let social = trials.iter().map(|trial| Trial { condition: "social".into(), ..trial.clone() });
        trials.iter().cloned().chain(social).collect()
    }

    /// As [`better`] words it: the share of bootstrap samples in which the candidate is the better one.
    fn share_won(trials: &[Trial]) -> String {
        let words = better(trials, &BOUNDS).words;
        words[words.find("the better one in").unwrap()..].into()
    }

    #[test]
    fn a_second_score_of_the_same_image_that_says_the_same_makes_nothing_more_certain() {
        let once = trials([0.70; 3], [0.72; 3]);
        let twice = with_copies(&once);
        assert_eq!(share_won(&twice), share_won(&once));
        // As many scores of other images would.
        let others: Vec<Trial> =
            twice.iter().cloned().enumerate().map(|(image, trial)| Trial { image, ..trial }).collect();
        assert_ne!(share_won(&others), share_won(&once));
    }

    #[test]
    fn an_image_counts_once_in_each_group_of_the_sign_test() {
        let once = trials([0.7, 0.8, 0.7], [0.9, 0.7, 0.9]);
        let twice = with_copies(&once);
        let of_gan = |trials: &[Trial]| {
            let reasons = no_worse(trials, &BOUNDS);
            reasons.into_iter().filter(|reason| reason.words.starts_with("gan, ")).collect::<Vec<_>>()
        };
        let (single, both) = (of_gan(&once), of_gan(&twice));
        assert_eq!((single.len(), both.len()), (1, 2));
        assert_eq!((both[0].words.as_str(), both[0].holds), (single[0].words.as_str(), single[0].holds));
        assert_eq!(both[1].words, single[0].words.replace("clean", "social"));
    }
}
