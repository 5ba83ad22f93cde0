//! The figures of networks on sources and generators that they have not learnt from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use super::{Answer, CONDITIONS, SERVED, UnseenImage};
use crate::training::calibration::{LogitThresholds, Plan, logit_thresholds_without};
use crate::training::strata_figures::{self, Row, Share, shares};
use crate::training::stratum::{self, Stratum};
use augment::Perturbation;
use domain::{Decision, Policy};
use figures::{Bootstrap, Figures};

/// Resamples of the sources and generators for the intervals.
const ROUNDS: usize = 1000;

/// What stands in a manifest under `metrics.unseen`. Decisions are those of thresholds that were set without the image's own
/// source or generator. Intervals are over sources and generators: had others of the same kind been taken.
#[derive(Clone, Debug, Serialize)]
pub struct UnseenReport {
    pub images: usize,
    pub sources: usize,
    pub generators: usize,
    /// By the name of the condition: `auc`, `false_alarms`, `missed`, `uncertain`.
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

/// One answer, and how it is taken.
#[derive(Clone, Copy)]
struct Said {
    /// Place among the images.
    image: usize,
    answer: Answer,
    row: Row,
}

impl UnseenReport {
    pub(super) fn of(plan: &Plan, policy: &Policy, novelty_limit: Option<f32>, images: &[UnseenImage]) -> UnseenReport {
        let served = super::served(images);
        let strata: BTreeSet<&Stratum> = images.iter().map(|image| &image.stratum).collect();
        let strata: Vec<&Stratum> = strata.into_iter().collect();
        let bounds: Vec<LogitThresholds> =
            strata.iter().map(|left_out| logit_thresholds_without(plan, &served, left_out)).collect();
        let said_under = |conditions: Range<usize>| -> Vec<Said> {
            let of_image = |image| of_image(image, policy, &strata, &bounds, conditions.clone());
            images.iter().enumerate().flat_map(of_image).collect()
        };
        let of_condition = |(place, perturbation): (usize, &Perturbation)| {
            (perturbation.name(), figures_of(said_under(place..place + 1).iter()))
        };
        let said = said_under(0..SERVED);
        let content_types: BTreeSet<&str> = images.iter().filter_map(|image| image.content_type.as_deref()).collect();
        let of_type = |wanted: &str| {
            let is_own = |said: &&Said| images[said.image].content_type.as_deref() == Some(wanted);
            (wanted.to_owned(), figures_of(said.iter().filter(is_own)))
        };
        let is_called_synthetic = |said: &&Said| said.row.synthetic && said.row.decision == Decision::Synthetic;
        let called_synthetic: Vec<&Said> = said.iter().filter(is_called_synthetic).collect();
        let named = |is_right: bool| {
            novelty_limit?;
            let is_named = |said: &&&Said| {
                let label = images[said.image].label.generator();
                let right = said.answer.guess.is_some() && said.answer.guess == label;
                said.answer.novelty < novelty_limit && right == is_right
            };
            let named = called_synthetic.iter().filter(is_named).count();
            figures::share(named as f64, called_synthetic.len() as f64)
        };
        let count = |synthetic: bool| strata.iter().filter(|stratum| stratum.is_synthetic() == synthetic).count();
        let rows: Vec<Row> = said.iter().map(|said| said.row).collect();
        UnseenReport {
            images: images.len(),
            sources: count(false),
            generators: count(true),
            conditions: CONDITIONS.iter().enumerate().map(of_condition).collect(),
            content_types: content_types.into_iter().map(of_type).collect(),
            by_source: shares(&strata, &rows, false, SERVED),
            by_generator: shares(&strata, &rows, true, SERVED),
            named_rightly: named(true),
            named_wrongly: named(false),
        }
    }
}

fn of_image(
    (place, image): (usize, &UnseenImage),
    policy: &Policy,
    strata: &[&Stratum],
    bounds: &[LogitThresholds],
    conditions: Range<usize>,
) -> Vec<Said> {
    let stratum = stratum::place(strata, &image.stratum);
    let LogitThresholds { low, high } = bounds[stratum];
    let said = |&answer: &Answer| {
        let decision = match answer.logit {
            logit if logit >= high => Decision::Synthetic,
            logit if logit < low => Decision::Real,
            _ => Decision::Uncertain,
        };
        let probability = policy.probability(answer.logit);
        let row = Row { stratum, synthetic: image.label.is_synthetic(), logit: answer.logit, probability, decision };
        Said { image: place, answer, row }
    };
    image.answers.get(conditions).unwrap_or_default().iter().map(said).collect()
}

fn figures_of<'a>(said: impl Iterator<Item = &'a Said>) -> Figures {
    let rows: Vec<Row> = said.map(|said| said.row).collect();
    strata_figures::figures(&rows, &Bootstrap { rounds: ROUNDS, seed: 0 })
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

    /// Nine sources between −4 and −3, a tenth between 1 and 2; nine generators between 0 and 1, a tenth between 5 and 6.
    fn images() -> Vec<UnseenImage> {
        let each = |stratum: Stratum, centre: f32| {
            (0..40).map(move |n| image(stratum.clone(), centre + n as f32 / 40.0)).collect::<Vec<_>>()
        };
        let sources = (0..10).map(|n| (Stratum::Source(format!("s{n}").into()), if n == 9 { 1.0 } else { -4.0 }));
        let generators = (0..10).map(|n| (Stratum::Generator(format!("g{n}").into()), if n == 9 { 5.0 } else { 0.0 }));
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
        assert!((social.get("auc").value.unwrap() - 0.91).abs() < 0.02, "{social:?}");
        // A whole source more or less is a wide interval.
        let [low, high] = social.get("auc").interval.unwrap();
        assert!(low < 0.8 && high > 0.98, "{low} {high}");
        assert_eq!(report.conditions["equalised"].get("auc").value, Some(0.5));
        assert_eq!(report.conditions["equalised"].get("missed").value, Some(1.0));
        assert_eq!(reading.novelty_limit, Some(0.1_f32.next_up()));
        assert_eq!((report.named_rightly, report.named_wrongly), (Some(1.0), Some(0.0)));
    }
}
