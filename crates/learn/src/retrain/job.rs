//! The sequence of one run, each step a value that the next one takes: lease → situation → plan → files → candidate →
//! comparison → outcome → report.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::candidate::{Candidate, Making, Sides};
use super::comparison;
use super::dataset;
use super::error::RetrainError;
use super::file_cache::{Fetched, FileCache};
use super::gate::{self, GateDecision, Trial};
use super::image_cache::{ImageCache, Limits};
use super::likenesses::Likenesses;
use super::observer::{Observer, Stage};
use super::outcome::{Mode, Outcome};
use super::plan::{Identity, NothingNew, Plan, Situation};
use super::preparation;
use super::promotion::{Promotion, Settled};
use super::report::Report;
use super::run_record::RunRecord;
use super::snapshot::{Shares, Side, Snapshot};
use super::{Settings, TrainingSettings};
use crate::training::Recipe;
use artefact::Manifest;
use decoder::Pool;
use labels::{Labels, Vocabulary};
use objects::{Allowed, Objects};
use registry::{Acquired, HeldLease, Lease, Leases, Model, Registry, Store, TrainingRuns};

/// Of which there is one for each database.
const LEASE: &str = "retrain";
/// Earlier runs that are looked at.
const EARLIER_RUNS: usize = 100;
/// Missing images that a report names.
const NAMED: usize = 10;

/// Everything that a run needs.
pub struct Job {
    pub settings: Settings,
    pub training: TrainingSettings,
    pub recipe: Recipe,
    pub detector: engine::Settings,
    pub decoders: decoder::Settings,
    pub max_object_bytes: u64,
    pub labels: Arc<dyn Labels>,
    pub registry: Arc<dyn Registry>,
    pub leases: Arc<dyn Leases>,
    pub runs: Arc<dyn TrainingRuns>,
    pub store: Store,
    pub objects: Arc<dyn Objects>,
    pub allowed: Allowed,
    pub vocabulary: Vocabulary,
    /// Who runs it: another name for each process.
    pub holder: String,
    /// Whether the model in a folder loads, and says what it said when it was made, in a process of its own.
    pub self_test: fn(&Path) -> Result<String, String>,
}

/// How a run ended, if it did.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Another job has the lease.
    Busy {
        by: String,
        until: OffsetDateTime,
    },
    NothingNew(NothingNew),
    Decided(Box<Report>),
}

impl Ended {
    pub fn outcome(&self) -> Outcome {
        match self {
            Ended::Busy { .. } => Outcome::Busy,
            Ended::NothingNew(_) => Outcome::NothingNew,
            Ended::Decided(report) => report.outcome,
        }
    }
}

/// The labels and the active model as a run found them, and the name that it has from them.
struct Subject {
    identity: Identity,
    snapshot: Arc<Snapshot>,
    incumbent: Model,
    incumbent_folder: PathBuf,
    /// Of this run.
    folder: PathBuf,
}

/// A candidate, and what it and the active model said of the held-out images.
struct Compared {
    candidate: Candidate,
    /// Images that calibrated it, and those that decide.
    reading_images: usize,
    held_out_images: usize,
    /// Held-out images that one of the two has learnt: they decide nothing.
    learnt_images: usize,
    trials: Vec<Trial>,
    gate: GateDecision,
}

impl Job {
    /// One run, from the lease to its end. A run that was killed goes on where it was: the same labels and the same active
    /// model make the same run.
    pub async fn run(
        self: Arc<Job>,
        mode: Mode,
        observer: Box<dyn Observer>,
        stop: &CancellationToken,
    ) -> Result<Ended, RetrainError> {
        let ttl = Duration::from_secs(self.settings.lease_s);
        let lease = match self.leases.acquire(LEASE, &self.holder, ttl).await? {
            Acquired::Mine(lease) => lease,
            Acquired::Held { by, until } => return Ok(Ended::Busy { by, until }),
        };
        let stop = stop.child_token();
        let held = HeldLease::keep(Arc::clone(&self.leases), lease, ttl, stop.clone());
        let ended = self.run_with(held.lease(), mode, observer, &stop).await;
        held.release().await;
        ended
    }

