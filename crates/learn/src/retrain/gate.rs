//! Whether a candidate takes the place of the model that serves. Pure: what both said of the same images in, a decision with
//! its reasons out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::augment::Rng;
use crate::training::calibration::{auc, expected_error};

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// `clean` or `social`.
    pub condition: String,
    pub synthetic: bool,
    pub content_type: Option<String>,
    /// As its label names it; `None` for a real image.
    pub generator: Option<String>,
    pub incumbent: Answer,
    pub candidate: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Probability of synthetic, calibrated where the model is.
    pub probability: f32,
    /// Whether the generator's family was named rightly; `None` where there is none to name.
    pub named: Option<bool>,
}

impl Answer {
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
    pub holds: bool,
    pub words: String,
}

/// The verdict on the candidate; `self_test` is what its golden images gave in a fresh process.
pub fn decide(trials: &[Trial], self_test: Result<String, String>, bounds: &Bounds) -> GateDecision {
    let mut reasons = vec![better(trials, bounds)];
    reasons.extend(no_worse(trials, bounds));
    reasons.push(calibrated(trials, bounds));
    reasons.push(match self_test {
        Ok(words) => Reason { holds: true, words },
        Err(words) => Reason { holds: false, words: format!("the self-test failed: {words}") },
    });
    GateDecision { passed: reasons.iter().all(|reason| reason.holds), reasons }
}

/// On all images under both conditions, by the area under the ROC curve.
fn better(trials: &[Trial], bounds: &Bounds) -> Reason {
    const SAMPLES: usize = 1000;
    let synthetic: Vec<bool> = trials.iter().map(|trial| trial.synthetic).collect();
    let of = |answer: fn(&Trial) -> &Answer, rows: &[usize]| {
        let scores: Vec<f32> = rows.iter().map(|&row| answer(&trials[row]).probability).collect();
        auc(&scores, &rows.iter().map(|&row| synthetic[row]).collect::<Vec<_>>())
    };
    if !synthetic.contains(&true) || !synthetic.contains(&false) {
        let words = "the held-out images are all real or all synthetic: nothing can be compared".into();
        return Reason { holds: false, words };
    }
    let all: Vec<usize> = (0..trials.len()).collect();
    let (before, after) = (of(|trial| &trial.incumbent, &all), of(|trial| &trial.candidate, &all));
    let mut dice = Rng::of(0, &[b"gate"]);
    let won = (0..SAMPLES).filter(|_| {
        let rows: Vec<usize> = all.iter().map(|_| dice.below(trials.len())).collect();
        of(|trial| &trial.candidate, &rows) > of(|trial| &trial.incumbent, &rows)
    });
    let share = won.count() as f64 / SAMPLES as f64;
    Reason {
        holds: after > before && share >= bounds.confidence,
        words: format!(
            "overall AUC {after:.4} against {before:.4}; the better one in {:.0} % of bootstrap samples, {:.0} % are wanted",
            100.0 * share,
            100.0 * bounds.confidence
        ),
    }
}

/// On every generator, every content type, and in naming the family.
fn no_worse(trials: &[Trial], bounds: &Bounds) -> Vec<Reason> {
    let mut groups: BTreeMap<String, Vec<(bool, bool)>> = BTreeMap::new();
    for trial in trials {
        let right = |answer: &Answer| answer.is_right(trial.synthetic);
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

/// An exact sign test on the images that only one of the two got right: were both equally good, each of these would fall to
/// either side like a coin. Fewer than five of them show nothing at 5 %.
fn compare(group: &str, pairs: &[(bool, bool)], bounds: &Bounds) -> Reason {
    let lost = pairs.iter().filter(|pair| **pair == (true, false)).count();
    let won = pairs.iter().filter(|pair| **pair == (false, true)).count();
    let share = |right: usize| 100.0 * right as f64 / pairs.len().max(1) as f64;
    let before = share(pairs.iter().filter(|pair| pair.0).count());
    let after = share(pairs.iter().filter(|pair| pair.1).count());
    let chance = at_least(lost, lost + won);
    let holds = lost <= won || chance > bounds.noise;
    let verdict = match (holds, lost > won) {
        (true, false) => String::new(),
        (true, true) => format!("; within the noise (chance {chance:.3}, a loss is below {})", bounds.noise),
        (false, _) => format!("; worse beyond the noise (chance {chance:.4}, a loss is below {})", bounds.noise),
    };
    let words = format!(
        "{group}: {after:.1} % right against {before:.1} % of {} ({won} won, {lost} lost){verdict}",
        pairs.len()
    );
    Reason { holds, words }
}

/// The chance of at least so many heads among as many throws of a coin.
fn at_least(heads: usize, throws: usize) -> f64 {
    let mut term = 0.5_f64.powi(throws.min(1000) as i32);
    let mut sum = 0.0;
    if throws > 1000 {
        // By the bell, with the correction for whole numbers: exact terms would vanish.
        let (mean, deviation) = (throws as f64 / 2.0, (throws as f64).sqrt() / 2.0);
        return 0.5 * complementary_error((heads as f64 - 0.5 - mean) / deviation / std::f64::consts::SQRT_2);
    }
    for count in 0..=throws {
        if count >= heads {
            sum += term;
        }
        term *= (throws - count) as f64 / (count + 1) as f64;
    }
    sum.min(1.0)
}

/// 1 − erf(x), within 1.5e-7 (Abramowitz and Stegun, 7.1.26).
fn complementary_error(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = series * (-x * x).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

fn calibrated(trials: &[Trial], bounds: &Bounds) -> Reason {
    let said: Vec<f32> = trials.iter().map(|trial| trial.candidate.probability).collect();
    let synthetic: Vec<bool> = trials.iter().map(|trial| trial.synthetic).collect();
    let error = expected_error(&said, &synthetic);
    Reason {
        holds: error <= bounds.max_ece,
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
                    Answer { probability, named: synthetic.then_some(right) }
                };
                trials.push(Trial {
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
        let against = decision.reasons.iter().filter(|reason| !reason.holds).map(|reason| reason.words.as_str());
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
        assert!(words.contains("gan, clean") && words.contains("beyond the noise"), "{words}");
        assert!(!words.contains("sdxl-1.0"), "{words}");
    }

    #[test]
    fn a_loss_within_the_noise_is_said_and_let_pass() {
        // 2 of 60 fewer on one generator.
        let decision = decide_on([0.7, 0.8, 0.7], [0.9, 0.77, 0.9]);
        assert!(decision.passed, "{}", against(&decision));
        assert!(decision.reasons.iter().any(|reason| reason.words.contains("within the noise")), "{decision:?}");
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
        let failed = decide(&trials([0.7; 3], [0.9; 3]), Err("golden image 1: …".into()), &BOUNDS);
        assert!(!failed.passed && against(&failed).contains("the self-test failed: golden image 1"));
        assert!(!decide(&[], Ok(String::new()), &BOUNDS).passed, "nothing shown is nothing won");
    }

    #[test]
    fn coins_fall_as_they_do() {
        assert!((at_least(5, 5) - 1.0 / 32.0).abs() < 1e-12);
        assert!((at_least(2, 3) - 0.5).abs() < 1e-12);
        assert_eq!(at_least(0, 0), 1.0);
        // Near the seam, both ways agree.
        assert!((at_least(530, 1000) - at_least(530, 1001)).abs() < 0.004);
    }
}
