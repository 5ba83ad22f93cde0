//! One training from images to a model: encoder, embeddings, classifiers, reading, novelty, with checkpoints on the way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::batches::{BatchError, Batches};
use super::checkpoint::{Checkpoint, CheckpointError, Progress};
use super::dataset::{self, LabelledImage};
use super::image_cache::CachedImages;
use super::observer::{Stage, StepDone, TrainingObserver};
use super::prefetch::try_in_order;
use crate::training::calibration::UnseenFigures;
use crate::training::classifiers;
use crate::training::encoder::Plan;
use crate::training::sampling::Order;
use crate::training::unseen::{self, Answer, UnseenImage};
use crate::training::{
    Batch, Embedded, Embedder, Encoder, Label, Predictions, Recipe, Stratum, TrainingError, held_out, novelty,
};
use artefact::manifest::Reading;
use artefact::novelty::Known;
use artefact::{Architecture, LabelSet};
use augment::{Likeness, Perturbation, Picture, Rng, quality};
use decoder::StartError;
use engine::conv::Placement;
use engine::weights::Weights;
use imaging::Crop;

/// Everything that a training follows from, and what it may take.
pub struct TrainingRun<'a> {
    pub recipe: &'a Recipe,
    pub architecture: Architecture,
    /// All tensors of an artefact, to begin with.
    pub start: Weights,
    pub labels: LabelSet,
    pub train: CachedImages<'a>,
    /// Images that the network never learns from.
    pub held_out: CachedImages<'a>,
    pub place: Placement,
    /// That augment images beside the training itself.
    pub threads: usize,
    pub checkpoint_every: Duration,
    /// Looked at after each step: a checkpoint is written, and the run ends.
    pub stop: CancellationToken,
}

/// A model that is ready to be written.
#[derive(Debug)]
pub struct Trained {
    /// In 16 bits, as they are served.
    pub weights: Weights,
    pub reading: Reading,
}

