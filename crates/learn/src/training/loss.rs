//! What training makes small.

use tch::{Kind, Reduction, TchError, Tensor};

/// Supervised contrastive loss (Khosla et al., arXiv 2004.11362, equation 2), in fp32.
///
/// `views`: rows of length 1, `[n, d]` each; row i of every view is of image i. Each row is drawn to all other rows of its
/// label and pushed from the rest. With the backbone's and the sub-network's embedding as views it is SelfCon's loss
/// (Bae et al., AAAI 2023, equation 4); with two augmentations, SupCon's. A row without any like it counts nothing.
pub fn contrastive(views: &[Tensor], labels: &Tensor, temperature: f64) -> Result<Tensor, TchError> {
    let rows = Tensor::f_cat(views, 0)?;
    let labels = labels.f_repeat([views.len() as i64])?;
    let alike = labels.f_unsqueeze(0)?.f_eq_tensor(&labels.f_unsqueeze(1)?)?.f_to_kind(Kind::Float)?;
    let others = alike.f_ones_like()?.f_fill_diagonal_(0.0, false)?;
    let likeness = rows.f_matmul(&rows.f_transpose(0, 1)?)?.f_div_scalar(temperature)?;
    // The largest is taken off first: exp stays within its range. It is the same for numerator and denominator.
    let likeness = likeness.f_sub(&likeness.f_detach()?.f_amax([1_i64].as_slice(), true)?)?;
    let all = likeness.f_exp()?.f_mul(&others)?.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Float)?;
    // A row that is alone has nothing to be compared with.
    let shares = likeness.f_sub(&all.f_clamp_min(1e-30)?.f_log()?)?;
    let positives = alike.f_mul(&others)?;
    let counts = positives.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?;
    let sums = shares.f_mul(&positives)?.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?;
    let anchors = counts.f_gt(0.0)?.f_to_kind(Kind::Float)?;
    let means = sums.f_div(&counts.f_clamp_min(1.0)?)?;
    means.f_sum(Kind::Float)?.f_neg()?.f_div(&anchors.f_sum(Kind::Float)?.f_clamp_min(1.0)?)
}

/// Mean binary cross-entropy of origin logits `[n]`; `synthetic` is 0 or 1. It takes the logits themselves: a sigmoid
/// before it would be a second one.
pub fn origin(logits: &Tensor, synthetic: &Tensor, smoothing: f64) -> Result<Tensor, TchError> {
    weighted_origin(logits, synthetic, smoothing, None)
}

/// The same with a weight for each row `[n]`, over their number: a batch of heavy rows moves more.
pub fn weighted_origin(
    logits: &Tensor,
    synthetic: &Tensor,
    smoothing: f64,
    weights: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let wanted = synthetic.f_to_kind(Kind::Float)?.f_mul_scalar(1.0 - smoothing)?.f_add_scalar(smoothing / 2.0)?;
    logits.f_binary_cross_entropy_with_logits(&wanted, weights, None, Reduction::Mean)
}

/// Mean cross-entropy of generator logits `[n, classes]` against classes `[n]`.
pub fn generators(logits: &Tensor, classes: &Tensor, smoothing: f64) -> Result<Tensor, TchError> {
    weighted_generators(logits, classes, smoothing, None)
}

