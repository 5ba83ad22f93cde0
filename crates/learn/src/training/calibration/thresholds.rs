//! Where "real" ends and "synthetic" begins.

use serde_json::{Value, json};

use crate::training::stratum::{self, Stratum};
use domain::Thresholds;

/// Images of a source or of a generator from which its quantiles say something. Smaller ones count for less.
const ENOUGH: usize = 20;
/// So far beyond the last logit lies a threshold that none may pass: far enough to be seen in its probability.
const STEP: f32 = 0.01;

/// Thresholds at which at most `false_alarms` of the real images are called synthetic, and at most `misses` of the synthetic
/// ones real. Where both can be had with room to spare, the room between is left uncertain.
pub fn by_image(probabilities: &[f32], synthetic: &[bool], false_alarms: f64, misses: f64) -> Thresholds {
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

/// Logits below which an image is real and from which on it is synthetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitThresholds {
    pub low: f32,
    pub high: f32,
}

/// Thresholds for sources and generators that the model has never seen, from logits that were said without having learnt from
/// their source or generator: the lowest upper one that at most `false_alarms` of all real images reach, every source counting
/// alike, and the highest lower one that at most `misses` of all synthetic images stay below, every generator counting alike.
pub fn by_stratum(logits: &[f32], strata: &[Stratum], false_alarms: f64, misses: f64) -> LogitThresholds {
    let (real, made) = (Class::of(logits, strata, false), Class::of(logits, strata, true));
    let (high, low) = (real.highest_for(false_alarms), made.lowest_for(misses));
    // Where both can be had with room to spare, the room between is left uncertain.
    LogitThresholds { low: low.min(high), high: low.max(high) }
}

/// The weight of each row where all real sources count alike and all generators do; small ones less. Their mean is 1.
pub(super) fn alike(strata: &[Stratum]) -> Vec<f64> {
    let mut weights = vec![1.0; strata.len()];
    for rows in stratum::rows(strata).into_values() {
        let weight = weight(rows.len());
        rows.into_iter().for_each(|row| weights[row] = weight);
    }
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    weights.iter().map(|weight| weight / mean).collect()
}

/// Of one row of so many.
fn weight(rows: usize) -> f64 {
    rows.min(ENOUGH) as f64 / (ENOUGH * rows.max(1)) as f64
}

/// The logits of one class in rising order, with their weights.
struct Class(Vec<(f32, f64)>);

impl Class {
    fn of(logits: &[f32], strata: &[Stratum], synthetic: bool) -> Class {
        let own = stratum::rows(strata).into_iter().filter(|(stratum, _)| stratum.is_synthetic() == synthetic);
        let weighted = |(_, rows): (&Stratum, Vec<usize>)| {
            let weight = weight(rows.len());
            rows.into_iter().map(move |row| (logits[row], weight))
        };
        let mut all: Vec<(f32, f64)> = own.flat_map(weighted).collect();
        all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Class(all)
    }

    /// The lowest threshold that at most this share reaches.
    fn highest_for(&self, share: f64) -> f32 {
        let falling = self.0.iter().rev().copied();
        match self.first_beyond(share, falling) {
            // Half way to the next one, but not far: that one may be a stray.
            Some((logit, Some(above))) => f32::midpoint(logit, above).min(logit + STEP),
            Some((logit, None)) => logit + STEP,
            None => f32::MIN,
        }
    }

    /// The highest threshold that at most this share stays below.
    fn lowest_for(&self, share: f64) -> f32 {
        match self.first_beyond(share, self.0.iter().copied()) {
            Some((logit, Some(below))) => f32::midpoint(below, logit).max(logit - STEP),
            Some((logit, None)) => logit - STEP,
            None => f32::MAX,
        }
    }

    /// The first of the logits that is one too many for this share, and the last other one before it.
    fn first_beyond(&self, share: f64, logits: impl Iterator<Item = (f32, f64)>) -> Option<(f32, Option<f32>)> {
        let allowed = share * self.0.iter().map(|(_, weight)| weight).sum::<f64>();
        let (mut passed, mut last, mut other) = (0.0, None, None);
        for (logit, weight) in logits {
            if last.is_some_and(|last| last != logit) {
                other = last;
            }
            last = Some(logit);
            passed += weight;
            if passed > allowed + 1e-9 {
                return Some((logit, other));
            }
        }
        None
    }
}