#[derive(Debug, thiserror::Error)]
pub enum TrainingRunError {
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Decoder(#[from] StartError),
    #[error("the recipe can't be written as JSON, so its training has no name: {0}")]
    Recipe(#[from] serde_json::Error),
    #[error("the first weights can't be read: {0}")]
    Start(String),
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

impl From<BatchError> for TrainingRunError {
    fn from(error: BatchError) -> TrainingRunError {
        match error {
            BatchError::Training(error) => error.into(),
            BatchError::Decoder(error) => error.into(),
        }
    }
}

impl TrainingRun<'_> {
    /// Goes on from the last checkpoint of the same training, if there is one. `unseen`: what networks of the same recipe said
    /// of sources and generators that they had not learnt from; scores are then read by that.
    pub fn run(
        &self,
        checkpoint: &Checkpoint,
        unseen: Option<&[UnseenImage]>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Trained, TrainingRunError> {
        let (mut weights, trained) = self.network(checkpoint, observer)?;
        let folds = self.recipe.folds().filter(|_| self.held_out.items().is_empty());
        let found = match folds {
            Some(folds) => held_out::by_folds(self.recipe, &self.start, &trained, folds)?,
            None => {
                let others = self.embed(&self.held_out, &weights, b"reading", observer)?;
                held_out::by_others(self.recipe, &weights, &trained, &others)?
            }
        };
        let mut fitted = found.fitted;
        let mut novelty = found.novelty.map(|(known, statistics)| {
            weights.extend(statistics);
            known
        });
        let mut metrics = fitted.metrics.to_json();
        if let Some(unseen) = unseen {
            let reading = unseen::read(&self.recipe.calibration, unseen);
            metrics["unseen"] = serde_json::to_value(&reading.report)?;
            // Those that are set here, and no others.
            metrics["thresholds_on_unseen_sources"] =
                reading.fitted.metrics.unseen.as_ref().map_or(serde_json::Value::Null, UnseenFigures::to_json);
            fitted = reading.fitted;
            if let (Some(known), Some(limit)) = (&mut novelty, reading.novelty_limit) {
                known.limit = limit;
            }
        }
        metrics["train_images"] = self.train.items().len().into();
        metrics["held_out_images"] = self.held_out.items().len().into();
        metrics["folds"] = folds.into();
        let reading =
            Reading { calibration: fitted.calibration, thresholds: fitted.thresholds, novelty, metrics: Some(metrics) };
        Ok(Trained { weights: weights.halved(), reading })
    }

    /// Encoder and classifiers, and what these learnt from.
    pub(super) fn network(
        &self,
        checkpoint: &Checkpoint,
        observer: &mut dyn TrainingObserver,
    ) -> Result<(Weights, Embedded), TrainingRunError> {
        let encoder = match &self.recipe.encoder {
            Some(plan) => self.encoder(plan, checkpoint, observer)?,
            None => self.start.shallow(),
        };
        // What is served is what the classifiers see.
        let mut weights = encoder.halved();
        let (trained, classifiers) = self.classifiers(&weights, observer)?;
        weights.extend(classifiers);
        Ok((weights, trained))
    }

    /// Both classifiers on the embeddings of this encoder, and these.
    fn classifiers(
        &self,
        encoder: &Weights,
        observer: &mut dyn TrainingObserver,
    ) -> Result<(Embedded, Weights), TrainingRunError> {
        let trained = self.embed(&self.train, encoder, b"classifiers", observer)?;
        let fitted = classifiers::fit(&self.recipe.classifiers, &self.start, &trained, self.recipe.seed)?;
        Ok((trained, fitted))
    }

    /// One digest for all that the encoder follows from; how its scores are read later is no part of that.
    pub(super) fn identity(&self) -> Result<String, TrainingRunError> {
        let Recipe { seed, classes, encoder, augmentation, classifiers, .. } = self.recipe;
        let first_heads = encoder.as_ref().filter(|plan| plan.heads_first).map(|_| classifiers);
        let recipe = serde_json::to_string(&(seed, classes, encoder, augmentation, first_heads))?;
        let start = self.start.sha256().map_err(TrainingRunError::Start)?;
        let images = dataset::digest(self.train.items());
        let parts = [recipe, self.architecture.to_string(), self.labels.id.clone(), start, images];
        Ok(hex::encode(Sha256::digest(parts.join("\n"))))
    }

    fn encoder(
        &self,
        plan: &Plan,
        checkpoint: &Checkpoint,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Weights, TrainingRunError> {
        let per_epoch = self.recipe.steps_per_epoch(self.train.items().len())?;
        let steps = per_epoch * plan.epochs;
        let (encoder, progress) = self.begun(plan, checkpoint, observer)?;
        let labels = self.labels_of(self.train.items());
        let batches = Batches {
            plan,
            augmentation: &self.recipe.augmentation,
            seed: self.recipe.seed,
            images: self.train,
            order: Order::new(&labels, &strata_of(self.train.items()), plan.sampling),
            labels: &labels,
            qualities: self.qualities(),
            per_epoch,
        };
        let first = encoder.steps();
        observer.stage_begun(Stage::Training { done: first, steps });
        let mut training = EncoderTraining {
            run: self,
            plan,
            checkpoint,
            observer,
            encoder,
            progress,
            per_epoch,
            steps,
            saved: Instant::now(),
            losses: (0.0, 0),
        };
        let make = |step| batches.of_step(step);
        try_in_order(self.threads, first..steps, make, |step, batch| training.step(step, &batch?))?;
        Ok(training.encoder.weights())
    }

    /// The encoder of the last checkpoint of the same training; without one, that of the first weights.
    fn begun(
        &self,
        plan: &Plan,
        checkpoint: &Checkpoint,
        observer: &mut dyn TrainingObserver,
    ) -> Result<(Encoder, Progress), TrainingRunError> {
        let training = self.identity()?;
        match checkpoint.read()? {
            Some((progress, state)) if progress.training == training => {
                Ok((Encoder::resume(*plan, &state, progress.steps, self.architecture, self.place), progress))
            }
            Some(_) => Err(TrainingRunError::Other { folder: checkpoint.folder().display().to_string() }),
            None => {
                let progress = Progress { training, steps: 0, seconds: 0.0, losses: Vec::new(), state: String::new() };
                let mut first = self.start.shallow();
                if plan.heads_first {
                    first.extend(self.classifiers(&first, observer)?.1);
                }
                Ok((Encoder::new(*plan, &first, self.architecture, self.place), progress))
            }
        }
    }

    /// Of the files to learn from, if the recipe asks for them. One that can't be read has none; it is no picture either.
    fn qualities(&self) -> Vec<Option<u8>> {
        if !self.recipe.augmentation.matches_qualities() {
            return Vec::new();
        }
        let files = self.train.items().iter();
        files.map(|image| quality::of_jpeg(&std::fs::read(image.path()).unwrap_or_default())).collect()
    }

    fn labels_of(&self, images: &[LabelledImage]) -> Vec<Label> {
        images.iter().map(|image| dataset::label(image, self.recipe.classes, &self.labels)).collect()
    }

    /// The embeddings of images as the classifiers learn from them: each as often as the recipe says, side by side.
    pub(super) fn embed(
        &self,
        images: &CachedImages<'_>,
        encoder: &Weights,
        purpose: &[u8],
        observer: &mut dyn TrainingObserver,
    ) -> Result<Embedded, TrainingRunError> {
        let plan = &self.recipe.classifiers;
        let view = |picture: &Picture, sha256: &str, view: usize| {
            let mut rng = Rng::of(self.recipe.seed, &[purpose, sha256.as_bytes(), &(view as u64).to_le_bytes()]);
            let social = rng.chance(plan.social);
            let perturbation = if social { Perturbation::Social } else { Perturbation::None };
            perturbation.apply(picture, &mut rng)
        };
        Ok(self.embed_views(images, encoder, (plan.views, view), observer)?.0)
    }

    /// What these weights say of images, by their SHA-256, under each of the conditions that unseen images are judged in.
    pub(super) fn answers(
        &self,
        images: &CachedImages<'_>,
        weights: &Weights,
        known: Option<&Known>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<BTreeMap<String, Vec<Answer>>, TrainingRunError> {
        let view = |picture: &Picture, sha256: &str, view: usize| {
            let perturbation = unseen::CONDITIONS[view];
            let mut rng = Rng::of(self.recipe.seed, &[b"unseen", sha256.as_bytes(), perturbation.name().as_bytes()]);
            perturbation.apply(picture, &mut rng)
        };
        let views = unseen::CONDITIONS.len();
        let (embedded, places) = self.embed_views(images, weights, (views, view), observer)?;
        let predictions = Predictions::of(weights, &embedded)?;
        let novelty = known.map(|known| novelty::shares(known, weights, &embedded, &predictions));
        let novelty = novelty.transpose().map_err(TrainingError::from)?;
        let answer = |row: usize| Answer {
            logit: predictions.logits[row],
            guess: predictions.guesses.get(row).copied(),
            novelty: novelty.as_ref().map(|shares| shares[row]),
        };
        let of_image = |(turn, place): (usize, &usize)| {
            let answers = (turn * views..(turn + 1) * views).map(answer).collect();
            (images.items()[*place].sha256.clone(), answers)
        };
        Ok(places.iter().enumerate().map(of_image).collect())
    }

    /// The embeddings of so many views of each image, side by side, and which images they are of: those that can be decoded.
    fn embed_views(
        &self,
        images: &CachedImages<'_>,
        encoder: &Weights,
        (views, view): (usize, impl Fn(&Picture, &str, usize) -> Crop + Sync),
        observer: &mut dyn TrainingObserver,
    ) -> Result<(Embedded, Vec<usize>), TrainingRunError> {
        let labels = self.labels_of(images.items());
        let strata = strata_of(images.items());
        let mut embedder = Embedder::new(encoder, self.architecture, self.place);
        let mut places = Vec::new();
        let all = images.items().len() as u64;
        let crops = |place: u64| -> Result<Option<(Vec<Crop>, Likeness)>, StartError> {
            let place = place as usize;
            let Some((picture, likeness)) = images.picture_and_likeness(place)? else { return Ok(None) };
            let sha256 = &images.items()[place].sha256;
            Ok(Some(((0..views).map(|number| view(&picture, sha256, number)).collect(), likeness)))
        };
        observer.stage_begun(Stage::Embedding { images: all });
        try_in_order(self.threads, 0..all, crops, |number, crops| {
            let place = number as usize;
            if let Some((crops, likeness)) = crops? {
                embedder.look(&crops, labels[place], &strata[place], likeness)?;
                places.push(place);
            }
            observer.images_embedded(number + 1, all);
            if self.stop.is_cancelled() { Err(TrainingRunError::StoppedEarly) } else { Ok(()) }
        })?;
        Ok((embedder.finish()?.ok_or_else(|| images.too_few())?, places))
    }
}

fn strata_of(images: &[LabelledImage]) -> Vec<Stratum> {
    images.iter().map(dataset::stratum).collect()
}

/// An encoder in training, from step to step.
struct EncoderTraining<'a> {
    run: &'a TrainingRun<'a>,
    plan: &'a Plan,
    checkpoint: &'a Checkpoint,
    observer: &'a mut dyn TrainingObserver,
    encoder: Encoder,
    progress: Progress,
    per_epoch: u64,
    steps: u64,
    /// When the last checkpoint was written.
    saved: Instant,
    /// Of this epoch, their sum and how many they are.
    losses: (f64, u64),
}

impl EncoderTraining<'_> {
    fn step(&mut self, step: u64, batch: &Batch) -> Result<(), TrainingRunError> {
        let images = batch.labels.0.len();
        let done = self.encoder.step(batch, self.steps)?;
        self.losses = (self.losses.0 + done.loss, self.losses.1 + 1);
        if (step + 1).is_multiple_of(self.per_epoch) {
            self.progress.losses.push(self.losses.0 / self.losses.1 as f64);
            self.losses = (0.0, 0);
        }
        self.observer.step_done(&StepDone {
            epoch: step / self.per_epoch,
            epochs: self.plan.epochs,
            step: step + 1,
            steps: self.steps,
            images,
            loss: done.loss,
            rate: done.rate,
        });
        let stop = self.run.stop.is_cancelled();
        if stop || step + 1 == self.steps || self.saved.elapsed() >= self.run.checkpoint_every {
            self.save()?;
        }
        if stop {
            let folder = self.checkpoint.folder().display().to_string();
            return Err(TrainingRunError::Stopped { steps: self.progress.steps, folder });
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), TrainingRunError> {
        self.progress.seconds += self.saved.elapsed().as_secs_f64();
        self.progress.steps = self.encoder.steps();
        self.checkpoint.write(self.progress.clone(), &self.encoder.state())?;
        self.saved = Instant::now();
        self.observer.checkpoint_written(self.progress.steps);
        Ok(())
    }
}
