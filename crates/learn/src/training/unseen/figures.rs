//! The figures of networks on sources and generators that they have not learnt from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use super::{Answer, CONDITIONS, SERVED, UnseenImage};
use crate::augment::Perturbation;
use crate::training::calibration::{LogitThresholds, Plan, logit_thresholds_without};
use crate::training::stratum::Stratum;
use domain::Policy;
use figures::{Bootstrap, Figures, Ranking, Scored};

/// Resamples of the sources and generators for the intervals.
const ROUNDS: usize = 1000;

/// What stands in a manifest under `metrics.unseen`. Decisions are those of thresholds that were set without the image's own
/// source or generator. Intervals are over sources and generators: had others of the same kind been taken.
#[derive(Clone, Debug, Serialize)]
pub struct UnseenReport {
    pub images: usize,
    pub sources: usize,
    pub generators: usize,
    /// By the name of the condition: `auc`, `accused`, `missed`, `uncertain`.
    pub conditions: BTreeMap<String, Figures>,
    /// The same by content type, over the conditions that images are served in.
    pub content_types: BTreeMap<String, Figures>,
    /// Of each source of real images, from the one with the largest share of accused images on.
    pub by_source: Vec<Share>,
    /// Of each generator, from the one with the largest share of images on that are called real.
    pub by_generator: Vec<Share>,
    /// Of the synthetic images that are called so: the shares that get a right and a wrong name.
    pub named_rightly: Option<f64>,
    pub named_wrongly: Option<f64>,
}

/// What becomes of the images of one source or generator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    pub name: String,
    pub images: usize,
    /// Called synthetic where it is a source, real where it is a generator.
    pub wrong: f64,
    pub uncertain: f64,
}

/// One answer and how it is taken.
#[derive(Clone, Copy)]
struct Row {
    /// Place among the images.
    image: usize,
    /// Place among the strata.
    stratum: usize,
    synthetic: bool,
    answer: Answer,
    bounds: LogitThresholds,
}

impl Row {
    fn is_called_synthetic(&self) -> bool {
        self.answer.logit >= self.bounds.high
    }

    fn is_called_real(&self) -> bool {
        self.answer.logit < self.bounds.low
    }

    fn is_wrong(&self) -> bool {
        if self.synthetic { self.is_called_real() } else { self.is_called_synthetic() }
    }

    fn is_uncertain(&self) -> bool {
        !self.is_called_synthetic() && !self.is_called_real()
    }
}

impl UnseenReport {
    pub(super) fn of(plan: &Plan, policy: &Policy, novelty_limit: Option<f32>, images: &[UnseenImage]) -> UnseenReport {
        let served = super::served(images);
        let strata: BTreeSet<&Stratum> = images.iter().map(|image| &image.stratum).collect();
        let strata: Vec<&Stratum> = strata.into_iter().collect();
        let bounds: Vec<LogitThresholds> =
            strata.iter().map(|left_out| logit_thresholds_without(plan, &served, left_out)).collect();
        let rows_of = |conditions: Range<usize>| -> Vec<Row> {
            let of_image = |(place, image)| of_image(place, image, &strata, &bounds, conditions.clone());
            images.iter().enumerate().flat_map(of_image).collect()
        };
        let of_condition = |(place, perturbation): (usize, &Perturbation)| {
            (perturbation.name(), figures_of(policy, &rows_of(place..place + 1)))
        };
        let rows = rows_of(0..SERVED);
        let content_types: BTreeSet<&str> = images.iter().filter_map(|image| image.content_type.as_deref()).collect();
        let of_type = |wanted: &str| {
            let is_own = |row: &&Row| images[row.image].content_type.as_deref() == Some(wanted);
            let own: Vec<Row> = rows.iter().filter(is_own).copied().collect();
            (wanted.to_owned(), figures_of(policy, &own))
        };
        let called_synthetic: Vec<&Row> =
            rows.iter().filter(|row| row.synthetic && row.is_called_synthetic()).collect();
        let named = |is_right: bool| {
            novelty_limit?;
            let is_named = |row: &&&Row| {
                let label = images[row.image].label.generator();
                let right = row.answer.guess.is_some() && row.answer.guess == label;
                row.answer.novelty < novelty_limit && right == is_right
            };
            let named = called_synthetic.iter().filter(is_named).count();
            figures::share(named as f64, called_synthetic.len() as f64)
        };
        let count = |synthetic: bool| strata.iter().filter(|stratum| stratum.is_synthetic() == synthetic).count();
        UnseenReport {
            images: images.len(),
            sources: count(false),
            generators: count(true),
            conditions: CONDITIONS.iter().enumerate().map(of_condition).collect(),
            content_types: content_types.into_iter().map(of_type).collect(),
            by_source: shares(&strata, &rows, false),
            by_generator: shares(&strata, &rows, true),
            named_rightly: named(true),
            named_wrongly: named(false),
        }
    }
}