/// The same with a weight for each row `[n]`, over their number.
pub fn weighted_generators(
    logits: &Tensor,
    classes: &Tensor,
    smoothing: f64,
    weights: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let Some(weights) = weights else {
        return logits.f_cross_entropy_loss::<Tensor>(classes, None, Reduction::Mean, -100, smoothing);
    };
    let rows = logits.f_cross_entropy_loss::<Tensor>(classes, None, Reduction::None, -100, smoothing)?;
    rows.f_mul(weights)?.f_mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(loss: &Tensor) -> f64 {
        f64::try_from(loss).unwrap()
    }

    #[test]
    fn supcon_is_what_a_hand_computes() {
        // Three images with two views each in the plane; images 0 and 1 are of one label, 2 alone.
        let first = Tensor::from_slice(&[1.0_f32, 0.0, 0.6, 0.8, 0.0, 1.0]).view([3, 2]);
        let second = Tensor::from_slice(&[0.8_f32, 0.6, 1.0, 0.0, -0.6, 0.8]).view([3, 2]);
        let labels = Tensor::from_slice(&[1_i64, 1, 0]);
        let rows = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6], [1.0, 0.0], [-0.6, 0.8]];
        let of = [1, 1, 0, 1, 1, 0];
        let exp = |a: [f64; 2], b: [f64; 2]| ((a[0] * b[0] + a[1] * b[1]) / 0.5).exp();
        let mut wanted = 0.0;
        for i in 0..6 {
            let all: f64 = (0..6).filter(|&a| a != i).map(|a| exp(rows[i], rows[a])).sum();
            let positives: Vec<_> = (0..6).filter(|&p| p != i && of[p] == of[i]).collect();
            let sum: f64 = positives.iter().map(|&p| (exp(rows[i], rows[p]) / all).ln()).sum();
            wanted -= sum / positives.len() as f64 / 6.0;
        }
        let found = value(&contrastive(&[first, second], &labels, 0.5).unwrap());
        assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
    }

    #[test]
    fn selfcon_with_two_images_is_what_a_hand_computes() {
        // Backbone (1, 0) and (0, 1), sub-network the same, temperature 1: each row has one positive at likeness 1 and
        // two others at 0, so −ln(e / (e + 2)).
        let backbone = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0]).view([2, 2]);
        let views = [backbone.shallow_clone(), backbone];
        let found = value(&contrastive(&views, &Tensor::from_slice(&[0_i64, 1]), 1.0).unwrap());
        let e = std::f64::consts::E;
        assert!((found + (e / (e + 2.0)).ln()).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_row_without_any_like_it_counts_nothing() {
        let rows = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0, 1.0, 0.0]).view([3, 2]);
        let found = value(&contrastive(&[rows], &Tensor::from_slice(&[0_i64, 1, 0]), 1.0).unwrap());
        let e = std::f64::consts::E;
        assert!((found + (e / (e + 1.0)).ln()).abs() < 1e-6, "{found}");
        let alone =
            contrastive(&[Tensor::ones([1, 2], (Kind::Float, tch::Device::Cpu))], &Tensor::from_slice(&[0_i64]), 1.0);
        assert_eq!(value(&alone.unwrap()), 0.0);
    }

    #[test]
    fn cross_entropy_takes_logits_as_they_are() {
        let logits = Tensor::from_slice(&[2.0_f32, -1.0]);
        let wanted = ((1.0 + (-2.0_f64).exp()).ln() + (1.0 + (-1.0_f64).exp()).ln()) / 2.0;
        let found = value(&origin(&logits, &Tensor::from_slice(&[1_i64, 0]), 0.0).unwrap());
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        // With smoothing 0.2 the wanted probabilities are 0.9 and 0.1.
        let one = |logit: f64, p: f64| p * (1.0 + (-logit).exp()).ln() + (1.0 - p) * (1.0 + logit.exp()).ln();
        let found = value(&origin(&logits, &Tensor::from_slice(&[1_i64, 0]), 0.2).unwrap());
        assert!((found - f64::midpoint(one(2.0, 0.9), one(-1.0, 0.1))).abs() < 1e-6, "{found}");

        let logits = Tensor::from_slice(&[1.0_f32, 0.0, 0.0]).view([1, 3]);
        let found = value(&generators(&logits, &Tensor::from_slice(&[0_i64]), 0.0).unwrap());
        let e = std::f64::consts::E;
        assert!((found + (e / (e + 2.0)).ln()).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_row_of_weight_2_counts_twice() {
        let (logits, labels) = (Tensor::from_slice(&[2.0_f32, -1.0, 0.5]), Tensor::from_slice(&[1_i64, 1, 0]));
        let weights = Tensor::from_slice(&[2.0_f32, 1.0, 0.0]);
        let one = |row: i64| value(&origin(&logits.narrow(0, row, 1), &labels.narrow(0, row, 1), 0.1).unwrap());
        let found = value(&weighted_origin(&logits, &labels, 0.1, Some(&weights)).unwrap());
        assert!((found - (2.0 * one(0) + one(1)) / 3.0).abs() < 1e-6, "{found}");

        let logits = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 2.0]).view([2, 2]);
        let classes = Tensor::from_slice(&[0_i64, 0]);
        let one = |row: i64| value(&generators(&logits.narrow(0, row, 1), &classes.narrow(0, row, 1), 0.1).unwrap());
        let weights = Tensor::from_slice(&[2.0_f32, 1.0]);
        let found = value(&weighted_generators(&logits, &classes, 0.1, Some(&weights)).unwrap());
        assert!((found - (2.0 * one(0) + one(1)) / 2.0).abs() < 1e-6, "{found}");
    }
}
