//! Every image, under every condition, through the worker's own decoders and engine.

use std::path::{Component, Path};
use std::sync::mpsc;
use std::thread;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::training::TrainingError;
use augment::{Perturbation, Rng};
use decoder::{Pool, StartError};
use domain::{Decision, Finding, Judge, Scores, ThresholdSettings};
use engine::{Detector, ScoreError, score_each};
use imaging::Crop;
use labels::annotations::Annotation;

/// One way in which every image is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    pub perturbation: Perturbation,
    /// Where chance decides, each draw is another throw.
    pub draw: u32,
}

/// With what images are examined.
pub struct Examiner<'a> {
    /// Paths of annotations lie below it.
    pub root: &'a Path,
    pub decoders: &'a Pool,
    /// Of one file.
    pub max_bytes: u64,
    /// Images read and decoded at a time.
    pub threads: usize,
    /// Crops scored at a time.
    pub batch: usize,
    pub seed: u64,
}

/// What was said of one image under one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Place among the annotations.
    pub image: usize,
    /// Place among the conditions.
    pub condition: usize,
    pub logit: f32,
    pub probability: f32,
    pub decision: Decision,
    /// Over the labels of the model, in their order.
    pub generators: Vec<f32>,
    /// The generator that a verdict would name.
    pub named: Option<String>,
}

/// An image that is left out everywhere, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    pub path: String,
    pub problem: String,
}

#[derive(Clone, Debug, Default)]
pub struct Examination {
    pub judged: Vec<Judged>,
    pub unreadable: Vec<Unreadable>,
}

/// Why there is no examination at all.
#[derive(Debug, thiserror::Error)]
pub enum ExaminationError {
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error(transparent)]
    Detector(#[from] ScoreError),
    #[error("the attack: {0}")]
    Attack(#[from] TrainingError),
    #[error("a crop can't be shown: {0}")]
    Crop(String),
}

pub(super) enum Problem {
    OfTheImage(String),
    OfTheDecoder(StartError),
}

/// One crop for each condition.
pub(super) type Prepared = Result<Vec<Crop>, Problem>;

/// Examines all images in their order; `progress` hears of crops that are done with. While some are scored, the next are
/// prepared, and no more: memory stays flat however many there are.
pub fn examine(
    annotations: &[Annotation],
    conditions: &[Condition],
    examiner: &Examiner<'_>,
    detector: &mut dyn Detector,
    progress: impl FnMut(usize),
) -> Result<Examination, ExaminationError> {
    examine_reworked(annotations, conditions, examiner, detector, |_, _| Ok(()), progress)
}

/// The same; before they are scored, `rework` may put more crops behind those of an image, for further conditions.
pub(super) fn examine_reworked(
    annotations: &[Annotation],
    conditions: &[Condition],
    examiner: &Examiner<'_>,
    detector: &mut dyn Detector,
    mut rework: impl FnMut(&[Annotation], &mut [Prepared]) -> Result<(), ExaminationError>,
    mut progress: impl FnMut(usize),
) -> Result<Examination, ExaminationError> {
    let judge = detector.card().judge(detector.device(), ThresholdSettings::default());
    let images = (2 * examiner.batch).div_ceil(conditions.len().max(1)).max(examiner.threads);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(1);
        scope.spawn(move || {
            // The receiver is gone when the device is lost: then there is nothing more to prepare for.
            annotations.chunks(images).try_for_each(|chunk| sender.send(prepare(chunk, conditions, examiner)))
        });
        let mut examination = Examination::default();
        let mut image = 0;
        for mut chunk in receiver {
            rework(&annotations[image..image + chunk.len()], &mut chunk)?;
            let crops: Vec<&Crop> = chunk.iter().flatten().flatten().collect();
            let mut scores = Vec::with_capacity(crops.len());
            for batch in crops.chunks(examiner.batch.max(1)) {
                scores.extend(score_each(detector, batch)?);
                progress(batch.len());
            }
            let mut scores = scores.into_iter();
            for prepared in chunk {
                let answers = match prepared {
                    Ok(crops) => Ok(scores.by_ref().take(crops.len()).collect()),
                    Err(Problem::OfTheDecoder(error)) => return Err(error.into()),
                    Err(Problem::OfTheImage(problem)) => {
                        progress(conditions.len());
                        Err(problem)
                    }
                };
                examination.note(&annotations[image].path, image, answers, &judge);
                image += 1;
            }
        }
        Ok(examination)
    })
}