/// What thresholds do on sources and generators that had no part in setting them: each is left out once, and read by what the
/// others set. Only those with enough images are.
#[derive(Clone, Debug, PartialEq)]
pub struct UnseenFigures {
    pub sources: usize,
    pub generators: usize,
    /// Share of the real images of a source that are called synthetic: the mean over sources, and the worst.
    pub false_alarms: f64,
    pub worst_source: Option<(String, f64)>,
    /// Share of the synthetic images of a generator that are called real.
    pub misses: f64,
    pub worst_generator: Option<(String, f64)>,
    /// Share that is neither, of both.
    pub uncertain: f64,
}

impl UnseenFigures {
    pub fn to_json(&self) -> Value {
        let worst =
            |worst: &Option<(String, f64)>| worst.as_ref().map(|(name, share)| json!({"name": name, "share": share}));
        json!({
            "sources": self.sources,
            "generators": self.generators,
            "false_alarms": self.false_alarms,
            "worst_source": worst(&self.worst_source),
            "misses": self.misses,
            "worst_generator": worst(&self.worst_generator),
            "uncertain": self.uncertain,
        })
    }
}

/// [`by_stratum`] without one of the sources or generators.
pub(super) fn without(
    left_out: &Stratum,
    logits: &[f32],
    strata: &[Stratum],
    false_alarms: f64,
    misses: f64,
) -> LogitThresholds {
    let others = strata.iter().zip(logits).filter(|(other, _)| *other != left_out);
    let (others, of_others): (Vec<Stratum>, Vec<f32>) = others.map(|(own, logit)| (own.clone(), *logit)).unzip();
    by_stratum(&of_others, &others, false_alarms, misses)
}

