//! One training from images to a model: encoder, embeddings, classifiers, reading, novelty, with checkpoints on the way.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::ahead::in_order;
use super::batches::Batches;
use super::gallery::Gallery;
use super::material::{self, Item};
use super::partial::{Partial, PartialError, Progress};
use crate::augment::{Likeness, Perturbation, Rng, quality};
use crate::training::classifiers;
use crate::training::encoder::Plan;
use crate::training::sampling::Order;
use crate::training::{Embedded, Embedder, Encoder, Label, Recipe, Stratum, TrainingError, held_out};
use artefact::manifest::Reading;
use artefact::{Architecture, LabelSet};
use decoder::StartError;
use engine::conv::Place;
use engine::weights::Weights;
use imaging::Crop;

/// Everything that a training follows from, and what it may take.
pub struct Course<'a> {
    pub recipe: &'a Recipe,
    pub architecture: Architecture,
    /// All tensors of an artefact, to begin with.
    pub start: Weights,
    pub labels: LabelSet,
    pub train: Gallery<'a>,
    /// Images that the network never learns from.
    pub held_out: Gallery<'a>,
    pub place: Place,
    /// That augment images beside the training itself.
    pub threads: usize,
    pub checkpoint_every: Duration,
}

/// A model that is ready to be written.
#[derive(Debug)]
pub struct Trained {
    /// In 16 bits, as they are served.
    pub weights: Weights,
    pub reading: Reading,
}

/// Where the encoder's training stands after a step.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub epoch: u64,
    pub epochs: u64,
    pub step: u64,
    pub steps: u64,
    /// Of this step.
    pub images: usize,
    pub loss: f64,
    pub rate: f64,
}

/// Who is told how it goes, and may end it.
pub trait Watch {
    fn stepped(&mut self, standing: &Standing);
    /// So many of a gallery's images are embedded.
    fn embedded(&mut self, done: u64, all: u64);
    fn saved(&mut self, steps: u64);
    /// Asked after each step: to save a checkpoint and stop.
    fn wants_stop(&self) -> bool;
}

#[derive(Debug, thiserror::Error)]
pub enum CourseError {
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Partial(#[from] PartialError),
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error(
        "{folder} belongs to another training: other images, another recipe or other first weights; delete it, or name \
         another --out"
    )]
    Other { folder: String },
    #[error("stopped after {steps} steps; a checkpoint is in {folder}")]
    Stopped { steps: u64, folder: String },
    #[error("stopped before anything was worth keeping")]
    StoppedEarly,
}

