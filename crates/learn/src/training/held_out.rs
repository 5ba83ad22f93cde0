//! Calibration and novelty by images that the classifiers have not learnt from: others, or their own fold by fold.

use std::collections::BTreeMap;

use super::calibration::{self, Fitted, HeldOutBy};
use super::classifiers::Embedded;
use super::encoder::TrainingError;
use super::predictions::Predictions;
use super::recipe::Recipe;
use super::{folds, novelty};
use artefact::novelty::Known;
use engine::weights::Weights;

/// What held-out images say of classifiers.
#[derive(Debug)]
pub struct HeldOut {
    pub fitted: Fitted,
    /// `None` if the recipe wants none, or too few images have a named generator.
    pub novelty: Option<(Known, Weights)>,
}

/// By other images than those that the classifiers were trained on.
pub fn by_others(
    recipe: &Recipe,
    classifiers: &Weights,
    trained: &Embedded,
    others: &Embedded,
) -> Result<HeldOut, TrainingError> {
    let predictions = Predictions::of(classifiers, others)?;
    let known = recipe.novelty.map(|plan| novelty::fit(&plan, trained, others, &predictions)).transpose()?;
    Ok(HeldOut { fitted: calibration::fit(&recipe.calibration, &predictions), novelty: known.flatten() })
}

/// By the images themselves, each judged by classifiers that learnt from the other folds.
pub fn by_folds(recipe: &Recipe, start: &Weights, trained: &Embedded, count: usize) -> Result<HeldOut, TrainingError> {
    let groups = folds::by_group(&trained.groups, count);
    let out_of = |folds: &[usize]| Predictions::out_of_fold(&recipe.classifiers, start, trained, folds, recipe.seed);
    let known = |predictions: &Predictions| {
        let fit = |plan| novelty::fit_out_of_fold(&plan, trained, &groups, predictions);
        recipe.novelty.map(fit).transpose().map(Option::flatten)
    };
    if recipe.calibration.by == HeldOutBy::Images {
        let predictions = out_of(&groups)?;
        let fitted = calibration::fit(&recipe.calibration, &predictions);
        return Ok(HeldOut { fitted, novelty: known(&predictions)? });
    }
    let sources = folds::by_source(&trained.strata, &trained.groups, count, &BTreeMap::new(), recipe.seed)?;
    let mut fitted = calibration::fit(&recipe.calibration, &out_of(&sources)?);
    // Which generators are known, and how they are named, is a question to images of known generators.
    let predictions = out_of(&groups)?;
    fitted.metrics.generator_top1 = predictions.generator_top1();
    Ok(HeldOut { fitted, novelty: known(&predictions)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::batch::{Label, Labels};
    use crate::training::stratum::Stratum;
    use crate::training::testing;

    /// Six sources and four generators; what is synthetic shows in the first dimension.
    fn embedded() -> Embedded {
        let count = 200;
        let row = |n: usize| match n % 10 {
            source @ 0..6 => (Label::Real, Stratum::Source(source.to_string().into())),
            generator => (Label::Synthetic(Some(generator % 2)), Stratum::Generator(generator.to_string().into())),
        };
        let (labels, strata): (Vec<Label>, Vec<Stratum>) = (0..count).map(row).unzip();
        let embeddings = testing::wave(&[count as i64, 128], 0.3);
        for (row, label) in labels.iter().enumerate() {
            let _ = embeddings.get(row as i64).get(0).fill_(if label.is_synthetic() { 2.0 } else { -2.0 });
        }
        Embedded { embeddings, labels: Labels(labels), groups: (0..count).collect(), strata }
    }

    fn recipe(by: HeldOutBy) -> Recipe {
        let mut recipe = Recipe::named("small").unwrap();
        recipe.classifiers.epochs = 20;
        recipe.classifiers.batch = 16;
        recipe.calibration.by = by;
        recipe
    }

    #[test]
    fn folds_by_source_say_what_thresholds_do_on_unseen_sources_and_folds_by_image_do_not() {
        let start = testing::weights("resnet18-nodown-16".parse().unwrap(), 2);
        let of = |by| by_folds(&recipe(by), &start, &embedded(), 2).unwrap();
        let (images, sources) = (of(HeldOutBy::Images), of(HeldOutBy::Sources));
        assert_eq!(images.fitted.metrics.unseen, None);
        let unseen = sources.fitted.metrics.unseen.as_ref().unwrap();
        assert_eq!((unseen.sources, unseen.generators), (6, 4));
        assert!(sources.fitted.metrics.auc > 0.95 && images.novelty.is_some() && sources.novelty.is_some());
    }

    #[test]
    fn sources_that_cannot_be_dealt_into_folds_are_an_error() {
        let start = testing::weights("resnet18-nodown-16".parse().unwrap(), 2);
        let error = by_folds(&recipe(HeldOutBy::Sources), &start, &embedded(), 5).unwrap_err().to_string();
        assert!(error.contains("has no synthetic images"), "{error}");
    }
}
