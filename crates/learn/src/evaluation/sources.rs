//! Figures with whole sources of real images and whole generators as the unit.

use std::collections::BTreeSet;

use serde::Serialize;

use super::examination::Judged;
use crate::training::strata_figures::{self, Row, Share, median, shares};
use crate::training::stratum::{self, Stratum};
use domain::LabelledOrigin;
use figures::{Bootstrap, Figures};
use labels::annotations::Annotation;

/// Smaller sources and generators have no part in a median.
const ENOUGH: usize = 5;

/// How it fares on each source and generator, and on all of them: `auc`, `false_alarms`, `missed`, `uncertain`, with intervals over
/// sources and generators.
#[derive(Clone, Debug, Serialize)]
pub struct BySource {
    #[serde(flatten)]
    pub figures: Figures,
    /// Of each source of real images, from the one with the largest share on that is called synthetic.
    pub sources: Vec<Share>,
    /// Of each generator, from the one with the largest share on that is called real.
    pub generators: Vec<Share>,
    /// The middle one of the shares, by those of at least five images.
    pub median_of_sources: Option<f64>,
    pub median_of_generators: Option<f64>,
}

pub(super) fn by_source(
    annotations: &[Annotation],
    judged: &[&Judged],
    draws: usize,
    bootstrap: &Bootstrap,
) -> BySource {
    let of = |image: usize| {
        let annotation: &Annotation = &annotations[image];
        let generator = annotation.generator.as_ref().map(|generator| generator.label.as_str());
        Stratum::of(annotation.origin, Some(&annotation.source), generator)
    };
    let names: BTreeSet<Stratum> = judged.iter().map(|judged| of(judged.image)).collect();
    let strata: Vec<&Stratum> = names.iter().collect();
    let row = |judged: &&Judged| Row {
        stratum: stratum::place(&strata, &of(judged.image)),
        synthetic: annotations[judged.image].origin == LabelledOrigin::Synthetic,
        logit: judged.logit,
        probability: judged.probability,
        decision: judged.decision,
    };
    let rows: Vec<Row> = judged.iter().map(row).collect();
    let [sources, generators] = [false, true].map(|synthetic| shares(&strata, &rows, synthetic, draws));
    BySource {
        figures: strata_figures::figures(&rows, bootstrap),
        median_of_sources: median(&sources, ENOUGH),
        median_of_generators: median(&generators, ENOUGH),
        sources,
        generators,
    }
}