impl Course<'_> {
    /// Goes on from the last checkpoint of the same training, if there is one.
    pub fn run(&self, partial: &Partial, watch: &mut dyn Watch) -> Result<Trained, CourseError> {
        let encoder = match &self.recipe.encoder {
            Some(plan) => self.encoder(plan, partial, watch)?,
            None => self.start.shallow(),
        };
        // What is served is what the classifiers see.
        let mut weights = encoder.halved();
        let (trained, classifiers) = self.classifiers(&weights, watch)?;
        weights.extend(classifiers);
        let folds = self.recipe.folds().filter(|_| self.held_out.items().is_empty());
        let found = match folds {
            Some(folds) => held_out::by_folds(self.recipe, &self.start, &trained, folds)?,
            None => {
                let others = self.embed(&self.held_out, &weights, b"reading", watch)?;
                held_out::by_others(self.recipe, &weights, &trained, &others)?
            }
        };
        let fitted = found.fitted;
        let novelty = found.novelty.map(|(known, statistics)| {
            weights.extend(statistics);
            known
        });
        let mut metrics = fitted.metrics.to_json();
        metrics["train_images"] = self.train.items().len().into();
        metrics["held_out_images"] = self.held_out.items().len().into();
        metrics["folds"] = folds.into();
        let reading =
            Reading { calibration: fitted.calibration, thresholds: fitted.thresholds, novelty, metrics: Some(metrics) };
        Ok(Trained { weights: weights.halved(), reading })
    }

    /// Both classifiers on the embeddings of this encoder, and these.
    fn classifiers(&self, encoder: &Weights, watch: &mut dyn Watch) -> Result<(Embedded, Weights), CourseError> {
        let trained = self.embed(&self.train, encoder, b"classifiers", watch)?;
        let fitted = classifiers::fit(&self.recipe.classifiers, &self.start, &trained, self.recipe.seed)?;
        Ok((trained, fitted))
    }

    /// One digest for all that the encoder follows from.
    fn identity(&self) -> Result<String, CourseError> {
        let failed = |error: String| TrainingError::TooLittle(format!("the training can't be named: {error}"));
        let recipe = serde_json::to_string(self.recipe).map_err(|error| failed(error.to_string()))?;
        let start = self.start.sha256().map_err(failed)?;
        let images = material::digest(self.train.items());
        let parts = [recipe, self.architecture.to_string(), self.labels.id.clone(), start, images];
        Ok(hex::encode(Sha256::digest(parts.join("\n"))))
    }

    fn encoder(&self, plan: &Plan, partial: &Partial, watch: &mut dyn Watch) -> Result<Weights, CourseError> {
        let images = self.train.items().len();
        let per_epoch = self.recipe.steps_per_epoch(images)?;
        let steps = per_epoch * plan.epochs;
        let training = self.identity()?;
        let (mut encoder, mut progress) = match partial.read()? {
            Some((progress, state)) if progress.training == training => {
                (Encoder::resume(*plan, &state, progress.steps, self.architecture, self.place), progress)
            }
            Some(_) => return Err(CourseError::Other { folder: partial.folder().display().to_string() }),
            None => {
                let progress = Progress { training, steps: 0, seconds: 0.0, losses: Vec::new(), state: String::new() };
                let mut first = self.start.shallow();
                if plan.heads_first {
                    first.extend(self.classifiers(&first, watch)?.1);
                }
                (Encoder::new(*plan, &first, self.architecture, self.place), progress)
            }
        };
        let labels = self.labels_of(self.train.items());
        let batches = Batches {
            plan,
            augmentation: &self.recipe.augmentation,
            seed: self.recipe.seed,
            gallery: &self.train,
            order: Order::new(&labels, &strata_of(self.train.items()), plan.sampling),
            labels: &labels,
            qualities: self.qualities(),
            per_epoch,
        };
        let mut saved = Instant::now();
        let mut sum = (0.0, 0_u64);
        let make = |step| batches.of_step(step);
        let end = in_order(self.threads, encoder.steps()..steps, make, |step, batch| {
            let learn = || -> Result<(), CourseError> {
                let batch = batch?;
                let images = batch.labels.0.len();
                let done = encoder.step(&batch, steps)?;
                sum = (sum.0 + done.loss, sum.1 + 1);
                let epoch = step / per_epoch;
                if (step + 1) % per_epoch == 0 {
                    progress.losses.push(sum.0 / sum.1 as f64);
                    sum = (0.0, 0);
                }
                let (loss, rate) = (done.loss, done.rate);
                watch.stepped(&Standing { epoch, epochs: plan.epochs, step: step + 1, steps, images, loss, rate });
                let stop = watch.wants_stop();
                if stop || step + 1 == steps || saved.elapsed() >= self.checkpoint_every {
                    progress.seconds += saved.elapsed().as_secs_f64();
                    progress.steps = encoder.steps();
                    partial.write(progress.clone(), &encoder.state())?;
                    saved = Instant::now();
                    watch.saved(progress.steps);
                }
                if stop {
                    let folder = partial.folder().display().to_string();
                    return Err(CourseError::Stopped { steps: progress.steps, folder });
                }
                Ok(())
            };
            match learn() {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        match end {
            ControlFlow::Continue(()) => Ok(encoder.weights()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Of the files to learn from, if the recipe asks for them. One that can't be read has none; it is no picture either.
    fn qualities(&self) -> Vec<Option<u8>> {
        if !self.recipe.augmentation.matches_qualities() {
            return Vec::new();
        }
        let files = self.train.items().iter();
        files.map(|item| quality::of_jpeg(&std::fs::read(&item.path).unwrap_or_default())).collect()
    }

    fn labels_of(&self, items: &[Item]) -> Vec<Label> {
        items.iter().map(|item| material::label(item, self.recipe.classes, &self.labels)).collect()
    }

    /// The embeddings of a gallery's images, each as often as the recipe says, side by side.
    fn embed(
        &self,
        gallery: &Gallery<'_>,
        encoder: &Weights,
        purpose: &[u8],
        watch: &mut dyn Watch,
    ) -> Result<Embedded, CourseError> {
        let plan = &self.recipe.classifiers;
        let labels = self.labels_of(gallery.items());
        let strata = strata_of(gallery.items());
        let mut embedder = Embedder::new(encoder, self.architecture, self.place);
        let all = gallery.items().len() as u64;
        let crops = |place: u64| -> Result<Option<(Vec<Crop>, Likeness)>, CourseError> {
            let Some(picture) = gallery.picture(place as usize)? else { return Ok(None) };
            let sha256 = gallery.items()[place as usize].sha256.as_bytes();
            let crop = |view: u64| {
                let mut dice = Rng::of(self.recipe.seed, &[purpose, sha256, &view.to_le_bytes()]);
                let social = dice.chance(plan.social);
                let perturbation = if social { Perturbation::Social } else { Perturbation::None };
                perturbation.apply(&picture, &mut dice)
            };
            Ok(Some(((0..plan.views as u64).map(crop).collect(), Likeness::of(&picture))))
        };
        let end = in_order(self.threads, 0..all, crops, |place, crops| {
            let look = || -> Result<(), CourseError> {
                if let Some((crops, likeness)) = crops? {
                    embedder.look(&crops, labels[place as usize], &strata[place as usize], likeness)?;
                }
                watch.embedded(place + 1, all);
                if watch.wants_stop() { Err(CourseError::StoppedEarly) } else { Ok(()) }
            };
            match look() {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        match end {
            ControlFlow::Continue(()) => embedder.finish()?.ok_or_else(|| gallery.too_few().into()),
            ControlFlow::Break(error) => Err(error),
        }
    }
}

fn strata_of(items: &[Item]) -> Vec<Stratum> {
    items.iter().map(material::stratum).collect()
}
