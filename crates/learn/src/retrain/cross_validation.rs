//! Whole sources and generators left out by turns: each is judged by a network that learnt from the others, encoder and all.
//!
//! What a fold has said is kept beside its checkpoint, so that a run that was stopped goes on with the next fold.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::dataset::{self, LabelledImage};
use super::duplicate_groups;
use super::observer::TrainingObserver;
use super::training_run::{TrainingRun, TrainingRunError};
use crate::training::folds::{self, FoldError};
use crate::training::unseen::{Answer, UnseenImage};
use crate::training::{Predictions, Stratum, novelty};
use decoder::StartError;

/// How sources and generators are dealt into folds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFolds {
    #[serde(skip)]
    pub folds: usize,
    /// The fold of some sources and generators, by name, from 0. Those whose images show the same kind of thing belong into one:
    /// else "a face" is real in one fold and synthetic in another, and that is all that the figures measure.
    #[serde(default)]
    pub fixed: BTreeMap<String, usize>,
    /// Sources and generators that are never left out: those of reconstructions, which show what real images show.
    #[serde(default)]
    pub always_learnt: BTreeSet<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CrossValidationError {
    #[error(transparent)]
    Training(#[from] TrainingRunError),
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error(transparent)]
    Folds(#[from] FoldError),
    #[error(
        "the folds name {name:?}, which is neither a source nor a generator of the images; there are {}",
        there.join(", ")
    )]
    Unknown { name: String, there: Vec<String> },
    #[error("what fold {fold} has said can't be kept in {}: {source}", path.display())]
    Unwritable {
        fold: usize,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// What the network of a fold has said.
#[derive(Serialize, Deserialize)]
struct FoldRecord {
    /// Of everything that the fold's answers follow from.
    training: String,
    /// By the SHA-256 of the image.
    answers: BTreeMap<String, Vec<Answer>>,
}

/// The images of a fold.
#[derive(Debug, Default)]
struct Fold {
    train: Vec<LabelledImage>,
    /// Of the sources and generators that the fold learns from, but not learnt from.
    known: Vec<LabelledImage>,
    left_out: Vec<LabelledImage>,
}

/// What was said of each image by the network of the fold that left its source or generator out, in the order of the images;
/// those that are always learnt from or can't be decoded are not there.
pub fn run(
    run: &TrainingRun<'_>,
    plan: &SourceFolds,
    checkpoint: &Checkpoint,
    observer: &mut dyn TrainingObserver,
) -> Result<Vec<UnseenImage>, CrossValidationError> {
    let images = [run.train.items(), run.held_out.items()].concat();
    let groups = duplicate_groups::groups(&run.train.of_same_cache(&images), run.threads)?;
    let fold_of = deal(&images, plan, run.recipe.seed)?;
    let mut said = BTreeMap::new();
    for fold in 0..plan.folds {
        observer.fold_begun(fold, plan.folds);
        let own = of_fold(&images, run.train.items().len(), &groups, &fold_of, fold);
        said.extend(answers(run, fold, &own, &checkpoint.part(&format!("fold-{fold}")), observer)?);
    }
    let unseen = |image: &LabelledImage| {
        Some(UnseenImage {
            content_type: image.content_type.clone(),
            label: dataset::label(image, run.recipe.classes, &run.labels),
            stratum: dataset::stratum(image),
            answers: said.get(&image.sha256)?.clone(),
        })
    };
    Ok(images.iter().filter_map(unseen).collect())
}

/// The fold of each image; `None` for those that are always learnt from.
fn deal(images: &[LabelledImage], plan: &SourceFolds, seed: u64) -> Result<Vec<Option<usize>>, CrossValidationError> {
    let strata: Vec<Stratum> = images.iter().map(dataset::stratum).collect();
    let there: BTreeSet<&str> = strata.iter().map(Stratum::name).collect();
    if let Some(name) = plan.fixed.keys().chain(&plan.always_learnt).find(|name| !there.contains(name.as_str())) {
        let there = there.into_iter().map(str::to_owned).collect();
        return Err(CrossValidationError::Unknown { name: name.clone(), there });
    }
    let left_out: Vec<Stratum> =
        strata.iter().filter(|stratum| !plan.always_learnt.contains(stratum.name())).cloned().collect();
    let fixed = left_out.iter().filter_map(|stratum| Some((stratum.clone(), *plan.fixed.get(stratum.name())?)));
    // Images that show the same thing are kept from each other below, image by image: else the reconstructions of one
    // generator would tie all sources together.
    let alone: Vec<usize> = (0..left_out.len()).collect();
    let folds = folds::by_source(&left_out, &alone, plan.folds, &fixed.collect(), seed)?;
    let mut folds = folds.into_iter();
    Ok(strata
        .iter()
        .map(|stratum| if plan.always_learnt.contains(stratum.name()) { None } else { folds.next() })
        .collect())
}

/// `groups` and `fold_of`: of each image. The first `train` images may be learnt from.
fn of_fold(
    images: &[LabelledImage],
    train: usize,
    groups: &[Option<usize>],
    fold_of: &[Option<usize>],
    fold: usize,
) -> Fold {
    let is_left_out = |place: usize| fold_of[place] == Some(fold);
    let shown: HashSet<usize> =
        (0..images.len()).filter(|&place| is_left_out(place)).filter_map(|place| groups[place]).collect();
    let mut own = Fold::default();
    for (place, image) in images.iter().enumerate() {
        if is_left_out(place) {
            own.left_out.push(image.clone());
        } else if groups[place].is_none_or(|group| !shown.contains(&group)) {
            let list = if place < train { &mut own.train } else { &mut own.known };
            list.push(image.clone());
        }
    }
    own
}

fn answers(
    run: &TrainingRun<'_>,
    fold: usize,
    images: &Fold,
    checkpoint: &Checkpoint,
    observer: &mut dyn TrainingObserver,
) -> Result<BTreeMap<String, Vec<Answer>>, CrossValidationError> {
    let fold_run = TrainingRun {
        recipe: run.recipe,
        architecture: run.architecture,
        start: run.start.shallow(),
        labels: run.labels.clone(),
        train: run.train.of_same_cache(&images.train),
        held_out: run.train.of_same_cache(&images.known),
        place: run.place,
        threads: run.threads,
        checkpoint_every: run.checkpoint_every,
        stop: run.stop.clone(),
    };
    let all = [images.known.as_slice(), &images.left_out].concat();
    let read =
        serde_json::to_string(&(run.recipe.classifiers, run.recipe.novelty)).map_err(TrainingRunError::Recipe)?;
    let training = format!("{} {} {read}", fold_run.identity()?, dataset::digest(&all));
    let path = checkpoint.folder().join("answers.json");
    let kept = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<FoldRecord>(&text).ok());
    if let Some(kept) = kept.filter(|kept| kept.training == training) {
        return Ok(kept.answers);
    }
    let (mut weights, trained) = fold_run.network(checkpoint, observer)?;
    let known = match run.recipe.novelty {
        Some(plan) if !images.known.is_empty() => {
            let others = fold_run.embed(&fold_run.held_out, &weights, b"reading", observer)?;
            let predictions = Predictions::of(&weights, &others).map_err(TrainingRunError::from)?;
            novelty::fit(&plan, &trained, &others, &predictions).map_err(TrainingRunError::from)?
        }
        _ => None,
    };
    let known = known.map(|(known, statistics)| {
        weights.extend(statistics);
        known
    });
    let left_out = run.train.of_same_cache(&images.left_out);
    let answers = fold_run.answers(&left_out, &weights, known.as_ref(), observer)?;
    let record = FoldRecord { training, answers };
    let unwritable = |source| CrossValidationError::Unwritable { fold, path: path.clone(), source };
    std::fs::create_dir_all(checkpoint.folder()).map_err(unwritable)?;
    artefact::persist(&path, &serde_json::to_vec(&record).map_err(TrainingRunError::Recipe)?).map_err(unwritable)?;
    Ok(record.answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Generator, LabelledOrigin};

    fn image(name: &str, source: &str, generator: Option<&str>) -> LabelledImage {
        let origin = if generator.is_some() { LabelledOrigin::Synthetic } else { LabelledOrigin::Real };
        LabelledImage {
            sha256: name.into(),
            location: name.into(),
            origin,
            content_type: None,
            generator: generator.map(|label| Generator { label: label.into(), family: "gan".into() }),
            source: Some(source.into()),
        }
    }

    /// Two sources, two generators, and reconstructions of the first source's images.
    fn images() -> Vec<LabelledImage> {
        let each = |source: &'static str, generator: Option<&'static str>| {
            (0..4).map(move |n| image(&format!("{source}{n}{}", generator.unwrap_or_default()), source, generator))
        };
        let all = each("a", None).chain(each("b", None)).chain(each("c", Some("g"))).chain(each("c", Some("h")));
        all.chain(each("a", Some("taef2"))).collect()
    }

    fn plan() -> SourceFolds {
        SourceFolds {
            folds: 2,
            fixed: BTreeMap::from([("a".into(), 0), ("g".into(), 0)]),
            always_learnt: BTreeSet::from(["taef2".into()]),
        }
    }

    #[test]
    fn a_fold_learns_nothing_of_what_it_leaves_out_nor_of_its_likenesses() {
        let images = images();
        let fold_of = deal(&images, &plan(), 1).unwrap();
        assert!(fold_of[..4].iter().all(|fold| *fold == Some(0)) && fold_of[16..].iter().all(Option::is_none));
        // Each reconstruction shows what its original shows; the last image of all can't be decoded.
        let groups: Vec<Option<usize>> = (0..20)
            .map(|place| if place == 19 { None } else { Some(if place < 16 { place } else { place - 16 }) })
            .collect();
        let own = of_fold(&images, 20, &groups, &fold_of, 0);
        let names = |list: &[LabelledImage]| list.iter().map(|image| image.sha256.clone()).collect::<Vec<_>>();
        assert_eq!(own.left_out.len(), 8);
        assert!(names(&own.train).iter().all(|name| name.starts_with('b') || name.ends_with('h') || name == "a3taef2"));
        assert_eq!(own.train.len(), 9);
        // What may not be learnt from is known, or left out.
        let own = of_fold(&images, 15, &groups, &fold_of, 1);
        assert_eq!((own.left_out.len(), own.train.len(), own.known.len()), (8, 8, 4));
    }

    #[test]
    fn a_name_that_no_image_has_is_refused_with_those_there_are() {
        let wrong = SourceFolds { fixed: BTreeMap::from([("z".into(), 0)]), ..plan() };
        let error = deal(&images(), &wrong, 1).unwrap_err().to_string();
        assert!(error.contains("\"z\"") && error.contains("a, b, g, h, taef2"), "{error}");
        let many = deal(&images(), &SourceFolds { folds: 9, ..plan() }, 1).unwrap_err().to_string();
        assert!(many.contains("too few for 9 folds"), "{many}");
    }
}
