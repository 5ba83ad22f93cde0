//! Figures of a detector with whole sources and generators as the unit: intervals are what they would stay in, had other sources
//! and generators of the same kind been taken.

use serde::Serialize;

use super::stratum::Stratum;
use domain::Decision;
use figures::{Bootstrap, Figures, Ranking, Scored};

/// Of intervals of shares.
const CONFIDENCE: f64 = 0.95;

/// An answer about an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Place of its source or generator among the strata.
    pub stratum: usize,
    pub synthetic: bool,
    pub logit: f32,
    pub probability: f32,
    pub decision: Decision,
}

impl Row {
    fn is_wrong(&self) -> bool {
        self.decision == if self.synthetic { Decision::Real } else { Decision::Synthetic }
    }

    fn is_uncertain(&self) -> bool {
        self.decision == Decision::Uncertain
    }
}

/// What becomes of the images of one source or generator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    pub name: String,
    pub images: usize,
    /// Called synthetic where it is a source, real where it is a generator.
    pub wrong: f64,
    /// Within which the share of wrong answers lies with 95 % confidence, by the number of images; `None` without any.
    pub wrong_interval: Option<[f64; 2]>,
    pub uncertain: f64,
}

/// `auc`, `false_alarms`, `missed` and `uncertain`; sources and generators come and go as wholes in the resamples.
pub fn figures(rows: &[Row], bootstrap: &Bootstrap) -> Figures {
    let ranking = Ranking::of(rows.iter().map(|row| Scored {
        image: row.stratum,
        logit: row.logit,
        probability: row.probability,
        synthetic: row.synthetic,
    }));
    let strata: Vec<usize> = rows.iter().map(|row| row.stratum).collect();
    let share = |weights: &[f64], class: Option<bool>, is: fn(&Row) -> bool| {
        let own = || rows.iter().filter(|row| class.is_none_or(|synthetic| synthetic == row.synthetic));
        let weight = |row: &Row| weights[row.stratum];
        figures::share(own().filter(|row| is(row)).map(weight).sum(), own().map(weight).sum())
    };
    bootstrap.figures(&["auc", "false_alarms", "missed", "uncertain"], &strata, |weights| {
        vec![
            ranking.auc(weights),
            share(weights, Some(false), Row::is_wrong),
            share(weights, Some(true), Row::is_wrong),
            share(weights, None, Row::is_uncertain),
        ]
    })
}

/// Of each source, or of each generator, from the one with the largest share of wrong answers on. There are so many answers about
/// each image.
pub fn shares(strata: &[&Stratum], rows: &[Row], synthetic: bool, answers: usize) -> Vec<Share> {
    let own = strata.iter().enumerate().filter(|(_, stratum)| stratum.is_synthetic() == synthetic);
    let mut shares: Vec<Share> = own
        .map(|(place, stratum)| {
            let of: Vec<&Row> = rows.iter().filter(|row| row.stratum == place).collect();
            let share = |is: fn(&Row) -> bool| {
                let own = of.iter().filter(|row| is(row)).count();
                own as f64 / of.len().max(1) as f64
            };
            let (images, wrong) = (of.len() / answers.max(1), share(Row::is_wrong));
            Share {
                name: stratum.name().into(),
                images,
                wrong,
                // Answers about one image are not independent: it counts once.
                wrong_interval: figures::wilson_interval(
                    (wrong * images as f64).round() as u64,
                    images as u64,
                    CONFIDENCE,
                ),
                uncertain: share(Row::is_uncertain),
            }
        })
        .collect();
    shares.sort_by(|one, other| other.wrong.total_cmp(&one.wrong).then_with(|| one.name.cmp(&other.name)));
    shares
}

/// The middle one of these shares of wrong answers, by those with at least so many images.
pub fn median(shares: &[Share], least: usize) -> Option<f64> {
    let wrong: Vec<f64> = shares.iter().filter(|share| share.images >= least).map(|share| share.wrong).collect();
    // They fall.
    wrong.get(wrong.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_counts_with_all_its_images_and_its_answers_once() {
        let row = |stratum, synthetic, logit: f32| {
            let decision = match logit {
                1.0.. => Decision::Synthetic,
                ..-1.0 => Decision::Real,
                _ => Decision::Uncertain,
            };
            Row { stratum, synthetic, logit, probability: 0.5, decision }
        };
        let names = [Stratum::Source("a".into()), Stratum::Source("b".into()), Stratum::Generator("g".into())];
        let strata: Vec<&Stratum> = names.iter().collect();
        // Two answers about each image.
        let rows = [
            row(0, false, 2.0),
            row(0, false, -2.0),
            row(1, false, 0.0),
            row(1, false, -2.0),
            row(2, true, 3.0),
            row(2, true, -3.0),
        ];
        let real = shares(&strata, &rows, false, 2);
        assert_eq!((real[0].name.as_str(), real[0].images, real[0].wrong, real[0].uncertain), ("a", 1, 0.5, 0.0));
        assert_eq!((real[1].name.as_str(), real[1].wrong, real[1].uncertain), ("b", 0.0, 0.5));
        assert_eq!((median(&real, 1), median(&real, 2)), (Some(0.0), None));
        let figures = figures(&rows, &Bootstrap { rounds: 200, seed: 1 });
        assert_eq!(figures.get("false_alarms").value, Some(0.25));
        // Without its other source it would be none or a half.
        assert_eq!(figures.get("false_alarms").interval, Some([0.0, 0.5]));
        assert_eq!(figures.get("missed").value, Some(0.5));
    }
}