    async fn run_with(
        self: Arc<Job>,
        lease: &Lease,
        mode: Mode,
        mut observer: Box<dyn Observer>,
        stop: &CancellationToken,
    ) -> Result<Ended, RetrainError> {
        let (subject, plan) = self.plan().await?;
        let record = RunRecord { runs: self.runs.as_ref(), lease, mode, identity: &subject.identity };
        if let Plan::NothingNew(reason) = plan {
            record.nothing_new(reason).await?;
            return Ok(Ended::NothingNew(reason));
        }
        observer.reported(&format!(
            "{} labelled images, {} of them held out; from model {}",
            subject.snapshot.images.len(),
            subject.snapshot.count(Side::HeldOut),
            subject.incumbent.entry.version
        ));
        record.running().await?;
        let decided = Arc::clone(&self).decide(&subject, lease, mode, observer, stop).await;
        record.ended(&decided).await?;
        decided.map(|report| Ended::Decided(Box::new(report)))
    }

    /// The labels in force and the active model, and what is to be done with them.
    async fn plan(&self) -> Result<(Arc<Subject>, Plan), RetrainError> {
        let (incumbent, incumbent_folder) = registry::fetch_active(self.registry.as_ref(), &self.store).await?;
        let shares = Shares { held_out: self.settings.held_out, reading: self.recipe.calibration.held_out };
        let snapshot = Arc::new(Snapshot::take(self.labels.as_ref(), &self.vocabulary, shares).await?);
        let earlier = self.runs.latest(EARLIER_RUNS).await?;
        let identity = Identity::new(&snapshot, &incumbent, &self.recipe).map_err(RetrainError::Recipe)?;
        let min_images = self.settings.min_images;
        let plan =
            Situation { snapshot: &snapshot, incumbent: &incumbent, earlier: &earlier, min_images }.plan(&identity);
        let folder = Path::new(&self.settings.folder).join("runs").join(&identity.folder);
        Ok((Arc::new(Subject { identity, snapshot, incumbent, incumbent_folder, folder }), plan))
    }

    async fn decide(
        self: Arc<Job>,
        subject: &Arc<Subject>,
        lease: &Lease,
        mode: Mode,
        mut observer: Box<dyn Observer>,
        stop: &CancellationToken,
    ) -> Result<Report, RetrainError> {
        let began = Instant::now();
        observer.reported("fetching images");
        let cache = FileCache {
            folder: self.cache_folder(),
            objects: Arc::clone(&self.objects),
            allowed: self.allowed.clone(),
            max_bytes: self.max_object_bytes,
            read_digest: Arc::new(objects::digest),
        };
        let fetched = preparation::prepare(&cache, &subject.folder, &subject.snapshot, stop).await?;
        let (job, subject_there, sides, stop) =
            (Arc::clone(&self), Arc::clone(subject), Sides::of(&fetched.images), stop.clone());
        let comparing = tokio::task::spawn_blocking(move || {
            let compared = job.compare(&subject_there, &sides, observer.as_mut(), &stop);
            (compared, observer)
        });
        let (compared, mut observer) = comparing.await?;
        let compared = compared?;
        let promotion = Promotion {
            registry: self.registry.as_ref(),
            store: &self.store,
            lease,
            holder: &self.holder,
            run: subject.identity.id,
            mode,
            public_key: &self.detector.public_key,
            incumbent: &subject.incumbent.entry.version,
        };
        let settled = promotion.settle(&compared.candidate, &compared.gate).await?;
        let trials = compared.trials.clone();
        let report = report(subject, mode, &fetched, compared, settled, began.elapsed());
        report.write(&trials)?;
        observer.reported(&report.words);
        Ok(report)
    }