/// [`by_stratum`] with each source and generator left out in turn.
pub fn unseen_figures(logits: &[f32], strata: &[Stratum], false_alarms: f64, misses: f64) -> UnseenFigures {
    let mut wrong: [Vec<(String, f64)>; 2] = [Vec::new(), Vec::new()];
    let mut uncertain = Vec::new();
    for (stratum, rows) in stratum::rows(strata).into_iter().filter(|(_, rows)| rows.len() >= ENOUGH) {
        let bounds = without(stratum, logits, strata, false_alarms, misses);
        let share =
            |is: &dyn Fn(f32) -> bool| rows.iter().filter(|&&row| is(logits[row])).count() as f64 / rows.len() as f64;
        let is_synthetic = stratum.is_synthetic();
        let accused = share(&|logit| logit >= bounds.high);
        let cleared = share(&|logit| logit < bounds.low);
        wrong[usize::from(is_synthetic)].push((stratum.name().into(), if is_synthetic { cleared } else { accused }));
        uncertain.push(1.0 - accused - cleared);
    }
    let mean =
        |shares: &[(String, f64)]| shares.iter().map(|(_, share)| share).sum::<f64>() / shares.len().max(1) as f64;
    let worst = |shares: &[(String, f64)]| shares.iter().max_by(|(_, one), (_, other)| one.total_cmp(other)).cloned();
    let [real, made] = wrong;
    UnseenFigures {
        sources: real.len(),
        generators: made.len(),
        false_alarms: mean(&real),
        worst_source: worst(&real),
        misses: mean(&made),
        worst_generator: worst(&made),
        uncertain: uncertain.iter().sum::<f64>() / uncertain.len().max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use augment::Rng;
    use domain::Policy;

    /// Probabilities that are right.
    fn scored(count: usize) -> (Vec<f32>, Vec<bool>) {
        let mut rng = Rng::new(5);
        let one = |_| {
            let logit = 8.0 * rng.unit() - 4.0;
            (Policy::default().probability((2.0 * logit + 1.0) as f32), rng.unit() < 1.0 / (1.0 + (-logit).exp()))
        };
        (0..count).map(one).unzip()
    }

    #[test]
    fn thresholds_keep_what_they_promise() {
        let (said, synthetic) = scored(2000);
        let Thresholds { low, high } = by_image(&said, &synthetic, 0.05, 0.1);
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
    fn what_lies_between_separate_classes_is_uncertain() {
        let found = by_image(&[0.1, 0.2, 0.8, 0.9], &[false, false, true, true], 0.0, 0.0);
        assert!(found.low > 0.2 && found.high < 0.8 && found.low <= found.high, "{found:?}");
        let all_alike = by_image(&[0.5; 4], &[false, false, true, true], 0.0, 0.0);
        assert!(all_alike.low <= 0.5 && all_alike.high > 0.5, "{all_alike:?}");
    }

    fn rows(stratum: &Stratum, logits: impl Iterator<Item = f32>) -> Vec<(f32, Stratum)> {
        logits.map(|logit| (logit, stratum.clone())).collect()
    }

    fn source(name: usize, count: usize, centre: f32) -> Vec<(f32, Stratum)> {
        let stratum = Stratum::Source(name.to_string().into());
        rows(&stratum, (0..count).map(|n| centre + n as f32 / (count - 1).max(1) as f32))
    }

    fn generator(name: usize, count: usize, centre: f32) -> Vec<(f32, Stratum)> {
        let stratum = Stratum::Generator(name.to_string().into());
        rows(&stratum, (0..count).map(|n| centre + n as f32 / (count - 1).max(1) as f32))
    }

    #[test]
    fn so_many_of_the_real_images_reach_the_upper_threshold_all_sources_counting_alike() {
        // Eleven sources, of which source n spans n to n + 1.
        let scored: Vec<_> = (0..11).flat_map(|n| source(n, 101, n as f32)).chain(generator(0, 101, 20.0)).collect();
        let (logits, strata): (Vec<f32>, Vec<Stratum>) = scored.into_iter().unzip();
        // With 3 % of false alarms: 33 % of the images of the highest one. Up to where images are called synthetic all is real.
        let found = by_stratum(&logits, &strata, 0.03, 0.0);
        let above =
            strata.iter().zip(&logits).filter(|(own, logit)| !own.is_synthetic() && **logit >= found.low).count();
        assert!((32..=33).contains(&above) && (found.high - 20.0).abs() < 0.06, "{above} {found:?}");
    }

    #[test]
    fn a_source_counts_once_however_many_images_it_has() {
        let some = |large: usize| -> LogitThresholds {
            let scored =
                (0..9).flat_map(|n| source(n, 40, 0.0)).chain(source(9, large, -9.0)).chain(generator(0, 40, 0.0));
            let (logits, strata): (Vec<f32>, Vec<Stratum>) = scored.unzip();
            by_stratum(&logits, &strata, 0.03, 0.05)
        };
        assert_eq!(some(40), some(4000));
        // Two images are no source; their weight is a tenth of one.
        let scored = (0..9).flat_map(|n| source(n, 40, 0.0)).chain(source(9, 2, 50.0)).chain(generator(0, 40, 0.0));
        let (logits, strata): (Vec<f32>, Vec<Stratum>) = scored.unzip();
        assert!(by_stratum(&logits, &strata, 0.03, 0.05).high < 1.1);
    }

    #[test]
    fn so_many_of_the_synthetic_images_stay_below_the_lower_threshold() {
        // Generator n spans n to n + 1, and all real images lie above them.
        let scored = (0..11).flat_map(|n| generator(n, 101, n as f32)).chain(source(0, 101, 15.0));
        let (logits, strata): (Vec<f32>, Vec<Stratum>) = scored.unzip();
        let found = by_stratum(&logits, &strata, 0.03, 0.1);
        let below = strata.iter().zip(&logits).filter(|(own, logit)| own.is_synthetic() && **logit < found.low).count();
        assert!((110..=112).contains(&below) && found.high > 15.9, "{below} {found:?}");
        let found = by_stratum(&logits, &strata, 0.03, 0.0);
        assert!(found.low <= 0.0, "{found:?}");
    }

    #[test]
    fn figures_for_unseen_sources_name_the_worst() {
        let scored = (0..9).flat_map(|n| source(n, 40, 0.0)).chain(source(9, 40, 3.0));
        let scored = scored.chain((0..5).flat_map(|n| generator(n, 40, 2.0))).chain(generator(5, 40, -2.0));
        let (logits, strata): (Vec<f32>, Vec<Stratum>) = scored.unzip();
        let figures = unseen_figures(&logits, &strata, 0.03, 0.05);
        assert_eq!((figures.sources, figures.generators), (10, 6));
        assert_eq!(figures.worst_source, Some(("9".into(), 1.0)));
        assert_eq!(figures.worst_generator, Some(("5".into(), 1.0)));
        assert!(figures.false_alarms >= 0.1 && figures.false_alarms < 0.13, "{figures:?}");
        assert_eq!(figures.to_json()["worst_source"]["name"], "9");
    }

    #[test]
    fn sources_weigh_alike_and_small_ones_less() {
        let scored = source(0, 100, 0.0).into_iter().chain(source(1, 20, 0.0)).chain(source(2, 5, 0.0));
        let (_, strata): (Vec<f32>, Vec<Stratum>) = scored.unzip();
        let weights = alike(&strata);
        let sum = |rows: std::ops::Range<usize>| weights[rows].iter().sum::<f64>();
        assert!((sum(0..100) - sum(100..120)).abs() < 1e-9);
        assert!((sum(120..125) - sum(0..100) / 4.0).abs() < 1e-9);
        assert!((weights.iter().sum::<f64>() - 125.0).abs() < 1e-9);
    }
}
