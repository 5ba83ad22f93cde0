//! From logits to probabilities that mean what they say.

use domain::Calibration;

/// Platt's calibration (1999) of logits by images that the network was not trained on; `None` where they contradict the
/// labels, so that no rising curve fits. Targets are drawn in from 0 and 1 by his rule, so that few images give no certainty.
/// `prior`: the share of synthetic images to be calibrated for; `None` for the share that there is.
pub fn platt(logits: &[f32], synthetic: &[bool], prior: Option<f64>) -> Option<Calibration> {
    weighted_platt(logits, synthetic, &vec![1.0; logits.len()], prior)
}

/// The same where rows count differently.
pub fn weighted_platt(logits: &[f32], synthetic: &[bool], weights: &[f64], prior: Option<f64>) -> Option<Calibration> {
    let ones = synthetic.iter().filter(|&&is| is).count() as f64;
    let zeros = synthetic.len() as f64 - ones;
    if ones == 0.0 || zeros == 0.0 {
        return None;
    }
    let (high, low) = ((ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0));
    let weight_of = |wanted: bool| -> f64 {
        weights.iter().zip(synthetic).filter(|(_, is)| **is == wanted).map(|(weight, _)| weight).sum()
    };
    let all = weights.iter().sum::<f64>();
    let (of_one, of_zero) = match prior {
        None => (1.0, 1.0),
        Some(prior) => (prior * all / weight_of(true), (1.0 - prior) * all / weight_of(false)),
    };
    let (mut scale, mut bias) = (1.0_f64, 0.0_f64);
    // Newton's method on a convex function of two unknowns; a little is added to its curvature where that is flat.
    for _ in 0..100 {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for ((&logit, &is), &own) in logits.iter().zip(synthetic).zip(weights) {
            let x = f64::from(logit);
            let p = sigmoid(scale * x + bias);
            let weight = own * if is { of_one } else { of_zero };
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

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use augment::Rng;
    use domain::Policy;
    use figures::calibration_error;

    /// Logits of which a third says twice what is so, and one too much of it.
    fn overconfident(count: usize) -> (Vec<f32>, Vec<bool>) {
        let mut rng = Rng::new(5);
        (0..count)
            .map(|_| {
                let truth = 8.0 * rng.unit() - 4.0;
                ((2.0 * truth + 1.0) as f32, rng.unit() < sigmoid(truth))
            })
            .unzip()
    }

    #[test]
    fn calibration_corrects_overconfident_logits() {
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
    fn logits_that_contradict_the_labels_give_no_calibration() {
        assert_eq!(platt(&[1.0, 2.0, -1.0, -2.0], &[false, false, true, true], None), None);
        assert_eq!(platt(&[1.0, 2.0], &[true, true], None), None);
        // Perfectly apart: steep, but finite.
        let apart = platt(&[-3.0, -2.0, 2.0, 3.0], &[false, false, true, true], None).unwrap();
        assert!(apart.scale > 0.0 && apart.scale < 10.0, "{apart:?}");
    }

    #[test]
    fn a_row_with_the_weight_of_two_counts_as_two() {
        let (logits, synthetic) = overconfident(400);
        let weights: Vec<f64> = (0..400).map(|row| if row < 100 { 2.0 } else { 1.0 }).collect();
        let twice = |values: &[f32]| [values, &values[..100]].concat();
        let labels: Vec<bool> = synthetic.iter().chain(&synthetic[..100]).copied().collect();
        let by_weight = weighted_platt(&logits, &synthetic, &weights, Some(0.5)).unwrap();
        let by_rows = platt(&twice(&logits), &labels, Some(0.5)).unwrap();
        // Platt's targets depend on the number of rows, a little.
        assert!((by_weight.scale - by_rows.scale).abs() < 0.01 && (by_weight.bias - by_rows.bias).abs() < 0.01);
    }
}