impl Examination {
    /// An image for which any answer is missing is left out.
    fn note(
        &mut self,
        path: &str,
        image: usize,
        answers: Result<Vec<Result<Scores, ScoreError>>, String>,
        judge: &Judge,
    ) {
        let all = answers
            .and_then(|answers| answers.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string()));
        match all {
            Err(problem) => self.unreadable.push(Unreadable { path: path.into(), problem }),
            Ok(scores) => self.judged.extend(scores.into_iter().enumerate().map(|(condition, scores)| {
                let Finding { decision, score, generator } = judge.find(&scores, "");
                Judged {
                    image,
                    condition,
                    logit: score.logit,
                    probability: score.synthetic,
                    decision,
                    generators: scores.generators,
                    named: generator.map(|guess| guess.label),
                }
            })),
        }
    }
}

/// Reads, decodes and perturbs on several threads, in order.
fn prepare(annotations: &[Annotation], conditions: &[Condition], examiner: &Examiner<'_>) -> Vec<Prepared> {
    let threads = examiner.threads.clamp(1, annotations.len().max(1));
    let share = annotations.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let work = |part: &[Annotation]| part.iter().map(|one| prepare_one(&one.path, conditions, examiner)).collect();
        let workers: Vec<_> =
            annotations.chunks(share).map(|part| scope.spawn(move || -> Vec<Prepared> { work(part) })).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("preparing an image does not panic")).collect()
    })
}

/// The crops of one image again; none if it can't be read.
pub(super) fn crops_of(
    path: &str,
    conditions: &[Condition],
    examiner: &Examiner<'_>,
) -> Result<Vec<Crop>, ExaminationError> {
    match prepare_one(path, conditions, examiner) {
        Ok(crops) => Ok(crops),
        Err(Problem::OfTheImage(_)) => Ok(Vec::new()),
        Err(Problem::OfTheDecoder(error)) => Err(error.into()),
    }
}

fn prepare_one(path: &str, conditions: &[Condition], examiner: &Examiner<'_>) -> Prepared {
    let bytes = read(path, examiner).map_err(Problem::OfTheImage)?;
    let digest = Sha256::digest(&bytes);
    let side = conditions.iter().map(|condition| condition.perturbation.window()).max().unwrap_or_default();
    let picture = match examiner.decoders.window(&bytes, side) {
        Ok(window) => window.picture,
        Err(decoder::Error::NotStarted(error)) => return Err(Problem::OfTheDecoder(error)),
        Err(error) => return Err(Problem::OfTheImage(error.to_string())),
    };
    let crop = |&Condition { perturbation, draw }: &Condition| {
        let names = [&digest[..], perturbation.name().as_bytes(), &draw.to_le_bytes()].map(<[u8]>::to_vec);
        let names = names.each_ref().map(Vec::as_slice);
        perturbation.apply(&picture, &mut Rng::of(examiner.seed, &names))
    };
    Ok(conditions.iter().map(crop).collect())
}

fn read(path: &str, examiner: &Examiner<'_>) -> Result<Vec<u8>, String> {
    let stays_below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays_below {
        return Err("the path leads out of the root".into());
    }
    let path = examiner.root.join(path);
    let length = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
    let most = examiner.max_bytes;
    if length > most {
        return Err(format!("{length} bytes, more than the {most} of objects.max_bytes"));
    }
    std::fs::read(&path).map_err(|error| error.to_string())
}
