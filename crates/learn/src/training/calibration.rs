//! From logits to probabilities that mean what they say, and from these to thresholds.

use domain::{Calibration, Thresholds};

/// Platt's calibration (1999) of logits by images that the network was not trained on; `None` where they contradict the
/// labels, so that no rising curve fits. Targets are drawn in from 0 and 1 by his rule, so that few images give no certainty.
/// `prior`: the share of synthetic images to be calibrated for; `None` for the share that there is.
pub fn platt(logits: &[f32], synthetic: &[bool], prior: Option<f64>) -> Option<Calibration> {
    let ones = synthetic.iter().filter(|&&is| is).count() as f64;
    let zeros = synthetic.len() as f64 - ones;
    if ones == 0.0 || zeros == 0.0 {
        return None;
    }
    let (high, low) = ((ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0));
    let (of_one, of_zero) = match prior {
        None => (1.0, 1.0),
        Some(prior) => (prior * synthetic.len() as f64 / ones, (1.0 - prior) * synthetic.len() as f64 / zeros),
    };
    let (mut scale, mut bias) = (1.0_f64, 0.0_f64);
    // Newton's method on a convex function of two unknowns; a little is added to its curvature where that is flat.
    for _ in 0..100 {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for (&logit, &is) in logits.iter().zip(synthetic) {
            let x = f64::from(logit);
            let p = sigmoid(scale * x + bias);
            let weight = if is { of_one } else { of_zero };
            let off = weight * (p - if is { high } else { low });
            let w = weight * p * (1.0 - p);
            (g0, g1) = (g0 + off * x, g1 + off);
            (h00, h01, h11) = (h00 + w * x * x, h01 + w * x, h11 + w);
        }
        let determinant = h00 * h11 - h01 * h01;
        let (d0, d1) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        // No leaps where the curve is flat.
        let shorten = (2.0 / d0.abs().max(d1.abs()).max(2.0)).min(1.0);
        (scale, bias) = (scale - shorten * d0, bias - shorten * d1);
        if d0.abs().max(d1.abs()) < 1e-10 {
            break;
        }
    }
    (scale.is_finite() && scale > 0.0 && bias.is_finite())
        .then_some(Calibration { scale: scale as f32, bias: bias as f32 })
}

/// Thresholds at which at most `false_alarms` of the real images are called synthetic, and at most `misses` of the synthetic
/// ones real. Where both can be had with room to spare, the room between is left uncertain.
pub fn thresholds(probabilities: &[f32], synthetic: &[bool], false_alarms: f64, misses: f64) -> Thresholds {
    let of = |wanted: bool| {
        let kept = probabilities.iter().zip(synthetic).filter(|&(_, &is)| is == wanted).map(|(&p, _)| p);
        let mut kept: Vec<f32> = kept.collect();
        kept.sort_by(f32::total_cmp);
        kept
    };
    let (real, made) = (of(false), of(true));
    let allowed = |share: f64, all: usize| ((share * all as f64).floor() as usize).min(all);
    // The lowest threshold that so many real images reach.
    let high = match real.len() - allowed(false_alarms, real.len()) {
        0 => 0.0,
        kept => between(real[kept - 1], real.get(kept).copied().unwrap_or(1.0)),
    };
    // The highest threshold that so many synthetic images stay below.
    let low = match (made.get(allowed(misses, made.len())), allowed(misses, made.len())) {
        (None, _) => 1.0,
        (Some(&next), 0) => between(0.0, next),
        (Some(&next), below) => between(made[below - 1], next),
    };
    Thresholds { low: low.min(high), high: low.max(high) }
}

/// Above `below` and at most `above`, if they differ.
fn between(below: f32, above: f32) -> f32 {
    if above > below { f32::midpoint(below, above).max(below.next_up()) } else { below.next_up().min(1.0) }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::Dice;
    use domain::Policy;
    use figures::calibration_error;

    /// Logits of which a third says twice what is so, and one too much of it.
    fn overconfident(count: usize) -> (Vec<f32>, Vec<bool>) {
        let mut dice = Dice::new(5);
        (0..count)
            .map(|_| {
                let truth = 8.0 * dice.unit() - 4.0;
                ((2.0 * truth + 1.0) as f32, dice.unit() < sigmoid(truth))
            })
            .unzip()
    }

    #[test]
    fn calibration_undoes_what_was_overconfident() {
        let (logits, synthetic) = overconfident(20_000);
        let calibration = platt(&logits, &synthetic, None).unwrap();
        assert!((calibration.scale - 0.5).abs() < 0.02, "{calibration:?}");
        assert!((calibration.bias + 0.5).abs() < 0.05, "{calibration:?}");
        let error = |calibration| {
            let policy = Policy { calibration, ..Policy::default() };
            let said: Vec<f32> = logits.iter().map(|&logit| policy.probability(logit)).collect();
            calibration_error(&said, &synthetic).unwrap()
        };
        let (before, after) = (error(None), error(Some(calibration)));
        assert!(before > 0.08 && after < 0.015, "{before} {after}");
    }

    #[test]
    fn a_prior_moves_the_bias_by_its_odds() {
        let (logits, synthetic) = overconfident(20_000);
        let (even, rare) =
            (platt(&logits, &synthetic, Some(0.5)).unwrap(), platt(&logits, &synthetic, Some(0.1)).unwrap());
        assert!((rare.bias - even.bias - (0.1_f32 / 0.9).ln()).abs() < 0.25, "{even:?} {rare:?}");
    }

    #[test]
    fn no_calibration_is_better_than_a_false_one() {
        assert_eq!(platt(&[1.0, 2.0, -1.0, -2.0], &[false, false, true, true], None), None);
        assert_eq!(platt(&[1.0, 2.0], &[true, true], None), None);
        // Perfectly apart: steep, but finite.
        let apart = platt(&[-3.0, -2.0, 2.0, 3.0], &[false, false, true, true], None).unwrap();
        assert!(apart.scale > 0.0 && apart.scale < 10.0, "{apart:?}");
    }

    #[test]
    fn thresholds_keep_what_they_promise() {
        let (logits, synthetic) = overconfident(2000);
        let said: Vec<f32> = logits.iter().map(|&logit| Policy::default().probability(logit)).collect();
        let Thresholds { low, high } = thresholds(&said, &synthetic, 0.05, 0.1);
        let share = |wanted: bool, test: &dyn Fn(f32) -> bool| {
            let of: Vec<f32> = said.iter().zip(&synthetic).filter(|&(_, &is)| is == wanted).map(|(&p, _)| p).collect();
            of.iter().filter(|&&p| test(p)).count() as f64 / of.len() as f64
        };
        let (alarms, missed) = (share(false, &|p| p >= high), share(true, &|p| p < low));
        assert!(alarms <= 0.05 && alarms > 0.045, "{alarms}");
        assert!(missed <= 0.1 && missed > 0.09, "{missed}");
        assert!(low < high);
    }

    #[test]
    fn between_classes_that_are_apart_is_uncertain() {
        let found = thresholds(&[0.1, 0.2, 0.8, 0.9], &[false, false, true, true], 0.0, 0.0);
        assert!(found.low > 0.2 && found.high < 0.8 && found.low <= found.high, "{found:?}");
        let all_alike = thresholds(&[0.5; 4], &[false, false, true, true], 0.0, 0.0);
        assert!(all_alike.low <= 0.5 && all_alike.high > 0.5, "{all_alike:?}");
    }
}