    /// Makes the candidate, has it tested, and lets it and the active model judge the held-out images. Blocks.
    fn compare(
        &self,
        subject: &Subject,
        sides: &Sides,
        observer: &mut dyn Observer,
        stop: &CancellationToken,
    ) -> Result<Compared, RetrainError> {
        let images = self.images(&subject.snapshot)?;
        let threads = match self.detector.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let making = Making {
            recipe: &self.recipe,
            training: &self.training,
            detector: &self.detector,
            vocabulary: &self.vocabulary,
            incumbent: &subject.incumbent_folder,
            folder: &subject.folder.join("candidate"),
            snapshot_sha256: &subject.identity.snapshot_sha256,
            sides,
            images: &images,
            threads,
            stop,
        };
        let candidate = making.candidate(observer)?;
        observer.reported(&format!("candidate {}: self-test in a process of its own", candidate.manifest.version));
        let self_test = (self.self_test)(&candidate.folder);
        observer.reported("candidate and active model judge the held-out images");
        let incumbent = &Manifest::read(&subject.incumbent_folder, "")?;
        let unlearnt = dataset::learnt_by_none(&sides.held_out, &[incumbent, &candidate.manifest]);
        observer.stage_begun(Stage::Comparing { images: unlearnt.len() as u64 });
        let trusted = engine::Settings { public_key: String::new(), ..self.detector.clone() };
        let seen = |done, all| {
            observer.images_compared(done, all);
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let models = [&subject.incumbent_folder, &candidate.folder].map(|folder| (folder.as_path(), &trusted));
        let trials = comparison::compare(&images.of(&unlearnt), models[0], models[1], threads, seen)?;
        let gate = gate::decide(&trials, self_test, &self.settings.bounds());
        Ok(Compared {
            candidate,
            reading_images: sides.reading.len(),
            held_out_images: unlearnt.len(),
            learnt_images: sides.held_out.len() - unlearnt.len(),
            trials,
            gate,
        })
    }

    /// The pixels of the run's images, with what earlier runs know of them.
    fn images(&self, snapshot: &Snapshot) -> Result<ImageCache, RetrainError> {
        let folder = PathBuf::from(self.cache_folder());
        let wanted: HashSet<&str> = snapshot.images.iter().map(|it| it.image.sha256.as_str()).collect();
        let likenesses = Likenesses::open(&folder, &wanted)
            .map_err(|error| RetrainError::unwritable(&folder.join(Likenesses::FILE), error))?;
        let limits = Limits { file: self.max_object_bytes, pixels: self.training.cache_bytes };
        Ok(ImageCache::new(Box::new(Pool::open(self.decoders.clone())?), limits, likenesses))
    }

    fn cache_folder(&self) -> String {
        format!("{}/cache", self.settings.folder)
    }
}

fn report(
    subject: &Subject,
    mode: Mode,
    fetched: &Fetched,
    compared: Compared,
    settled: Settled,
    duration: Duration,
) -> Report {
    let Compared { candidate, reading_images, held_out_images, learnt_images, gate, .. } = compared;
    Report {
        schema: Report::SCHEMA.into(),
        run: subject.identity.id.to_string(),
        at: OffsetDateTime::now_utc(),
        dry_run: mode == Mode::DryRun,
        snapshot_sha256: subject.identity.snapshot_sha256.clone(),
        incumbent: subject.incumbent.entry.version.clone(),
        candidate: candidate.manifest.version,
        train_images: candidate.train_images,
        reading_images,
        held_out_images,
        learnt_images,
        missing: fetched.missing.iter().take(NAMED).cloned().collect(),
        missing_images: fetched.missing.len(),
        metrics: candidate.manifest.metrics.unwrap_or_default(),
        gate,
        outcome: settled.outcome,
        words: settled.words,
        folder: subject.folder.display().to_string(),
        seconds: duration.as_secs_f64(),
    }
}
