//! The candidate of a run: trained from the active model, unless it is there already.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::course::{Course, Watch};
use super::duplicate_groups;
use super::error::RetrainError;
use super::fetch::Fetched;
use super::gallery::Gallery;
use super::job::Job;
use super::material::{self, Item};
use super::partial::Partial;
use super::snapshot::Side;
use super::{Start, first_weights};
use artefact::Manifest;
use artefact::manifest::{Lineage, Origin};
use decoder::Pool;
use engine::{device, golden};

/// What it is made of, and where it will lie.
pub(super) struct Making {
    pub incumbent: PathBuf,
    pub candidate: PathBuf,
    pub held_out: Vec<Item>,
    pub threads: usize,
    train: Vec<Item>,
    reading: Vec<Item>,
    snapshot_sha256: String,
}

impl Making {
    pub fn new(job: &Job, incumbent: PathBuf, folder: &Path, snapshot_sha256: &str, fetched: &Fetched) -> Making {
        let of = |side: Side| {
            let own = fetched.items.iter().filter(move |(_, image)| image.side == side);
            own.map(|(item, _)| item.clone()).collect()
        };
        let threads = match job.detector.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        Making {
            incumbent,
            candidate: folder.join("candidate"),
            held_out: of(Side::HeldOut),
            threads,
            train: of(Side::Train),
            reading: of(Side::Reading),
            snapshot_sha256: snapshot_sha256.into(),
        }
    }

    /// The candidate's manifest, and how many images it learnt from, was calibrated by, and will be judged by.
    pub fn run(&self, job: &Job, told: &mut dyn Watch) -> Result<(Manifest, [usize; 3]), RetrainError> {
        let counts = |learnt_from| [learnt_from, self.reading.len(), self.held_out.len()];
        let trusted = job.detector.in_folder(&self.candidate);
        let trusted = engine::Settings { public_key: String::new(), ..trusted };
        // An earlier run of the same came this far.
        if let Ok(manifest) = Manifest::read(&self.candidate, "")
            && manifest.verify(&self.candidate).is_ok()
        {
            let manifest =
                if manifest.golden.is_some() { manifest } else { golden::record(&self.candidate, &trusted)? };
            let learnt_from = manifest.metrics.as_ref().and_then(|metrics| metrics["train_images"].as_u64());
            return Ok((manifest, counts(learnt_from.map_or(self.train.len(), |images| images as usize))));
        }
        let place = device::prepare(&job.detector)?;
        let parent = Manifest::read(&self.incumbent, "")?;
        let decoders = Pool::open(job.decoders.clone())?;
        let train = self.to_learn_from(job, &decoders)?;
        let labels = material::label_set(&train, job.recipe.classes, &job.vocabulary);
        let start = Start::From(self.incumbent.clone());
        let first = first_weights(&start, parent.architecture, &labels, job.recipe.seed)?;
        let gallery = |items, budget| Gallery::new(items, &decoders, job.max_object_bytes, budget);
        let course = Course {
            recipe: &job.recipe,
            architecture: parent.architecture,
            start: first,
            labels: labels.clone(),
            train: gallery(&train, job.training.cache_bytes),
            held_out: gallery(&self.reading, 0),
            place,
            threads: self.threads,
            checkpoint_every: Duration::from_secs(job.training.checkpoint_s),
        };
        let partial = Partial::beside(&self.candidate);
        let trained = course.run(&partial, told)?;
        let source = format!("assay retrain on {} images, from {}", train.len(), parent.version);
        let lineage = Lineage {
            parent: Some(parent.version),
            snapshot_sha256: Some(self.snapshot_sha256.clone()),
            recipe: serde_json::to_value(&job.recipe).ok(),
            ..Lineage::of_source(source, None)
        };
        let architecture = parent.architecture;
        let origin = Origin { architecture, trained: true, labels, lineage, version: None, reading: trained.reading };
        // What a kill left half written.
        let _ = std::fs::remove_dir_all(&self.candidate);
        trained.weights.write_artefact(&self.candidate, origin)?;
        let manifest = golden::record(&self.candidate, &trusted)?;
        partial.remove();
        Ok((manifest, counts(train.len())))
    }

    /// Without those that show the same thing as an image that judges. That one never changes sides; and who has learnt this
    /// one by heart would seem to know it.
    fn to_learn_from(&self, job: &Job, decoders: &Pool) -> Result<Vec<Item>, RetrainError> {
        let all = [self.held_out.as_slice(), &self.reading, &self.train].concat();
        let groups = duplicate_groups::groups(&Gallery::new(&all, decoders, job.max_object_bytes, 0), self.threads)?;
        let kept = duplicate_groups::without_duplicates_of_others(&self.train, &groups);
        if kept.len() < self.train.len() {
            let left_out = self.train.len() - kept.len();
            tracing::info!(left_out, "images are not learnt from: they show the same as images that judge");
        }
        Ok(kept)
    }
}
