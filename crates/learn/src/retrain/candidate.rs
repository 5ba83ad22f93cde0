//! The candidate of a run: trained from the active model, unless an earlier run has finished it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpoint;
use super::dataset::{self, LabelledImage};
use super::duplicate_groups;
use super::error::RetrainError;
use super::image_cache::{CachedImages, ImageCache};
use super::observer::TrainingObserver;
use super::prefetch::try_in_order;
use super::snapshot::{Side, SnapshotImage, on_side};
use super::training_run::{Trained, TrainingRun, TrainingRunError};
use super::{Start, TrainingSettings, first_weights};
use crate::training::Recipe;
use artefact::Manifest;
use artefact::manifest::{Lineage, Origin};
use engine::{device, self_test};
use labels::Vocabulary;

/// A model that is to be judged.
pub(super) struct Candidate {
    pub manifest: Manifest,
    pub folder: PathBuf,
    /// How many images it has learnt from.
    pub train_images: usize,
}

/// The images of a run, by their use.
pub(super) struct Sides {
    pub train: Vec<LabelledImage>,
    pub reading: Vec<LabelledImage>,
    pub held_out: Vec<LabelledImage>,
}

impl Sides {
    pub(super) fn of(images: &[SnapshotImage]) -> Sides {
        Sides {
            train: on_side(images, Side::Train),
            reading: on_side(images, Side::Reading),
            held_out: on_side(images, Side::HeldOut),
        }
    }
}

/// What a candidate is made of.
pub(super) struct Making<'a> {
    pub recipe: &'a Recipe,
    pub training: &'a TrainingSettings,
    pub detector: &'a engine::Settings,
    pub vocabulary: &'a Vocabulary,
    /// The folder of the active model.
    pub incumbent: &'a Path,
    /// Where the candidate will lie.
    pub folder: &'a Path,
    pub snapshot_sha256: &'a str,
    pub sides: &'a Sides,
    pub images: &'a ImageCache,
    pub threads: usize,
    pub stop: &'a CancellationToken,
}

impl Making<'_> {
    pub(super) fn candidate(&self, observer: &mut dyn TrainingObserver) -> Result<Candidate, RetrainError> {
        match self.finished()? {
            Some(candidate) => Ok(candidate),
            None => self.train(observer),
        }
    }

    /// What an earlier run of the same made, if it came this far.
    fn finished(&self) -> Result<Option<Candidate>, RetrainError> {
        let Ok(manifest) = Manifest::read(self.folder, "") else { return Ok(None) };
        if manifest.verify(self.folder).is_err() {
            return Ok(None);
        }
        let manifest = if manifest.self_test.is_some() { manifest } else { self.record_self_test()? };
        let train_images = manifest.metrics.as_ref().and_then(|metrics| metrics["train_images"].as_u64());
        let train_images = train_images.map_or(self.sides.train.len(), |images| images as usize);
        Ok(Some(Candidate { manifest, folder: self.folder.to_owned(), train_images }))
    }

    fn train(&self, observer: &mut dyn TrainingObserver) -> Result<Candidate, RetrainError> {
        let place = device::prepare(self.detector)?;
        let parent = Manifest::read(self.incumbent, "")?;
        let train = self.to_learn_from()?;
        let labels = dataset::label_set(&train, self.recipe.classes, self.vocabulary);
        let start = Start::From(self.incumbent.to_owned());
        let run = TrainingRun {
            recipe: self.recipe,
            architecture: parent.architecture,
            start: first_weights(&start, parent.architecture, &labels, self.recipe.seed)?,
            labels: labels.clone(),
            train: self.images.of(&train),
            held_out: self.images.of(&self.sides.reading),
            place,
            threads: self.threads,
            checkpoint_every: Duration::from_secs(self.training.checkpoint_s),
            stop: self.stop.clone(),
        };
        let checkpoint = Checkpoint::beside(self.folder);
        let Trained { weights, reading } = run.run(&checkpoint, None, observer)?;
        let lineage = Lineage {
            parent: Some(parent.version.clone()),
            snapshot_sha256: Some(self.snapshot_sha256.into()),
            recipe: Some(serde_json::to_value(self.recipe).map_err(TrainingRunError::Recipe)?),
            learnt: dataset::learnt(&train, Some(&parent)),
            ..Lineage::of_source(format!("assay retrain on {} images, from {}", train.len(), parent.version), None)
        };
        let architecture = parent.architecture;
        let origin = Origin { architecture, trained: true, labels, lineage, version: None, reading };
        // What a kill left half written.
        let _ = std::fs::remove_dir_all(self.folder);
        weights.write_artefact(self.folder, origin)?;
        let manifest = self.record_self_test()?;
        checkpoint.remove();
        Ok(Candidate { manifest, folder: self.folder.to_owned(), train_images: train.len() })
    }

    /// Has the candidate judge the images of its self-test.
    fn record_self_test(&self) -> Result<Manifest, RetrainError> {
        let settings = engine::Settings { public_key: String::new(), ..self.detector.in_folder(self.folder) };
        Ok(self_test::record(self.folder, &settings)?)
    }

    /// The images to train on, without those that show the same thing as an image that calibrates or decides: a model that has
    /// learnt one of them by heart would seem to know the other.
    fn to_learn_from(&self) -> Result<Vec<LabelledImage>, RetrainError> {
        let Sides { train, reading, held_out } = self.sides;
        // Pixels are kept while there is room: those that are needed most come first.
        let all = [train.as_slice(), reading, held_out].concat();
        let images = self.images.of(&all);
        self.look_at(&images)?;
        let mut groups = duplicate_groups::groups(&images, self.threads)?;
        groups.rotate_left(train.len());
        let kept = duplicate_groups::without_duplicates_of_others(train, &groups);
        if kept.len() < train.len() {
            let left_out = train.len() - kept.len();
            tracing::info!(
                left_out,
                "images are not learnt from: they show the same as images that calibrate or decide"
            );
        }
        Ok(kept)
    }

    /// Sees to it that the likeness of every image is known, unless the run is to stop.
    fn look_at(&self, images: &CachedImages<'_>) -> Result<(), RetrainError> {
        let all = images.items().len() as u64;
        try_in_order(
            self.threads,
            0..all,
            |place| images.likeness(place as usize),
            |_, likeness| {
                likeness?;
                if self.stop.is_cancelled() { Err(RetrainError::Stopped) } else { Ok(()) }
            },
        )
    }
}