fn of_image(
    place: usize,
    image: &UnseenImage,
    strata: &[&Stratum],
    bounds: &[LogitThresholds],
    conditions: Range<usize>,
) -> Vec<Row> {
    let stratum = strata.partition_point(|other| **other < image.stratum);
    let row = |&answer: &Answer| Row {
        image: place,
        stratum,
        synthetic: image.label.is_synthetic(),
        answer,
        bounds: bounds[stratum],
    };
    image.answers.get(conditions).unwrap_or_default().iter().map(row).collect()
}

/// Whole sources and generators come and go together in the resamples.
fn figures_of(policy: &Policy, rows: &[Row]) -> Figures {
    let ranking = Ranking::of(rows.iter().map(|row| Scored {
        image: row.stratum,
        logit: row.answer.logit,
        probability: policy.probability(row.answer.logit),
        synthetic: row.synthetic,
    }));
    let strata: Vec<usize> = rows.iter().map(|row| row.stratum).collect();
    let share = |weights: &[f64], class: Option<bool>, is: fn(&Row) -> bool| {
        let own = || rows.iter().filter(|row| class.is_none_or(|synthetic| synthetic == row.synthetic));
        let weight = |row: &Row| weights[row.stratum];
        figures::share(own().filter(|row| is(row)).map(weight).sum(), own().map(weight).sum())
    };
    let bootstrap = Bootstrap { rounds: ROUNDS, seed: 0 };
    bootstrap.figures(&["auc", "accused", "missed", "uncertain"], &strata, |weights| {
        vec![
            ranking.auc(weights),
            share(weights, Some(false), Row::is_wrong),
            share(weights, Some(true), Row::is_wrong),
            share(weights, None, Row::is_uncertain),
        ]
    })
}

fn shares(strata: &[&Stratum], rows: &[Row], synthetic: bool) -> Vec<Share> {
    let own = strata.iter().enumerate().filter(|(_, stratum)| stratum.is_synthetic() == synthetic);
    let mut shares: Vec<Share> = own
        .map(|(place, stratum)| {
            let of: Vec<&Row> = rows.iter().filter(|row| row.stratum == place).collect();
            let share = |is: fn(&Row) -> bool| {
                let own = of.iter().filter(|row| is(row)).count();
                own as f64 / of.len().max(1) as f64
            };
            Share {
                name: stratum.name().into(),
                images: of.len() / SERVED,
                wrong: share(Row::is_wrong),
                uncertain: share(Row::is_uncertain),
            }
        })
        .collect();
    shares.sort_by(|one, other| other.wrong.total_cmp(&one.wrong).then_with(|| one.name.cmp(&other.name)));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::batch::Label;
    use crate::training::unseen::read;

    fn image(stratum: Stratum, logit: f32) -> UnseenImage {
        let label = if stratum.is_synthetic() { Label::Synthetic(Some(0)) } else { Label::Real };
        let answer = |logit| Answer { logit, guess: Some(0), novelty: Some(0.1) };
        UnseenImage {
            content_type: Some("photos".into()),
            label,
            stratum,
            // Equalised, everything looks real.
            answers: vec![answer(logit), answer(logit), answer(-9.0)],
        }
    }

    /// Nine sources between −4 and −3, a tenth between 1 and 2, and ten generators between 0 and 1.
    fn images() -> Vec<UnseenImage> {
        let each = |stratum: Stratum, centre: f32| {
            (0..40).map(move |n| image(stratum.clone(), centre + n as f32 / 40.0)).collect::<Vec<_>>()
        };
        let sources = (0..10).map(|n| (Stratum::Source(format!("s{n}").into()), if n == 9 { 1.0 } else { -4.0 }));
        let generators = (0..10).map(|n| (Stratum::Generator(format!("g{n}").into()), 0.0));
        sources.chain(generators).flat_map(|(stratum, centre)| each(stratum, centre)).collect()
    }

    #[test]
    fn a_source_is_judged_by_thresholds_that_others_set() {
        let plan = Plan { by: crate::training::calibration::HeldOutBy::Sources, ..Plan::default() };
        let reading = read(&plan, &images());
        let report = &reading.report;
        assert_eq!((report.images, report.sources, report.generators), (800, 10, 10));
        // With its own images the strange source would have raised the threshold above them.
        assert_eq!((report.by_source[0].name.as_str(), report.by_source[0].images), ("s9", 40));
        assert!(report.by_source[0].wrong > 0.9 && report.by_source[1].wrong < 0.1, "{:?}", report.by_source);
        let social = &report.conditions["social"];
        assert!((social.get("auc").value.unwrap() - 0.9).abs() < 0.02, "{social:?}");
        // A whole source more or less is a wide interval.
        let [low, high] = social.get("auc").interval.unwrap();
        assert!(low < 0.8 && high > 0.98, "{low} {high}");
        assert_eq!(report.conditions["equalised"].get("auc").value, Some(0.5));
        assert_eq!(report.conditions["equalised"].get("missed").value, Some(1.0));
        assert_eq!(reading.novelty_limit, Some(0.1_f32.next_up()));
        assert_eq!((report.named_rightly, report.named_wrongly), (Some(1.0), Some(0.0)));
    }
}
